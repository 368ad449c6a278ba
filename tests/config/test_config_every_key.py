import pytest

RICH = """\
version: 1
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
"""


def test_every_key_can_be_used(problems):
    """A file that uses what few need checks out."""
    assert problems(RICH) == []


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
        ("https://auth.example/token", "http://auth.example/token", "oauth.token_url"),
    ],
)
def test_a_wrong_value_is_the_only_thing_said(problems, old, new, path):
    """One mistake brings one line, which names its key."""
    assert old in RICH
    (wrong,) = problems(RICH.replace(old, new))
    assert path in wrong
