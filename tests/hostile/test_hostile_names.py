import json
import os

import pytest

from attachd.core.paths import escape, unescape

pytestmark = pytest.mark.slow

BYTES = [bytes([code]) for code in range(1, 256) if bytes([code]) != b"/"]
"""Every byte that a name may have (path_resolution(7))."""

TRICKS = [
    "--help",
    "-rf",
    "@file",
    "{run}",
    "{{run}}",
    "{file}{sha256}",
    "%s%n%x",
    "$(touch pwned)",
    "`touch pwned`",
    "a;touch pwned;",
    "<script>alert(1)<script>.png",
    "[bold red]x[bold]",
    "[link=file:etc]x[link]",
    "'; DROP TABLE deliveries; --",
    'a" OR "1"="1',
    "a\nlevel=error event=attached path=forged",
    "a\r\n2026-01-01T00:00:00Z [error    ] forged",
    '{"event": "forged"}',
    "\x1b[2J\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\x08\x08\x08b",
    "photo\u202egnp.exe",
    "line\u2028separator",
    "zero\u200bwidth",
    "e\u0301 and \u00e9",
    "a..b",
    " leading and trailing ",
    "con",
    "a?b*c[d]",
    "back\\slash",
    "\\x41",
    "\U0001f600.png",
    "x" * 255,
    "\u00e9" * 127,
]


def names():
    """Give each hostile name, in bytes."""
    return [b"n" + each + b".png" for each in BYTES] + [os.fsencode(each) for each in TRICKS]


def lay(bench):
    """Lay a file under each hostile name, each with bytes of its own; give the paths as they are shown."""
    directory = bench.drop / "hostile"
    directory.mkdir()
    for number, name in enumerate(names()):
        (directory / os.fsdecode(name)).write_bytes(b"%d" % number)
    return {"hostile/" + escape(os.fsdecode(name)) for name in names()}


def test_every_name_is_delivered_and_shown_without_harm(bench, rules_with, clean):
    """Every byte and every trick: attached once, exact in JSON, and no raw control character anywhere."""
    rules_with('filename: "{file}"')
    shown = lay(bench)
    done = bench.once("--deadline", "60s")
    assert done.returncode == 0, done.stderr[-2000:]
    listed = bench.list("--limit", "1000")
    assert {row["path"] for row in listed} == shown
    assert {row["state"] for row in listed} == {"done"}
    assert len(bench.simulator.attachments) == len(shown)
    assert {os.fsencode(unescape(row["path"])) for row in listed} == {b"hostile/" + each for each in names()}
    outputs = [done.stdout, done.stderr]
    for command in (["list", "--limit", "1000"], ["list", "--json", "--limit", "1000"], ["status"]):
        answer = bench.call(*command)
        assert answer.returncode in {0, 3}, answer.stderr
        outputs += [answer.stdout, answer.stderr]
    tricky = [row["id"] for row in listed if "\x1b" in row["path"] or "\n" in row["path"]]
    assert tricky
    for number in tricky:
        outputs += [bench.call("show", str(number)).stdout, bench.call("show", str(number), "--json").stdout]
    for text in outputs:
        clean(text)
    assert "forged" not in [line.split(" ")[0] for text in outputs for line in text.splitlines()]
    assert not list(bench.directory.rglob("pwned"))


@pytest.mark.parametrize("form", ["auto", "json"])
def test_names_without_a_rule_are_logged_on_one_line(bench, rules_with, clean, form):
    """What no rule takes is warned of; the warning is one line, and JSON where JSON was asked for."""
    rules_with()
    text = bench.rules.read_text().replace('match: "**"', 'match: "only/*"')
    bench.rules.write_text(text + f"service: {{log: {{level: debug, format: {form}}}}}\n")
    shown = lay(bench)
    done = bench.once("--deadline", "60s")
    assert done.returncode == 4
    clean(done.stderr)
    lines = done.stderr.splitlines()
    assert sum("file_unmatched" in line for line in lines) == len(shown)
    if form == "json":
        assert all(isinstance(json.loads(line), dict) for line in lines if line.startswith("{"))


def test_names_on_the_command_line_are_data(bench, rules_with, clean):
    """`explain` and `verify` of hostile paths answer, and print nothing raw."""
    rules_with()
    shown = lay(bench)
    assert bench.once("--deadline", "60s").returncode == 0
    for command in (["explain", "--"], ["verify", "--"]):
        paths = [os.fsencode(bench.drop) + b"/hostile/" + each for each in names()[:60] + names()[-37:]]
        answer = bench.call(*command, *[os.fsdecode(path) for path in paths])
        assert "Traceback" not in answer.stderr, answer.stderr
        assert answer.returncode in {0, 4}, answer.stderr
        clean(answer.stdout + answer.stderr)
    assert len(shown) == len(names())


def test_captures_never_climb_out_of_the_place_to_move_to(bench, rules_with):
    """`..`, `.` and an empty text from a regex are refused as a part of the place; the file stays."""
    rules_with('after: {move: "sent/{who}/{file}"}')
    text = bench.rules.read_text().replace(
        'match: "**"', "regex: '(?P<who>\\.\\.|\\.|[^/]*)(?:-?)[^/]*\\.png'"
    )
    bench.rules.write_text(text)
    names_ = ["..-a.png", "..-.png", "-a.png", "fine-a.png"]
    for number, name in enumerate(names_):
        bench.put(name, b"%d" % number)
    done = bench.once("--deadline", "30s")
    assert "Traceback" not in done.stderr
    moved = {path for path in bench.directory.rglob("*.png") if bench.drop not in path.parents}
    assert all((bench.directory / "sent") in path.parents for path in moved)
    assert {path.name for path in bench.directory.glob("*.png")} == set()
    rest = {path.name for path in bench.drop.iterdir()} | {path.name for path in moved}
    assert rest == set(names_)
