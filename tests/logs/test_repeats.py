"""What becomes one line with a count, and what never does."""

import io
import json

import pytest
import structlog

from attachd import logs
from attachd.log_events import GROUPED, MEANINGS
from attachd.log_repeats import MOST_GROUPS, WINDOW_SECONDS, Repeats
from attachd.logs import configure, tell_repeated
from attachd.service.notify import notify


@pytest.fixture(autouse=True)
def _nothing_repeated(monkeypatch):
    monkeypatch.setattr(logs, "_repeats", Repeats())


def held(number, why="{path} is refused", **fields):
    path = f"a/{number}.txt"
    return {
        "event": "delivery_held",
        "level": "warning",
        "destination": "ion",
        "folder": "/drop",
        "kind": "rejected",
        "path": path,
        "delivery": number,
        "why": why.format(path=path, name=f"{number}.txt", number=number),
    } | fields


@pytest.mark.parametrize(
    "why",
    [
        "the server is down",
        "{path} is refused",
        "{name} is refused",
        "delivery {number} is refused",
        "refused (request 4f1c09ab-{number})",
    ],
)
def test_many_files_for_one_reason_are_one_line_and_a_count(why):
    """What the reason says of the single file does not make it another one."""
    repeats = Repeats()
    assert [repeats.take(held(number, why), 0.0) for number in range(1_000)].count(True) == 1
    (line,) = repeats.due(WINDOW_SECONDS)
    assert (line["what"], line["times"], line["seconds"]) == ("delivery_held", 999, 60)
    assert (line["destination"], line["folder"], line["kind"]) == ("ion", "/drop", "rejected")
    assert (line["level"], line["latest"]) == ("warning", "a/999.txt")


@pytest.mark.parametrize(
    "other",
    [
        {"destination": "glue"},
        {"folder": "/other"},
        {"kind": "permission"},
        {"why": "another reason"},
        {"event": "delivery_waiting"},
    ],
)
def test_other_trouble_has_a_line_of_its_own(other):
    """Destination, folder, kind, reason and event tell troubles apart."""
    repeats = Repeats()
    assert repeats.take(held(1, "the reason"), 0.0)
    assert repeats.take(held(2, "the reason") | other, 0.0)


def test_targets_are_no_part_of_the_reason():
    """Each file has its own target, and the reason names it."""
    repeats = Repeats()
    assert repeats.take(held(1, "run step 42 is closed", target={"run_step": "42"}), 0.0)
    assert not repeats.take(held(2, "run step 43 is closed", target={"run_step": "43"}), 0.0)


def test_bugs_are_the_same_where_their_exceptions_are():
    """A traceback counts by its last line, which is the error."""
    repeats = Repeats()
    bug = {"event": "intake_failed_by_a_bug", "level": "error", "path": "a"}
    assert repeats.take(bug | {"exception": "Traceback\nKeyError: 1"}, 0.0)
    assert not repeats.take(bug | {"exception": "Traceback of another line\nKeyError: 1"}, 0.0)
    assert repeats.take(bug | {"exception": "Traceback\nTypeError: 1"}, 0.0)
    assert repeats.due(WINDOW_SECONDS)[0]["latest"] == "a"


def test_as_long_as_it_goes_on_there_is_one_line_a_minute():
    """The count begins anew each minute; after a quiet minute the next one is written at once again."""
    repeats = Repeats()
    assert repeats.take(held(1), 0.0)
    assert not repeats.take(held(2), 59.0)
    assert repeats.due(59.9) == []
    assert [line["times"] for line in repeats.due(60.0)] == [1]
    assert not repeats.take(held(3), 61.0)
    assert not repeats.take(held(4), 62.0)
    assert [line["times"] for line in repeats.due(120.0)] == [2]
    assert repeats.due(180.0) == []
    assert repeats.take(held(5), 181.0)


def test_at_the_end_what_was_counted_is_told_at_once():
    """A service that stops within the minute loses no count."""
    repeats = Repeats()
    repeats.take(held(1), 0.0)
    repeats.take(held(2), 1.0)
    assert [line["times"] for line in repeats.due(2.0, at_once=True)] == [1]


def test_never_more_is_remembered_than_fits():
    """Beyond so many different troubles each is written in full."""
    repeats = Repeats()
    for number in range(MOST_GROUPS):
        assert repeats.take(held(1, f"reason {number}"), 0.0)
    assert repeats.take(held(1, "one more"), 0.0)
    assert repeats.take(held(2, "one more"), 0.0)


@pytest.mark.parametrize(
    "event", ["attached", "file_settled", "delivery_doubtful", "gate_closed", "repeated"]
)
def test_what_was_done_is_never_grouped(event):
    """Every file that was attached has its line, and every doubt."""
    repeats = Repeats()
    assert all(repeats.take({"event": event, "destination": "ion"}, 0.0) for _ in range(3))
    assert event not in GROUPED
    assert set(MEANINGS) >= GROUPED


def test_the_count_is_a_line_of_its_own():
    """It has the level of what it counts, and nothing of what its thread is doing."""
    stream = io.StringIO()
    configure("info", "json", stream)
    log = structlog.get_logger("attachd")
    with structlog.contextvars.bound_contextvars(delivery=7, destination="ion"):
        for name in ("a", "b", "c"):
            log.warning("delivery_held", path=name, why="refused")
        log.info("attached", path="d")
        tell_repeated()
        tell_repeated(at_once=True)
    first, attached, counted = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["path"], first["delivery"]) == ("delivery_held", "a", 7)
    assert (attached["event"], attached["path"]) == ("attached", "d")
    del counted["timestamp"]
    assert counted == {
        "event": "repeated",
        "level": "warning",
        "what": "delivery_held",
        "times": 2,
        "seconds": 0,
        "destination": "ion",
        "why": "refused",
        "latest": "c",
    }


def test_debug_shows_every_line():
    """Whoever asks for everything gets it."""
    stream = io.StringIO()
    configure("debug", "json", stream)
    for _ in range(3):
        structlog.get_logger("attachd").warning("delivery_held", why="refused")
    assert len(stream.getvalue().splitlines()) == 3


def test_a_manager_that_does_not_listen_is_no_line_a_second(monkeypatch, tmp_path):
    """It is told of every second, and may never come to listen: as where a container inherits its socket."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    stream = io.StringIO()
    configure("info", "json", stream)
    for _ in range(5):
        notify("WATCHDOG=1")
    tell_repeated(at_once=True)
    first, rest = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], rest["event"], rest["times"]) == ("notify_failed", "repeated", 4)
