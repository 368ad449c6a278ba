"""What systemd hears: the words of the status line, the pings, and the time that is asked for."""

import os
import signal
import socket
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from attachd.core.heart import Heart
from attachd.errors import ConfigError
from attachd.service import starting
from attachd.service.notify import notify, watchdog_seconds
from attachd.service.signals import Signals
from attachd.service.starting import ClockUnset, await_clock, refuse_network, tell_opening
from attachd.service.telling import Teller, opening_seconds, standing
from attachd.status.facts import DestinationFact, FolderFact, LiveFacts, ServiceFact


class Clock:
    """Both clocks, moved by hand."""

    def __init__(self, now=datetime(2026, 5, 1, tzinfo=UTC)):
        self.wall, self.seconds = now, 100.0

    def now(self):
        return self.wall

    def monotonic(self):
        return self.seconds


class Manager:
    """The other end of $NOTIFY_SOCKET."""

    def __init__(self, listening):
        self._socket = listening

    def heard(self):
        """Give everything that was said so far, a list of lines for each message."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(65536, socket.MSG_DONTWAIT).decode().splitlines())
            except BlockingIOError:
                return messages


@pytest.fixture
def manager(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield Manager(listening)


@pytest.fixture
def clock():
    return Clock()


def facts(folders=(), destinations=(), refused=""):
    service = ServiceFact(pid=1, run="run 1", started_at="", rules_detail=refused)
    return LiveFacts(service=service, folders=tuple(folders), destinations=tuple(destinations))


WELL = FolderFact(path="/srv/a", watch="events", healthy=True)
ION = DestinationFact(name="ion", kind="ion", healthy=True)


def test_a_loop_that_works_on_beats_and_one_that_waits_rests(clock):
    """Silence is counted from the last beat; at rest there is none, however long."""
    heart = Heart(clock)
    assert heart.silence() == 0.0
    heart.beat()
    clock.seconds += 90
    assert heart.silence() == 90.0
    heart.rest()
    clock.seconds += 90
    assert heart.silence() == 0.0


def test_the_ping_stops_while_a_loop_is_stuck_and_its_name_is_said_once(clock, manager, caplog):
    """Without a ping systemd ends the process; when the loop goes on, so does the ping."""
    teller = Teller(clock, {})
    teller.goes_on("well", [])
    assert manager.heard() == [["WATCHDOG=1", "STATUS=well"]]
    teller.goes_on("well", ["intake"])
    teller.goes_on("well", ["intake"])
    assert manager.heard() == [["STATUS=stuck: intake"]]
    teller.goes_on("well", [])
    assert manager.heard() == [["WATCHDOG=1", "STATUS=well"]]


def test_the_same_words_are_said_once(clock, manager):
    """Between two changes there are pings only."""
    teller = Teller(clock, {})
    teller.ready("well")
    teller.goes_on("well", [])
    assert manager.heard() == [["READY=1", "STATUS=well"], ["WATCHDOG=1"]]


def test_a_drain_asks_for_time_once_a_second(clock, manager):
    """Each second it says how many transfers are left and asks for more time."""
    teller = Teller(clock, {})
    teller.stopping()
    teller.draining(2)
    teller.draining(2)
    clock.seconds += 1
    teller.draining(1)
    first, second, third = manager.heard()
    assert first == ["STOPPING=1", "STATUS=stopping"]
    assert second[1:] == ["EXTEND_TIMEOUT_USEC=15000000", "STATUS=stopping: finishing 2 transfers under way"]
    assert third[2] == "STATUS=stopping: finishing 1 transfer under way"


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_the_one_that_was_set_for_this_process(environ, seconds):
    """As sd_watchdog_enabled(3) has it: another process's watchdog is none of ours."""
    assert watchdog_seconds(environ) == seconds


def test_loops_may_be_silent_for_as_long_as_the_watchdog_waits(clock):
    """The unit's WatchdogSec= is the patience, a minute without one."""
    assert Teller(clock, {"WATCHDOG_USEC": "3000000"}).patience == 3.0
    assert Teller(clock, {}).patience == 60.0


def test_a_line_break_in_a_path_ends_no_assignment(manager):
    """A folder whose name has a line break cannot say READY=1 for us."""
    notify("STATUS=folder /srv/a\nREADY=1: out")
    assert manager.heard() == [["STATUS=folder /srv/a READY=1: out"]]


