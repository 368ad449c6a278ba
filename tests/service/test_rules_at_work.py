"""Rules with several deliveries of one file, changes and versions, through a whole service."""

import hashlib
import os

import pytest

STEP, RUN, PART = 1_000_000, 2_000_000, 5_000_000

HEAD = """
version: 1
timezone: {timezone}
destinations:
  ion:
    kind: ion
    url: {url}
    token: {token}
    retry: {{first: 100ms, cap: 500ms, give_up_after: 7d}}
folders:
  - path: drop
    existing: upload
    settle: 200ms
    rescan: 1s
    rules:
"""


@pytest.fixture
def rules(bench):
    """Write a rules.yaml with these rules."""

    def write(*texts, timezone="Europe/Berlin"):
        head = HEAD.format(url=bench.simulator.graphql_url, token=bench.simulator.token, timezone=timezone)
        bench.rules.write_text(head + "".join(f"      - {text}\n" for text in texts))

    return write


def entities(bench):
    return sorted(entity for _, _, entity, _ in bench.attached())


def test_one_file_goes_to_every_rule_that_says_continue(bench, rules):
    """Two targets, two attachments of the same bytes; what comes after the last one is not asked."""
    rules(
        '{name: step, match: "{a:int}/{b:int}.png", to: ion, target: {run_step: "{a}"}, continue: true}',
        '{name: run, match: "{a:int}/{b:int}.png", to: ion, target: {run: "{b}"}, filename: "run-{file}"}',
        '{name: rest, match: "**", to: ion, target: {part: "1"}}',
    )
    bench.put("3/4.png", b"both")
    assert bench.once().returncode == 0
    sha256 = hashlib.sha256(b"both").hexdigest()
    assert bench.attached() == [("4.png", "runStep", STEP + 3, sha256), ("run-4.png", "run", RUN + 4, sha256)]
    assert [row["rule"] for row in sorted(bench.list(), key=lambda row: row["id"])] == ["step", "run"]


def test_one_delivery_that_fails_does_not_touch_the_other(bench, rules):
    """The one is held, the other attached; a retry sends nothing twice."""
    rules(
        '{name: step, match: "{a:int}/*", to: ion, target: {run_step: "90000{a}"}, continue: true}',
        '{name: run, match: "{a:int}/*", to: ion, target: {run: "{a}"}}',
    )
    bench.put("3/x.png", b"both")
    assert bench.once().returncode == 4
    assert {row["rule"]: row["state"] for row in bench.list()} == {"step": "held", "run": "done"}
    bench.call("retry", "--all")
    assert bench.once().returncode == 4
    assert entities(bench) == [RUN + 3]


def test_two_rules_with_the_same_target_attach_once(bench, rules):
    """One delivery is a duplicate of the other, unless a rule says `on_duplicate: upload`."""
    same = 'match: "{a:int}/*", to: ion, target: {run: "{a}"}'
    rules(f"{{name: one, {same}, continue: true}}", f"{{name: two, {same}}}")
    bench.put("3/x.png", b"once")
    assert bench.once().returncode == 0
    assert sorted(row["state"] for row in bench.list()) == ["done", "duplicate"]
    assert entities(bench) == [RUN + 3]
    rules(f"{{name: one, {same}, continue: true}}", f"{{name: two, {same}, on_duplicate: upload}}")
    bench.put("4/x.png", b"twice")
    assert bench.once().returncode == 0
    assert entities(bench) == [RUN + 3, RUN + 4, RUN + 4]


def test_changes_of_an_attached_file_are_ignored_where_the_rule_says_so(bench, rules):
    """Known, listed with the reason, no problem; a touch or the old bytes again change nothing."""
    rules('{name: run, match: "{a:int}/*", to: ion, target: {run: "{a}"}, on_change: ignore}')
    file = bench.put("3/x.txt", b"first")
    assert bench.once().returncode == 0
    file.write_bytes(b"second")
    assert bench.once().returncode == 0
    file.touch()
    assert bench.once().returncode == 0
    (ignored,) = bench.list("--state", "existing")
    assert (ignored["version"], ignored["error"]["kind"]) == (2, "changed")
    assert bench.list("--problems") == []
    file.write_bytes(b"first")
    assert bench.once().returncode == 0
    assert len(bench.simulator.puts) == 1


def test_a_log_is_held_after_its_fifth_version(bench, rules):
    """Five versions are attached, the sixth asks a person, and `retry` attaches it all the same."""
    rules('{name: run, match: "{a:int}/*", to: ion, target: {run: "{a}"}}')
    for number in range(6):
        bench.put("3/x.log", b"line\n" * (number + 1))
        assert bench.once().returncode == (0 if number < 5 else 4)
    held = next(row for row in bench.list() if row["state"] == "held")
    assert (held["version"], held["error"]["kind"]) == (6, "keeps_changing")
    assert len(bench.simulator.attachments) == 5
    assert bench.call("retry", str(held["id"])).returncode == 0
    assert bench.once().returncode == 0
    assert len(bench.simulator.attachments) == 6


def test_dates_are_of_the_configured_timezone(bench, rules):
    """`{file_date}` is the day of the mtime there, not here."""
    rules(
        '{name: run, match: "{a:int}/*", to: ion, target: {run: "{a}"}, filename: "{file_date}.txt"}',
        timezone="Pacific/Kiritimati",
    )
    file = bench.put("3/x.txt", b"dated")
    os.utime(file, (1_767_261_600, 1_767_261_600))  # 2026-01-01 10:00 UTC, which is 2 January at UTC+14
    assert bench.once().returncode == 0
    assert [name for name, *_ in bench.attached()] == ["2026-01-02.txt"]


def test_overlapping_rules_are_warned_of_and_nothing_more(bench, rules):
    """`check` says where, with line and column, and ends well."""
    rules(
        '{name: all, match: "**", to: ion, target: {part: "1"}}',
        '{name: run, match: "{a:int}/*", to: ion, target: {run: "{a}"}}',
    )
    done = bench.call("check")
    assert done.returncode == 0
    assert ":17:28: folders[0].rules[1].match: warning: this rule never has its turn" in done.stderr
