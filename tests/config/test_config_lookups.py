from datetime import UTC, datetime

import pytest

from attachd.core.rules import FileFacts, judge

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

LOOKUP = """\
version: 1
lookups:
  step_of_unit:
    - query: "query($s: String!) { partInventories(filters: {serialNumber: {eq: $s}}) { id } }"
      variables: {s: "{serial}"}
      rows: partInventories
      give: {unit: id}
    - query: "query($u: ID!) { runs(filters: {partInventoryId: {eq: $u}}) { edges { node { id } } } }"
      variables: {u: "{unit}"}
      rows: runs
      give: {run: id}
    - query: "query($r: ID!) { run(id: $r) { steps { title entityId } } }"
      variables: {r: "{run}"}
      rows: run.steps
      where: {title: "{station}"}
      give: {entity: entityId}
destinations:
  ion:
    kind: ion
    url: https://ion.example/graphql
    token: {env: ION_TOKEN}
folders:
  - path: drop
    existing: upload
    rules:
      - name: photos
        match: "{station}/{serial}/**/*.jpg"
        to: ion
        target: {lookup: step_of_unit}
        examples:
          - path: "torque/AB1234/top.jpg"
            target: {lookup: step_of_unit, serial: AB1234, station: torque}
      - name: plain
        match: "runs/{run}.pdf"
        to: ion
        target: {run: "{run}"}
        wait: 90s
"""


def test_a_lookup_reaches_its_destination_compiled(settings):
    """The destination knows the lookups its rules use, and how long each rule's target is looked for."""
    ion = settings(LOOKUP).destinations["ion"]
    (lookup,) = ion.lookups.values()
    assert lookup.names == ("serial", "station")
    assert [list(query.give) for query in lookup.queries] == [["unit"], ["run"], ["entity"]]
    assert ion.waits == {"photos": 86400.0, "plain": 90.0}


def test_the_same_file_gives_equal_settings(settings):
    """A reload that changes nothing is seen as such."""
    assert settings(LOOKUP).destinations == settings(LOOKUP).destinations


def test_a_wait_of_its_own_beats_that_of_lookups(settings):
    """`wait` may be shorter than a day, or nothing at all."""
    made = settings(
        LOOKUP.replace(
            "target: {lookup: step_of_unit}\n", "target: {lookup: step_of_unit}\n        wait: 0s\n", 1
        )
    )
    assert made.destinations["ion"].waits == {"plain": 90.0}


def test_the_target_is_the_lookup_and_what_it_starts_from(settings):
    """Two serials are two targets; what the lookup does not use makes no difference."""
    made = settings(LOOKUP)
    folder = made.folders[0]

    def target(path):
        facts = FileFacts(path=path, folder="/f", size=1, mtime=NOON, first_seen=NOON, host="h", timezone=UTC)
        planned = judge(folder.rules, facts)[0].planned
        assert planned is not None
        return planned.target

    assert target("torque/AB1234/a.jpg") == {
        "lookup": "step_of_unit",
        "serial": "AB1234",
        "station": "torque",
    }
    assert target("torque/AB1234/a.jpg") == target("torque/AB1234/deep/b.jpg")
    assert target("torque/AB1234/a.jpg") != target("torque/AB1235/a.jpg")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '{s: "{serial}"}',
            '{s: "{serail}"}',
            "lookups.step_of_unit[0].variables.s: {serail} is not known here",
        ),
        ('{s: "{serial}"}', '{s: "{unit}"}', "lookups.step_of_unit[0].variables.s: {unit} is not known here"),
        ('{s: "{serial}"}', '{s: "{sha256}"}', "variables.s: {sha256} cannot stand here"),
        ('{title: "{station}"}', '{title: "{topic}"}', "where.title: {topic} is not known here"),
        ('{title: "{station}"}', '{"title[": "{station}"}', "is no JMESPath expression from here on"),
        ('{s: "{serial}"}', '{t: "{serial}"}', "variables.t: the query declares no `$t`"),
        ("query($u: ID!)", "query($u: ID!, $v: Int!)", "query: `variables` has nothing for `$v: Int!`"),
        ("rows: runs\n", "rows: data.runs\n", "rows: warning: this is looked for below the answer's `data`"),
        ("give: {unit: id}", "give: {file: id, unit: id}", "give.file: `file` has a meaning already"),
        ("give: {unit: id}", "give: {lookup: id, unit: id}", "give.lookup: `lookup` has a meaning already"),
        ("give: {entity: entityId}", "give: {step: entityId}", "the last query gives no `entity`"),
        ("rows: runs\n", "x: runs\n", "lookups.step_of_unit[1].x: unknown key"),
        (
            'match: "{station}/{serial}/**/*.jpg"',
            'match: ["{station}/{serial}/**/*.jpg", "{serial}.jpg"]',
            "lookup `step_of_unit` starts from {station}, which this rule does not always capture",
        ),
        ('target: {run: "{run}"}', "target: {lookup: step}", "there is no lookup `step`"),
        ('target: {run: "{run}"}', "target: {lookup: step_of_unit, run: x}", "exactly one is allowed"),
        ("serial: AB1234, station: torque}", "serial: AB1234}", "the example fails: the target comes out as"),
    ],
)
def test_a_mistake_in_a_lookup_is_said_once_with_its_place(problems, old, new, said):
    """Names, expressions and what belongs together are checked when the file is read."""
    assert old in LOOKUP
    lines = problems(LOOKUP.replace(old, new, 1))
    assert any(said in line for line in lines), lines


def test_a_capture_called_lookup_cannot_feed_one(problems):
    """The target of a delivery has the lookup's name under that key."""
    wrong = LOOKUP.replace("{serial}", "{lookup}").replace("serial: AB1234", "lookup: AB1234")
    assert any("{lookup} cannot stand here" in line for line in problems(wrong))


def test_a_rule_that_captures_too_little_is_named(problems):
    """Of two rules that use a lookup, the one that lacks a capture is pointed at."""
    wrong = LOOKUP.replace('target: {run: "{run}"}', "target: {lookup: step_of_unit}")
    (line,) = problems(wrong)
    assert "folders[0].rules[1].target.lookup" in line


def test_a_lookup_that_nobody_uses_is_checked_all_the_same(problems):
    """It may be there for a rule that comes later."""
    unused = LOOKUP.replace("target: {lookup: step_of_unit}", 'target: {run: "1"}').replace(
        "{lookup: step_of_unit, serial: AB1234, station: torque}", '{run: "1"}'
    )
    assert [line for line in problems(unused) if "warning:" not in line] == []
    assert len(problems(unused.replace("rows: runs", "rows: 'runs['"))) == 1
