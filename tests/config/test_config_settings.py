import os
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from attachd.config.context import UNSET_URL
from attachd.config.load import load
from attachd.core.settings import (
    DestinationSettings,
    Existing,
    LogFormat,
    OAuthSettings,
    OnDoubt,
    RetryPolicy,
    SecretRef,
    ServiceSettings,
    Watch,
)
from attachd.errors import ConfigError

EVERYTHING = """\
version: 1
ledger: var/ledger.db
keep: 90d
timezone: Europe/Berlin
x-rule: &rule
  to: ion
  on_duplicate: upload
  continue: yes
x-more: {<<: *rule, anything: [goes, {here: 1}]}
service:
  drain: 1m
  log: {level: debug, format: json}
types: {serial: "[A-Z]{2}[0-9]{4,8}"}
destinations:
  ion:
    kind: ion
    url: {env: ION_URL, default: "http://127.0.0.1:9/graphql"}
    token: {file: secrets/token}
    auth_scheme: ""
    workers: 3
    ca_file: ca.pem
    proxy: http://proxy:3128
    timeouts: {connect: 500ms, read: 1.5m}
    limits: {max_file_size: 200 MB}
    retry: {first: 1s, cap: 2h, give_up_after: 2d}
    storage_hosts: [S3.Example.com, 127.0.0.1]
    on_doubt: retry
    validate_upload: false
folders:
  - path: [one, /srv/two]
    existing: ignore
    watch: scan
    settle: 0s
    rescan: 250ms
    ignore: ["*.bak"]
    require_mount: auto
    case_sensitive: true
    rules:
      - <<: *rule
        name: parts
        match: ["{part:serial}/*", "deep/{part:serial}/**"]
        target: {part: "{part}"}
        filename: "{part}-{sha256}.{ext}"
        after: keep
        on_change: ignore
        max_versions: 0
      - name: runs
        regex: "(?P<run>[0-9]+)/.*"
        to: ion
        target: {run: "{run}"}
        wait: 90s
"""


def test_every_working_key_reaches_the_settings(settings, tmp_path):
    """A file that uses each key that works comes out with units converted and paths made absolute."""
    (tmp_path / "ca.pem").touch()
    made = settings(EVERYTHING)
    assert (made.file, made.ledger) == (str(tmp_path / "rules.yaml"), str(tmp_path / "var/ledger.db"))
    assert made.timezone == ZoneInfo("Europe/Berlin")
    assert made.keep == 90 * 24 * 3600.0
    assert made.service == ServiceSettings(drain=60.0, log_level="debug", log_format=LogFormat.JSON)
    assert made.destinations == {
        "ion": DestinationSettings(
            name="ion",
            kind="ion",
            url="http://127.0.0.1:9/graphql",
            token=SecretRef(source="file", value=str(tmp_path / "secrets/token")),
            auth_scheme="",
            workers=3,
            ca_file=str(tmp_path / "ca.pem"),
            proxy="http://proxy:3128",
            connect_timeout=0.5,
            read_timeout=90.0,
            max_file_size=200_000_000,
            retry=RetryPolicy(first=1.0, cap=7200.0, give_up_after=172800.0),
            storage_hosts=("s3.example.com", "127.0.0.1"),
            on_doubt=OnDoubt.RETRY,
            validate_upload=False,
            waits={"runs": 90.0},
        )
    }


OAUTH = """\
    oauth:
      token_url: https://auth.example/realms/api-keys/protocol/openid-connect/token
      client_id: {env: ION_CLIENT, default: me}
      client_secret: {credential: ion-client}
      extra: {audience: api.example, scope: a b}
    limits: {requests_per_second: 2.5, bandwidth: 20 MB}
"""


def test_oauth_and_limits_reach_the_settings(settings, good):
    """Client credentials take the token's place, and limits are none unless given."""
    made = settings(good.replace("    token: {env: ION_TOKEN}\n", OAUTH)).destinations["ion"]
    assert made.token is None
    assert made.oauth == OAuthSettings(
        token_url="https://auth.example/realms/api-keys/protocol/openid-connect/token",
        client_id="me",
        client_secret=SecretRef(source="credential", value="ion-client"),
        extra=(("audience", "api.example"), ("scope", "a b")),
    )
    assert (made.requests_per_second, made.bandwidth) == (2.5, 20_000_000)
    usual = settings(good).destinations["ion"]
    assert (usual.oauth, usual.requests_per_second, usual.bandwidth) == (None, None, None)


