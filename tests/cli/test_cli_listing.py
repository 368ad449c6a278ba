import json

import pytest

from attachd.core.paths import escape
from attachd.model import ErrorKind, Standing

FIELDS = {
    "id", "folder", "path", "version", "rule", "destination", "target", "filename", "state", "call",
    "attempts", "remote_id", "error", "size", "sha256", "first_seen", "updated_at", "next_attempt_at",
}  # fmt: skip


@pytest.fixture
def mixed(project):
    """A ledger with one of several kinds: done, held, ready, unmatched, parked."""

    def fill(project):
        project.attach("st-3/42/done.jpg")
        project.hold("st-3/42/held.jpg")
        project.add("st-3/42/ready.jpg")
        project.add_file("readme.txt", Standing.UNMATCHED, ErrorKind.NO_RULE)
        project.add_file("half.pdf", Standing.PARKED, ErrorKind.NOT_COMPLETE)

    project.build(fill)
    return project


def paths(ended):
    assert ended.code == 0
    return [row["path"] for row in json.loads(ended.out)]


def test_json_has_every_field_of_the_contract(mixed, attachd):
    """`list --json` is one array of objects with the contract's fields, newest first."""
    ended = attachd("list", "--json")
    rows = json.loads(ended.out)
    assert ended.code == 0
    assert all(set(row) >= FIELDS for row in rows)
    assert [row["path"] for row in rows] == [
        "half.pdf", "readme.txt", "st-3/42/ready.jpg", "st-3/42/held.jpg", "st-3/42/done.jpg",
    ]  # fmt: skip
    done = rows[-1]
    assert done["state"] == "done"
    assert done["remote_id"] == "4242"
    assert done["target"] == {"run_step": "42"}
    assert done["folder"] == mixed.drop
    assert done["updated_at"].endswith("Z")
    assert rows[0]["id"] is None
    assert rows[0]["error"] == {"kind": "not_complete", "message": "no rule takes it", "hint": "a hint"}


def test_needs_no_secret_and_leaves_none_behind(mixed, attachd):
    """The token's variable is unset, and `list` works; where it is set, its value is never printed."""
    ended = attachd("list", "--json", ATTACHD_TEST_UNSET_TOKEN="canary-token")
    assert ended.code == 0
    assert "canary" not in ended.out + ended.err


def test_problems_are_what_needs_a_person(mixed, call):
    """`--problems` lists held, doubtful, vanished, unmatched and parked."""
    assert paths(call("list", "--problems", "--json")) == ["half.pdf", "readme.txt", "st-3/42/held.jpg"]


def test_states_are_separated_by_commas_and_add_up(mixed, call):
    """Several states may be named, also for files without a delivery, also together with --problems."""
    assert paths(call("list", "--state", "done,ready", "--json")) == ["st-3/42/ready.jpg", "st-3/42/done.jpg"]
    assert paths(call("list", "--state", "Parked", "--state", "done", "--json")) == [
        "half.pdf",
        "st-3/42/done.jpg",
    ]
    assert len(paths(call("list", "--state", "done", "--problems", "--json"))) == 4


def test_an_unknown_state_is_a_usage_error_that_helps(mixed, call):
    """A misspelt state gives exit code 2 and the nearest state."""
    ended = call("list", "--state", "heldd")
    assert ended.code == 2
    assert "did you mean held?" in ended.err
    assert call("list", "--state", "").code == 2


def test_since_takes_dates_and_durations(mixed, call):
    """`--since` counts from a time, with or without zone, or from so long ago."""
    assert paths(call("list", "--since", "2999-01-01", "--json")) == []
    assert len(paths(call("list", "--since", "2000-01-01T08:30", "--json"))) == 5
    assert paths(call("list", "--since", "2026-11-20T12:08:00Z", "--json"))[-1] != "st-3/42/done.jpg"
    assert len(paths(call("list", "--since", "3650d", "--json"))) == 5
    ended = call("list", "--since", "yesterday")
    assert ended.code == 2
    assert "2h or 7d" in ended.err


def test_limit_gives_the_newest(mixed, call):
    """`--limit` cuts after the newest ones; 0 is a usage error, and so is what no ledger counts to."""
    assert paths(call("list", "--limit", "2", "--json")) == ["half.pdf", "readme.txt"]
    assert call("list", "--limit", "0").code == 2
    assert call("list", "--limit", str(2**63)).code == 2


def test_in_a_pipe_nothing_is_cut(project, attachd):
    """Plain text holds whole paths and messages, one file a line, however long."""
    path = "st-3/42/" + "deep/" * 40 + "end.jpg"
    project.build(lambda project: project.hold(path, "because " + "of this " * 30))
    lines = attachd("list").out.splitlines()
    assert len(lines) == 2
    assert path in lines[1]
    assert lines[1].endswith("of this")


def test_hostile_names_are_data_in_json(project, attachd, hostile):
    """JSON keeps every name exactly, in the escaped form, and is valid UTF-8 without control characters."""
    project.build(lambda project: [project.attach(f"st-1/7/{name}") for name in hostile])
    ended = attachd("list", "--json")
    found = {row["path"] for row in json.loads(ended.out)}
    assert found == {escape(f"st-1/7/{name}") for name in hostile}
    assert all(character.isprintable() or character == "\n" for character in ended.out)


def test_hostile_names_are_shown_safely_in_a_pipe(project, attachd, hostile):
    """Plain text has one line for each file, markup stands as it is, and nothing controls the terminal."""
    project.build(lambda project: [project.attach(f"st-1/7/{name}") for name in hostile])
    out = attachd("list").out
    assert len(out.splitlines()) == 1 + len(hostile)
    assert all(character.isprintable() or character == "\n" for character in out)
    assert "[red]markup[/red].jpg" in out
    assert r"esc\x1b[31mape.jpg" in out
    assert r"new\x0aline\x09tab.jpg" in out
    assert r"bytes\xff\xfe.jpg" in out
    assert r"mirror\u202egpj.exe" in out
    assert "détail 測定.jpg" in out


def test_hostile_names_are_shown_safely_on_a_terminal(project, on_terminal, hostile):
    """On a terminal rich draws the table, and names neither style nor move anything."""
    project.build(lambda project: [project.attach(f"st-1/7/{name}") for name in hostile])
    ended = on_terminal("list", NO_COLOR="1")
    assert ended.code == 0
    assert "[red]markup[/red].jpg" in ended.out
    assert r"esc\x1b[31mape.jpg" in ended.out
    assert r"new\x0aline\x09tab.jpg" in ended.out
    assert "\x1b[31m" not in ended.out
    assert "\u202e" not in ended.out


def test_no_color_is_honoured(mixed, on_terminal):
    """With NO_COLOR a terminal gets no colour."""
    assert "\x1b[3" not in on_terminal("list", NO_COLOR="1").out


def test_a_reader_that_leaves_early_is_no_failure(project, attachd):
    """`attachd list | head -1` prints one line, says nothing, and `attachd` itself succeeds."""
    import subprocess
    import sys

    project.build(lambda project: [project.add(f"st-1/7/{number:05}.jpg") for number in range(200)])
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$0" -m attachd list --json | head -1', sys.executable],
        cwd=project.directory,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"[\n", b"")


def test_before_the_first_start_the_list_is_empty(project, attachd):
    """Without a ledger `list` gives an empty array and says on standard error that there is none yet."""
    ended = attachd("list", "--json")
    assert (ended.code, json.loads(ended.out)) == (0, [])
    assert "no ledger" in ended.err
    assert attachd("list").out == "nothing to list\n"
