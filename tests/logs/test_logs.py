import io
import json
import logging
import os
import subprocess
import sys

import pytest
import structlog

from attachd.logs import configure, redact, safe_text


def test_signed_urls_lose_their_query():
    """What makes a signed URL a key is never shown."""
    text = redact("PUT https://files.example/a%20b?X-Amz-Signature=abc&X-Amz-Expires=300 failed")
    assert text == "PUT https://files.example/a%20b?*** failed"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("HTTPS://S3.EXAMPLE/k?X-AMZ-SIGNATURE=abc", "HTTPS://S3.EXAMPLE/k?***"),
        ("with url: /k?sv=2&sig=abc%3D (Caused by", "with url: /k?*** (Caused by"),
        ('"PUT /k?X-Amz-Signature=abc&part=1 HTTP/1.1"', '"PUT /k?X-Amz-Signature=***&part=1 HTTP/1.1"'),
        ("PUT /k?se=3&sig=abc&sr=b", "PUT /k?se=3&sig=***&sr=b"),
        ("x-goog-credential=me%2Fauto&x=1", "x-goog-credential=***&x=1"),
        ("x-amz-security-token=abc/d+e==", "x-amz-security-token=***"),
        ("client_secret=abc&grant_type=x", "client_secret=***&grant_type=x"),
        ("signature='none'", "signature='none'"),
    ],
)
def test_what_makes_a_url_a_key_goes_without_its_host_too(text, shown):
    """Errors of libraries have a URL in parts; other words stay as they are."""
    assert redact(text) == shown


def test_who_signs_in_at_a_proxy_is_not_shown():
    """A URL may hold a name and a password; an address of mail is none."""
    assert redact("no proxy at http://me:p%40ss@proxy:3128/") == "no proxy at http://***@proxy:3128/"
    assert redact("https://host/@me and me@host.example") == "https://host/@me and me@host.example"


def test_authorization_values_are_stars():
    """A token that a library puts into its message is not shown."""
    assert "canary1234567" not in redact("Authorization: Bearer canary1234567")
    assert "canary1234567" not in redact("sent bearer canary1234567 to the host")
    assert redact("the token variable is not set") == "the token variable is not set"


@pytest.mark.parametrize("level", ["debug", "warning"])
def test_watchdog_is_silent(level):
    """It takes the end of a watch for an error; what it loses, the folder tells."""
    stream = io.StringIO()
    configure(level, "json", stream)
    logging.getLogger("watchdog.observers.inotify").error("called when the thread is inactive")
    logging.getLogger("other").error("heard")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["heard"]


def test_names_stay_on_their_line():
    """Control characters and bytes that are no text cannot forge a log line."""
    assert safe_text("a\nERROR forged\x1b[31m\udcff") == "a\\x0aERROR forged\\x1b[31m\\xff"
    assert safe_text("photo\u202egnp.exe \U000e0041") == "photo\\u202egnp.exe \\U000e0041"


def test_what_stands_inside_a_value_is_as_harmless():
    """Targets, lists of names and the text of a traceback cannot forge a line or show a signature either."""
    stream = io.StringIO()
    configure("info", "json", stream)
    try:
        raise ValueError("forged\x1b[2J https://s3.example/k?X-Amz-Signature=abc")  # noqa: TRY301 - to be caught
    except ValueError:
        structlog.get_logger("attachd").exception(
            "broken", target={"run": "1\u202e2"}, ids=("a\nb", 7), error=OSError("a\x07b")
        )
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["target"], entry["ids"], entry["error"]) == (
        {"run": "1\\u202e2"},
        ["a\\x0ab", 7],
        "a\\x07b",
    )
    assert entry["exception"].endswith("ValueError: forged\\x1b[2J https://s3.example/k?***")
    assert entry["exception"].count("\n") > 2


def test_lines_of_libraries_have_the_same_shape():
    """A record of the standard library comes out as JSON like ours, redacted."""
    stream = io.StringIO()
    configure("info", "json", stream)
    logging.getLogger("somebody").warning("see https://host.example/x?secret=1")
    structlog.get_logger("attachd").info("attached", path="a\nb", delivery=7)
    theirs, ours = (json.loads(line) for line in stream.getvalue().splitlines())
    assert theirs["event"] == "see https://host.example/x?***"
    assert (ours["event"], ours["path"], ours["delivery"]) == ("attached", "a\\x0ab", 7)


def test_under_the_journal_lines_begin_with_their_priority(tmp_path):
    """The journal reads `<4>` as warning, and has the time itself (sd-daemon(3))."""
    program = (
        "import os, sys\n"
        "facts = os.fstat(2)\n"
        "os.environ['JOURNAL_STREAM'] = f'{facts.st_dev}:{facts.st_ino}'\n"
        "import structlog\n"
        "from attachd.logs import configure\n"
        "configure('info', 'auto')\n"
        "structlog.get_logger('attachd').warning('gate_closed', destination='ion')\n"
        "try:\n"
        "    {}['a']\n"
        "except KeyError:\n"
        "    structlog.get_logger('attachd').exception('folder_failed')\n"
    )
    log = tmp_path / "journal"
    with log.open("wb") as stderr:
        subprocess.run([sys.executable, "-c", program], stderr=stderr, check=True, env=dict(os.environ))
    closed, failed, *trace = log.read_text().splitlines()
    assert closed == "<4>gate_closed destination='ion'"
    assert failed == "<3>folder_failed"
    assert trace[0].startswith("<3>Traceback")
    assert {line[:3] for line in trace} == {"<3>"}