def test_a_list_of_paths_makes_one_folder_each(settings, tmp_path):
    """Both folders have the same rules, and `<<` brings a rule's shared keys in."""
    (tmp_path / "ca.pem").touch()
    one, two = settings(EVERYTHING).folders
    assert (one.path, two.path) == (str(tmp_path / "one"), "/srv/two")
    assert one.rules == two.rules
    assert (one.existing, one.watch, one.settle, one.rescan) == (Existing.IGNORE, Watch.SCAN, 0.0, 0.25)
    assert (one.ignore, one.case_sensitive) == (("*.bak",), True)
    parts, runs = one.rules
    assert (parts.name, parts.to, parts.more, parts.dedupe, parts.needs_sha256) == (
        "parts",
        "ion",
        True,
        False,
        True,
    )
    assert (parts.ignores_changes, parts.max_versions) == (True, 0)
    assert (runs.ignores_changes, runs.max_versions) == (False, 5)
    assert [pattern.text for pattern in parts.patterns] == ["{part:serial}/*", "deep/{part:serial}/**"]
    assert (runs.more, runs.dedupe, runs.filename.text, runs.patterns[0].names) == (
        False,
        True,
        "{file}",
        ("run",),
    )


def test_defaults_are_filled_in(settings, good, tmp_path):
    """What the file leaves out takes the contract's default; what the folder decides stays open."""
    made = settings(good)
    assert made.ledger == str(tmp_path / "attachd.db")
    assert made.timezone is None
    assert made.service == ServiceSettings()
    ion = made.destinations["ion"]
    assert (ion.workers, ion.max_file_size, ion.retry) == (8, 5 * 1024**3, RetryPolicy())
    (folder,) = made.folders
    assert (folder.watch, folder.settle, folder.rescan, folder.ignore) == (Watch.AUTO, None, None, ())


def test_relative_paths_count_from_the_file(write, good, tmp_path, monkeypatch):
    """The working directory decides nothing but where the file itself is found."""
    write(good)
    monkeypatch.chdir("/")
    made, _ = load(Path(os.path.relpath(tmp_path / "rules.yaml")))
    assert made.folders[0].path == str(tmp_path / "drop")


def test_dots_are_tidied_unless_a_link_gives_them_a_meaning(settings, good, tmp_path):
    """`a/../drop` is drop, and `link/../drop` stays what the kernel makes of it."""
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/away")
    tidy, kept = settings(good.replace("path: drop", "path: [a/../drop, link/../drop]")).folders
    assert tidy.path == str(tmp_path / "drop")
    assert os.path.realpath(kept.path) == str(tmp_path / "far" / "drop")


def test_an_address_comes_from_the_environment(settings, good):
    """The variable wins over the default."""
    text = good.replace("https://ion.example/graphql", '{env: ION_URL, default: "https://other.example/"}')
    made = settings(text, {"ION_URL": "https://from.example/"})
    assert made.destinations["ion"].url == "https://from.example/"
    assert settings(text).destinations["ion"].url == "https://other.example/"


def test_a_wrong_address_in_the_environment_is_named_by_its_variable(problems, good):
    """The person has to look at the environment, not at the file; the value itself is not repeated."""
    text = good.replace("https://ion.example/graphql", "{env: ION_URL}")
    (line,) = problems(text, {"ION_URL": "http://me:canary@ion.example"})
    assert line.startswith("5:10: destinations.ion.url: the value of $ION_URL must not hold a user name")
    assert "canary" not in line


def test_reading_commands_do_without_what_lies_outside(write, good):
    """With `resolve=False` an unset variable and missing certificates are warnings only."""
    text = good.replace("https://ion.example/graphql", "{env: ION_URL}\n    ca_file: ca.pem")
    made, warnings = load(write(text), {}, resolve=False)
    assert made.destinations["ion"].url == UNSET_URL
    assert [(warning.path, warning.warning) for warning in warnings] == [
        ("destinations.ion.url", True),
        ("destinations.ion.ca_file", True),
    ]


def test_an_unreadable_file_is_a_config_error_for_the_shell(tmp_path):
    """No such file: one plain sentence, and the exit code of a config error."""
    with pytest.raises(Exception, match=r"rules\.yaml: No such file or directory") as caught:
        load(tmp_path / "rules.yaml")
    assert caught.value.exit_code == ConfigError.exit_code == 78


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("2s", 2), ("5 m", 300), ("1h", 3600), ("7d", 604800)]
)
def test_durations_are_seconds(settings, good, text, seconds):
    """Each unit of the contract is understood."""
    made = settings(good.replace("existing: upload", f"existing: upload\n    settle: {text}"))
    assert made.folders[0].settle == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("1 B", 1), ("200 MB", 200_000_000), ("5 GiB", 5 * 1024**3), ("1.5kB", 1500), ("2 KiB", 2048)],
)
def test_sizes_are_bytes(settings, good, text, size):
    """Decimal and binary units are told apart."""
    made = settings(good.replace("kind: ion", f"kind: ion\n    limits: {{max_file_size: {text}}}"))
    assert made.destinations["ion"].max_file_size == size
