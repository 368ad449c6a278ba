import json


def test_json_has_history_and_after(project, attachd):
    """`show --json` adds the whole history and the after-action to what `list` says."""
    project.build(lambda project: project.attach("st-3/42/a.jpg"))
    ended = attachd("show", "1", "--json")
    shown = json.loads(ended.out)
    assert ended.code == 0
    assert shown["id"] == 1
    assert [row["to"] for row in shown["history"]] == ["ready", "active", "done"]
    assert shown["history"][0]["from"] is None
    assert set(shown["history"][-1]) == {"at", "from", "to", "call", "detail", "by"}
    assert shown["after"]["action"] == "keep"
    assert set(shown["after"]) == {"action", "state", "detail"}


def test_text_says_what_is_wrong_and_what_to_do(project, call):
    """A held delivery is shown with its error, its hint and its moves."""
    project.build(lambda project: project.hold("st-3/42/a.jpg"))
    out = call("show", "1").out
    assert "held (needs you)" in out
    assert "permission: permission denied" in out
    assert "ask for the permission" in out
    assert out.count("run 1") == 2


def test_hostile_names_are_shown_safely(project, call, hostile):
    """No name or message controls the terminal, in text as in JSON."""

    def fill(project):
        for name in hostile:
            project.hold(f"st-1/7/{name}", f"cannot read \x1b[2J{name}".encode(errors="replace").decode())

    project.build(fill)
    for number in range(1, len(hostile) + 1):
        for words in (("show", str(number)), ("show", str(number), "--json")):
            ended = call(*words)
            assert ended.code == 0
            assert all(character.isprintable() or character == "\n" for character in ended.out)


def test_an_unknown_id_fails(project, call):
    """An id that no delivery has gives exit code 1, with and without a ledger; no id at all gives 2."""
    ended = call("show", "7")
    assert ended.code == 1
    assert "no delivery has the id 7" in ended.err
    project.build(lambda project: project.add("st-3/42/a.jpg"))
    ended = call("show", "7")
    assert ended.code == 1
    assert "no delivery has the id 7" in ended.err
    assert call("show").code == 2
    assert call("show", "99999999999999999999").code == 2
