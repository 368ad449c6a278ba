import pytest

from attachd.config.notyet import NOT_YET
from attachd.config.shape import part_at

COMING = """\
version: 1
service:
  status: 0.0.0.0:8780
  status_token: {credential: page}
lookups:
  by_serial:
    - query: "query($s: String!) { runs(serial: $s) { id } }"
      variables: {s: "{serial}"}
      rows: "runs[?open].{id: id}"
      where: {"id": "{serial}"}
      give: {entity: id}
destinations:
  ion:
    kind: ion
    url: https://ion.example/graphql
    oauth:
      token_url: https://auth.example/token
      client_id: me
      client_secret: {env: X}
      extra: {audience: a}
    limits: {requests_per_second: 0.5, bandwidth: 20 MB}
  glue:
    kind: glue
    url: https://glue.example/graphql
    token: {credential: glue-token}
folders:
  - path: drop
    existing: upload
    require_mount: true
    rules:
      - name: a
        match: "{serial}/*"
        to: ion
        target: {lookup: by_serial}
        after: {move: "sent/{sha256}/{file}"}
        complete: {whole: off, marker: "{file}.done", min_size: 1 kB, within: 10m}
        wait: 24h
      - name: b
        match: "reports/{topic}/*"
        to: glue
        target: {message: "New {file} on {topic}", reply_to: m1, recipients: ["{topic}", all], subject: s}
      - name: c
        match: "other/very/deep/*"
        to: glue
        target: {thread: t1}
"""


def test_every_coming_key_is_said_to_be_not_yet_available(problems):
    """Each key whose function is not there is refused by name, and nothing else is wrong with it."""
    lines = problems(COMING)
    assert all("is not yet available" in line for line in lines), lines
    said = {line.split(" ")[1].rstrip(":").rpartition(".")[2] for line in lines}
    assert said == {entry.at[-1] for entry in NOT_YET}


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("wait: 24h", "wait: soon", "wait"),
        ("whole: off", "whole: maybe", "complete.whole"),
        ("sent/{sha256}", "sent/{sha}", "after.move"),
        ("{file}.done", "{fill}.done", "complete.marker"),
        ("require_mount: true", "require_mount: 3", "require_mount"),
        ("0.5", "-1", "requests_per_second"),
        ("runs[?open]", "runs[?open", "rows"),
        ("lookup: by_serial", "lookup: by_serials", "target.lookup"),
        ('recipients: ["{topic}", all]', "recipients: []", "recipients"),
        ("thread: t1", "thread: t1, recipients: a", "recipients"),
        ("subject: s}", 'subject: s, run: "1"}', "target.run"),
        ("https://auth.example/token", "http://auth.example/token", "oauth.token_url"),
        ("0.0.0.0:8780", "8780", "service.status"),
    ],
)
def test_a_coming_key_with_a_wrong_value_is_an_ordinary_error(problems, old, new, path):
    """Its own mistake is what is said, so that the file is right on the day the function comes."""
    assert old in COMING
    wrong = [line for line in problems(COMING.replace(old, new)) if "not yet available" not in line]
    assert len(wrong) == 1
    assert path in wrong[0]


def test_the_list_of_coming_keys_names_keys_that_exist():
    """A line that is left over after a renaming would never be noticed otherwise."""
    unknown = [entry for entry in NOT_YET if entry.at[-1] not in part_at(entry.at[:-1]).keys()]  # noqa: SIM118
    assert unknown == []
