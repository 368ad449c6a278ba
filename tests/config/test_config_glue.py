from datetime import UTC, datetime

import pytest

from attachd.core.rules import FileFacts, judge, run_example

GLUE = """\
version: 1
destinations:
  glue:
    kind: glue
    url: https://glue.example/graphql
    token: {env: GLUE_TOKEN}
folders:
  - path: drop
    existing: upload
    rules:
      - name: reports
        match: "reports/{topic}/{group}/*.pdf"
        to: glue
        target: {message: "*New* {file} on {topic}", recipients: [grp_1, "{group}"], subject: "{topic}"}
"""
TARGET = '{message: "*New* {file} on {topic}", recipients: [grp_1, "{group}"], subject: "{topic}"}'
DAY = datetime(2026, 4, 26, tzinfo=UTC)
OAUTH = """\
    oauth:
      token_url: https://glue.example/oauth/token
      client_id: me
      client_secret: {env: X}
"""


def with_target(target: str) -> str:
    return GLUE.replace(TARGET, target)


def facts(path: str) -> FileFacts:
    """Give what a rule may know of a file at a path."""
    return FileFacts(
        path=path, folder="/srv/drop", size=7, mtime=DAY, first_seen=DAY, host="lab-pc", timezone=None
    )


def test_every_key_of_a_glue_target_is_rendered(settings):
    """The text stays markdown, names in it are text; several recipients stand in one value."""
    (folder,) = settings(GLUE).folders
    (verdict,) = judge(folder.rules, facts("reports/*torque*/grp_2/shift_a.pdf"))
    assert verdict.planned.target == {
        "message": r"*New* shift\_a.pdf on \*torque\*",
        "recipients": "grp_1, grp_2",
        "subject": "*torque*",
    }


@pytest.mark.parametrize(
    "target",
    [
        "{}",
        '{message: "{file}"}',
        "{message: Hello, reply_to: msg_1}",
        '{message: Hello, thread: "thr_{group}", reply_to: "{topic}"}',
        "{message: Hello, recipients: wks_1}",
    ],
)
def test_every_place_a_message_may_go_to(problems, target):
    """Nowhere, to a quoted message, to a thread, to one or several recipients; or no message at all."""
    assert problems(with_target(target)) == []


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ('{run: "1"}', "14:18: …run: is for destinations of kind ion; write one of"),
        ("{lookup: x}", "14:18: …lookup: is for destinations of kind ion; write one of"),
        ("{thread: thr_1}", "14:18: …thread: goes with `message` only; add `message`, or delete it"),
        ("{reply_to: m}", "14:18: …reply_to: goes with `message` only; add `message`, or delete it"),
        ("{recipients: g}", "14:18: …recipients: goes with `message` only; add `message`, or delete it"),
        ("{message: x, thread: t, subject: s}", "14:41: …subject: goes with `recipients` only; add"),
        ("{message: x, thread: t, recipients: g}", "14:41: …recipients: there is a `thread` already; keep"),
        ("{message: x, recipients: []}", "14:42: …recipients: must not be empty"),
        ('{message: x, recipients: "a, b"}', "14:44: …recipients: is no id of Glue; write the id alone"),
        ('{message: x, recipients: [a, "b c"]}', "14:48: …recipients[1]: is no id of Glue; write the id"),
        ("{message: x, thread: https://app.gluegroups.com/thr_1}", "14:44: …thread: is no id of Glue"),
        ('{message: "{sha256}"}', "14:28: …message: {sha256} cannot stand here; it is known only in"),
        ('{message: "{topik}"}', "14:28: …message: {topik} is not known here; did you mean"),
        ('{message: ""}', "14:27: …message: must not be empty"),
    ],
)
def test_mistakes_in_a_glue_target(problems, target, line):
    """What does not go together, or could never be sent, is said with its place."""
    found = problems(with_target(target))
    assert any(each.replace("folders[0].rules[0].target.", "…").startswith(line) for each in found), found


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("reports/a/x,grp_9/r.pdf", "target.recipients takes an id, and {group} is 'x,grp_9'"),
        ("reports/a/x y/r.pdf", "target.recipients takes an id, and {group} is 'x y'"),
    ],
)
def test_a_folder_name_adds_no_recipient(settings, path, why):
    """What a drop folder calls itself is one id, or the file is not sent."""
    (folder,) = settings(GLUE).folders
    (verdict,) = judge(folder.rules, facts(path))
    assert (verdict.matched, verdict.planned, verdict.reason) == (True, None, why)


def test_an_empty_id_is_refused(settings):
    """A group of a regex that took no part gives no recipient."""
    text = GLUE.replace('match: "reports/{topic}/{group}/*.pdf"', 'regex: "(?P<topic>a)/(?P<group>g)?.*"')
    (folder,) = settings(text).folders
    (verdict,) = judge(folder.rules, facts("a/x.pdf"))
    assert verdict.reason == "target.recipients takes an id, and {group} is ''"


def test_examples_may_list_recipients(settings):
    """An example gives recipients as the rule does, and the message as it is sent."""
    example = r"""
        examples:
          - path: reports/a_b/grp_2/r.pdf
            target: {message: '*New* r.pdf on a\_b', recipients: [grp_1, grp_2], subject: a_b}
"""
    (folder,) = settings(GLUE + example.removeprefix("\n")).folders
    (rule,) = folder.rules
    assert run_example(folder.rules, rule, rule.examples[0], facts("any")) is None


def test_ions_keys_are_refused(problems):
    """What only ION knows is said to be only for it."""
    keys = "    validate_upload: true\n    doubt: {query: 'query($entityId: ID!) { x }', rows: x}\nfolders:"
    assert problems(GLUE.replace("folders:", keys)) == [
        "7:5: destinations.glue.validate_upload: is only for kind ion; leave it out",
        "8:5: destinations.glue.doubt: is only for kind ion; leave it out",
    ]


@pytest.mark.parametrize(
    ("extra", "missing"),
    [
        ("", "`subject`, `redirect_uri`"),
        ("      extra: {subject: wks_1}\n", "`redirect_uri`"),
        ("      extra: {subject: wks_1, redirect_uri: https://a.example}\n", ""),
    ],
)
def test_what_glue_wants_for_a_token(problems, extra, missing):
    """Client credentials without a workspace get a warning, since Glue's page calls both fields required."""
    found = problems(GLUE.replace("    token: {env: GLUE_TOKEN}\n", OAUTH + extra))
    assert len(found) == bool(missing)
    assert all(f"warning: Glue gives no token without {missing} in `extra`" in line for line in found), found
