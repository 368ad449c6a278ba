import json
import os
import signal
import subprocess
import sys
import time

import pytest

from attachd.cli.progress_bar import measured
from attachd.cli.run import summary
from attachd.simulator.server import Simulator
from attachd.status.progress import Progress, tally


@pytest.fixture
def simulator():
    with Simulator() as running:
        yield running


@pytest.fixture
def ready(project, simulator):
    """Give what `run` needs of the environment; the folder settles quickly and has a file to attach."""
    text = project.rules.read_text().replace("existing: upload", "existing: upload\n    settle: 100ms")
    project.rules.write_text(text)
    place = project.directory / "drop" / "st-3" / "42"
    place.mkdir(parents=True)
    (place / "a.jpg").write_bytes(b"bytes")
    return {"ATTACHD_TEST_UNSET_URL": simulator.graphql_url, "ATTACHD_TEST_UNSET_TOKEN": simulator.token}


def test_once_ends_with_a_summary(project, attachd, simulator, ready):
    """`run --once` logs to standard error and writes one line to standard output; all attached is 0."""
    ended = attachd("run", "--once", "--deadline", "30s", **ready)
    assert (ended.code, ended.out) == (0, "1 attached\n")
    assert "stopped" in ended.err
    assert [attachment.filename for attachment in simulator.attachments] == ["st-3-a.jpg"]
    assert simulator.token not in ended.out + ended.err
    assert attachd("run", "--once", **ready).out == "0 attached\n"


def test_what_needs_a_person_gives_4(project, attachd, ready):
    """An unmatched file makes the exit code 4, and the summary names the command that lists it."""
    (project.directory / "drop" / "readme.txt").write_bytes(b"nobody wants me")
    ended = attachd("run", "--once", **ready)
    assert (ended.code, ended.out) == (4, "1 attached, 1 needs you (attachd list --problems)\n")


def test_on_a_terminal_there_is_a_bar_instead_of_information(project, on_terminal, ready):
    """On a terminal a bar shows how far it has come, and log lines of mere information are left out."""
    ended = on_terminal("run", "--once", **ready)
    assert ended.code == 0
    assert "1 attached" in ended.out
    assert "started" not in ended.out
    assert "\x1b[?25l" in ended.out  # the bar hides the cursor while it is drawn
    assert "\x1b[?25h" in ended.out


def test_reading_commands_work_while_it_runs(project, attachd, ready):
    """`status` is 0 and live beside a running service; a second `run` gives 75 and names the first."""
    command = [sys.executable, "-m", "attachd", "run"]
    with subprocess.Popen(command, env={**os.environ, **ready}, stderr=subprocess.DEVNULL) as service:
        try:
            status = live_status(attachd)
            assert (status["running"], status["pid"]) == (True, service.pid)
            assert status["folders"][0]["watch"] in {"events", "scan"}
            assert json.loads(attachd("list", "--json").out)[0]["path"] == "st-3/42/a.jpg"
            second = attachd("run", "--once", **ready)
            assert second.code == 75
            assert f"process {service.pid}" in second.err
        finally:
            service.send_signal(signal.SIGTERM)
        assert service.wait(30) == 0
    ended = attachd("status", "--json")
    assert (ended.code, json.loads(ended.out)["folders"][0]["watch"]) == (3, None)


def live_status(attachd):
    ends = time.monotonic() + 30
    while (ended := attachd("status", "--json")).code != 0 or not json.loads(ended.out)["states"]["done"]:
        assert time.monotonic() < ends, ended
    return json.loads(ended.out)


def test_a_missing_secret_gives_78_and_starts_nothing(project, attachd):
    """`run` names the variable that is not set, and makes no ledger."""
    ended = attachd("run", "--once")
    assert ended.code == 78
    assert "ATTACHD_TEST_UNSET" in ended.err
    assert not (project.directory / "attachd.db").exists()


def test_summary_says_what_is_left():
    """What was attached before does not count; what is left is said in the contract's words."""
    before, after = (
        tally({"done": 5}),
        tally({"done": 7, "duplicate": 1, "waiting": 1, "held": 2, "parked": 1}),
    )
    expected = "3 attached, 1 still on its way, 3 need you (attachd list --problems)"
    assert summary(before, after) == expected


def test_progress_is_measured_against_the_start():
    """The bar counts what this run has brought to an end, of all it knows of."""
    progress = Progress(states={"done": 7, "ready": 3, "held": 1}, settling=2, scanning=True)
    finished, total, words = measured(progress, tally({"done": 5}))
    assert (finished, total) == (3, 8)
    assert words == "2 attached, 3 on its way, 1 needs you, 2 settling, scanning"