def test_words_that_are_too_long_never_cost_the_message(manager):
    """A hundred folders may be out at once, and systemd ignores a message of more than 4096 bytes."""
    notify("READY=1", f"STATUS={'folder /srv/прибор: out; ' * 120}")
    ready, status = manager.heard()[0]
    assert ready == "READY=1"
    assert status.startswith("STATUS=folder /srv/прибор: out; ")
    assert status.endswith(" …")
    assert len(f"{ready}\n{status}".encode()) < 4096


def test_the_status_line_says_all_is_well():
    """Singular and plural, and nothing else where nothing waits."""
    assert standing(facts([WELL], [ION]), {}) == "watching 1 folder for 1 destination"
    assert standing(facts([WELL, WELL], [ION, ION]), {}) == "watching 2 folders for 2 destinations"


def test_the_status_line_says_what_waits_and_what_is_not_well():
    """What is on its way and needs a person; each folder, destination, reload and ledger that is not well."""
    out = FolderFact(path="/srv/b", watch="scan", healthy=False, detail="there is no such directory")
    closed = DestinationFact(name="glue", kind="glue", healthy=False, detail="token refused")
    line = standing(facts([WELL, out], [ION, closed], "line 3"), {"ready": 2, "held": 1}, silent=["/srv/a"])
    assert line.split("; ") == [
        "watching 2 folders for 2 destinations",
        "2 on their way",
        "1 needs you",
        "folder /srv/b: there is no such directory",
        "folder /srv/a: no look at it comes to an end",
        "destination glue: token refused",
        "a reload was refused, see the log",
    ]
    assert (
        standing(facts(), {"waiting": 1, "held": 2}, "disk full")
        == "waiting: disk full; 1 on its way; 2 need you"
    )


def test_a_large_ledger_gets_more_time_to_open(clock, manager, tmp_path):
    """The time that is asked for grows with the file and its -wal."""
    ledger = tmp_path / "attachd.db"
    ledger.write_bytes(bytes(4 * 1024**2))
    tell_opening(str(ledger), Teller(clock, {}))
    (message,) = manager.heard()
    assert message == ["EXTEND_TIMEOUT_USEC=61000000", "STATUS=opening the ledger"]
    assert opening_seconds(4 * 1024**3) > 1000


def test_a_start_waits_until_the_clock_is_set(clock, manager):
    """In 1970 nothing is written; the status line says why, and the start goes on by itself."""
    clock.wall = datetime(1970, 1, 1, tzinfo=UTC)
    setter = threading.Timer(0.2, lambda: setattr(clock, "wall", clock.wall + timedelta(days=60 * 365)))
    with Signals() as signals:
        setter.start()
        assert await_clock(clock, signals, Teller(clock, {}), once=False)
    setter.join()
    assert manager.heard()[0][1] == "STATUS=waiting: the clock says 1970-01-01, it is not set yet"


def test_a_stop_ends_the_wait_for_the_clock(clock):
    """SIGTERM is heard while the clock is waited for."""
    clock.wall = datetime(1970, 1, 1, tzinfo=UTC)
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert not await_clock(clock, signals, Teller(clock, {}), once=False)


def test_one_pass_does_not_wait_for_the_clock(clock):
    """`run --once` says so and ends with 75: it may be tried again."""
    clock.wall = datetime(1970, 1, 1, tzinfo=UTC)
    with Signals() as signals, pytest.raises(ClockUnset, match="1970-01-01") as caught:
        await_clock(clock, signals, Teller(clock, {}), once=True)
    assert caught.value.exit_code == 75


def test_a_ledger_on_a_share_is_a_mistake_in_the_rules(monkeypatch, tmp_path):
    """Exit code 78, so that systemd does not start it again and again."""
    monkeypatch.setattr(starting, "filesystem_of", lambda path: "nfs4")
    settings = SimpleNamespace(file="/etc/attachd/rules.yaml", ledger="/mnt/share/attachd.db")
    with pytest.raises(ConfigError) as caught:
        refuse_network(settings)
    assert caught.value.exit_code == 78
    assert "nfs4" in caught.value.problems[0].what


def test_a_reload_that_comes_before_the_rules_are_read_does_not_end_the_service(bench):
    """SIGHUP stands from before rules.yaml is opened: here a pipe, read when the test says so."""
    rules = bench.rules.read_text()
    bench.rules.unlink()
    os.mkfifo(bench.rules)
    service = bench.start()
    with bench.rules.open("w") as pipe:  # opens once attachd reads it
        service.send_signal(signal.SIGHUP)
        pipe.write(rules)
    bench.rules.unlink()
    bench.rules.write_text(rules)
    bench.put("st/42/a.jpg")
    bench.wait_until(lambda: len(bench.simulator.attachments) == 1, "attached")
    assert bench.stop(service) == 0
