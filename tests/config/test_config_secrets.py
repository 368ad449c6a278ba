import os
import subprocess
import traceback
from pathlib import Path

import pytest

from attachd.config.load import format_problems, load
from attachd.config.secrets import CREDENTIALS, read_secret, secret_path
from attachd.core.settings import SecretRef
from attachd.errors import ConfigError, UserError

CANARY = "canary-7f3a"


def ref(source: str, value: object) -> SecretRef:
    return SecretRef(source=source, value=str(value))


def test_a_secret_is_read_from_each_place(tmp_path):
    """Environment, file, systemd credential and plain text; one newline at the end is not part of it."""
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    assert read_secret(ref("env", "T"), {"T": "s3cret"}) == "s3cret"
    assert read_secret(ref("file", path), {}) == "s3cret"
    assert read_secret(ref("credential", "token"), {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "s3cret"
    assert read_secret(ref("plain", "s3cret"), {}) == "s3cret"


@pytest.mark.parametrize(
    ("source", "value", "environ", "message"),
    [
        ("env", "T", {}, "environment variable T is not set"),
        ("env", "T", {"T": ""}, "the secret from environment variable T is empty"),
        ("env", "T", {"T": "\n"}, "the secret from environment variable T is empty"),
        ("env", "T", {"T": "  \n"}, "the secret from environment variable T is empty"),
        ("env", "T", {"T": f"{CANARY}\n\n"}, "the secret from environment variable T has characters"),
        ("env", "T", {"T": f"{CANARY}\u00e9"}, "the secret from environment variable T has characters"),
        ("file", "/no/such", {}, "cannot read the secret file /no/such: No such file or directory"),
        ("credential", "c", {}, "credential c: $CREDENTIALS_DIRECTORY is not set"),
        (
            "credential",
            "c",
            {"CREDENTIALS_DIRECTORY": "/no"},
            "cannot read the secret file /no/c: No such file",
        ),
    ],
)
def test_a_secret_that_cannot_be_had_says_where_was_looked(source, value, environ, message):
    """The place and the remedy are named, the secret never is."""
    with pytest.raises(UserError) as caught:
        read_secret(ref(source, value), environ)
    assert caught.value.message.startswith(message)
    assert caught.value.hint
    assert CANARY not in caught.value.message + caught.value.hint


def test_a_secret_file_that_is_no_text_is_refused(tmp_path):
    """Bytes that are not UTF-8 cannot be a token."""
    path = tmp_path / "token"
    path.write_bytes(b"\xff\xfe" + CANARY.encode())
    with pytest.raises(UserError, match="is not UTF-8"):
        read_secret(ref("file", path), {})


def test_a_secret_from_a_pipe_that_nobody_writes_to_is_empty(tmp_path):
    """It is not waited for: a service that did could not even be stopped."""
    os.mkfifo(tmp_path / "token")
    with pytest.raises(UserError, match="is empty"):
        read_secret(ref("file", tmp_path / "token"), {})


def test_a_secret_may_come_from_a_pipe(tmp_path):
    """As from bash's `<(…)`: whoever writes to it may take a while."""
    with subprocess.Popen(["sh", "-c", "sleep 0.2; echo s3cret"], stdout=subprocess.PIPE) as writer:
        assert read_secret(ref("file", f"/dev/fd/{writer.stdout.fileno()}"), {}) == "s3cret"


def test_a_plain_secret_is_a_warning(problems, good):
    """It works, and the ways to do it better are named."""
    (line,) = problems(good.replace("{env: ION_TOKEN}", CANARY))
    assert line.startswith(
        "6:12: destinations.ion.token: warning: the secret stands here in plain text; write"
    )


def test_a_plain_secret_that_everybody_may_read_is_a_louder_warning(write, good):
    """The permissions of the file are part of the warning."""
    path = write(good.replace("{env: ION_TOKEN}", CANARY))
    path.chmod(0o644)
    _, (warning,) = load(path, {})
    assert "everybody on this machine may read the file" in warning.what
    assert "chmod 600" in warning.hint


PLACES = {
    "token": "token: CANARY",
    "number": "token: 12:34:56 # CANARY",
    "table key": "token: {CANARY: x}",
    "bare braces": "token: {CANARY}",
    "empty table key": "token:\n      CANARY:",
    "duplicate key": "token: {CANARY: 1, CANARY: 2}",
    "list": "token: [CANARY]",
    "tag": "token: !CANARY x",
    "alias": "token: *CANARY",
    "anchor": "token: &CANARY",
    "at sign": "token: @CANARY",
    "open quote": 'token: "CANARY',
    "text after quotes": 'token: "a"CANARY',
    "escape": 'token: "\\qCANARY"',
    "missing space": "more: {token:CANARY}",
    "missing space in a table": "token: {env:CANARY}",
    "merge": "token: {<<: CANARY}",
    "user in url": "url: https://CANARY@ion.example/",
    "query of url": "url: https://ion.example/?key=CANARY",
    "url": "url: CANARY",
    "proxy": "proxy: http://CANARY:CANARY@proxy:1",
    "oauth": "oauth: {client_secret: CANARY, client_id: {CANARY: 1}, extra: {a: [CANARY]}}",
    "storage host": 'storage_hosts: ["https://s3.example/?X-Amz-Signature=CANARY"]',
    "text after token": "token: {env: X} CANARY",
    "handle": "token: !CANARY!x y",
    "variable name": 'token: {env: "CANARY value"}',
    "wrong kind": "kind: {token: CANARY}",
}


@pytest.mark.parametrize("line", PLACES.values(), ids=PLACES)
def test_no_message_repeats_a_secret(write, good, line):
    """Wherever a token was written by mistake, neither problems nor tracebacks show it."""
    text = good.replace("existing: upload", "existing: uplod") + "destination: 5\n"
    key = line.partition(":")[0]
    lines = [each for each in text.split("\n") if not each.startswith(f"    {key}:")]
    lines.insert(3, "    " + line.replace("CANARY", CANARY))
    with pytest.raises(ConfigError) as caught:
        load(write("\n".join(lines)), {})
    shown = "\n".join(
        [*format_problems(caught.value), repr(caught.value), *traceback.format_exception(caught.value)]
    )
    assert CANARY not in shown
    assert "12:34:56" not in shown


def test_settings_do_not_show_a_plain_secret(settings, good):
    """A log line or traceback with the settings in it is harmless."""
    made = settings(good.replace("{env: ION_TOKEN}", CANARY))
    assert made.destinations["ion"].token.value == CANARY
    assert CANARY not in repr(made)


def test_secrets_in_files_can_be_found_again():
    """Files and credentials have a path to look at for changes; variables and plain text have none."""
    environ = {CREDENTIALS: "/run/credentials/attachd"}
    assert secret_path(ref("file", "/srv/token"), environ) == Path("/srv/token")
    assert secret_path(ref("credential", "token"), environ) == Path("/run/credentials/attachd/token")
    assert secret_path(ref("env", "TOKEN"), environ) is None
    assert secret_path(ref("plain", "abc"), environ) is None
