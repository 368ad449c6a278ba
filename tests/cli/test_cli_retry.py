import json

from attachd.cli.words import user_name


def states(call):
    return {row["id"]: row["state"] for row in json.loads(call("list", "--json").out)}


def test_a_held_delivery_goes_again(project, attachd, call):
    """`retry ID` makes a held delivery ready, says so, and needs no secret."""
    project.build(lambda project: project.hold("st-3/42/a.jpg"))
    ended = attachd("retry", "1")
    assert (ended.code, ended.out) == (0, "1: goes again\n")
    assert states(call) == {1: "ready"}
    history = json.loads(call("show", "1", "--json").out)["history"]
    assert history[-1]["by"] == f"retry ({user_name()})"


def test_what_cannot_go_again_is_said_per_id(project, call):
    """Unknown and attached ones give exit code 1 and a reason each; the others go all the same."""

    def fill(project):
        project.attach("st-3/42/a.jpg")
        project.hold("st-3/42/b.jpg")

    project.build(fill)
    ended = call("retry", "1", "2", "99")
    assert ended.code == 1
    assert ended.out == "2: goes again\n"
    assert "1: not tried again: it is attached already; --again" in ended.err
    assert "99: no delivery has this id" in ended.err


def test_all_takes_every_held_one(project, call):
    """`retry --all` retries all that is held; a second time there is nothing to do, which is no failure."""
    project.build(lambda project: [project.hold(f"st-3/42/{name}.jpg") for name in "abc"])
    ended = call("retry", "--all")
    assert ended.code == 0
    assert ended.out.splitlines() == ["1: goes again", "2: goes again", "3: goes again"]
    ended = call("retry", "--all")
    assert (ended.code, ended.out) == (0, "nothing is held or waiting\n")


def test_ids_or_all_but_not_both(project, call):
    """Neither ids nor --all, or both, is a usage error."""
    assert call("retry").code == 2
    assert call("retry", "1", "--all").code == 2


def test_without_a_ledger_it_fails(project, call):
    """Before the first start there is nothing to retry: exit code 1, and no ledger is made."""
    ended = call("retry", "1")
    assert ended.code == 1
    assert "no ledger" in ended.err
    assert not (project.directory / "attachd.db").exists()
