"""What hints cannot tell is scanned within a second, although the folder's next rescan is an hour away."""

import time
from dataclasses import dataclass, field

import pytest

from attachd.folders import events, rounds

pytestmark = pytest.mark.slow
FAR_AWAY = 3600.0
AT_ONCE = 1.0


@dataclass
class Moments:
    """When the kernel said that it lost events, and when each scan began, by the monotonic clock."""

    overflows: list[float] = field(default_factory=list)
    scans: list[tuple[str, float]] = field(default_factory=list)

    def seconds_to_scan(self, directory, since):
        """Give the seconds from a moment until a scan of the directory, or of one above it, began."""
        begun = [at for start, at in self.scans if at >= since and _covers(start, directory)]
        return min(begun) - since


def _covers(start, directory):
    return start in {"", directory} or directory.startswith(f"{start}/")


@pytest.fixture
def moments(monkeypatch):
    """Note the moments on the way; nothing else is changed."""
    noted = Moments()
    handle_event, scan = events._Queue.handle_event, rounds.scan

    def handle(queue, event):
        if event.is_queue_overflow and not queue.is_ending:
            noted.overflows.append(time.monotonic())
        handle_event(queue, event)

    def begin(root, start, **arguments):
        noted.scans.append((start, time.monotonic()))
        yield from scan(root, start, **arguments)

    monkeypatch.setattr(events._Queue, "handle_event", handle)
    monkeypatch.setattr(rounds, "scan", begin)
    return noted


@pytest.fixture
def folder(watch, until):
    """Watch the folder, with hours until the next rescan."""
    begun = watch(rescan=FAR_AWAY)
    until(lambda: begun.health().is_idle)
    assert begun.health().watch == "events"
    return begun


@pytest.fixture
def short_queue(queue_of, watch, until):
    """Watch the folder with a queue of 64 events and hours until the next rescan; give it, and its lock.

    While the lock is held nothing reads the queue.
    """
    with queue_of(64):
        begun = watch(rescan=FAR_AWAY)
        until(lambda: begun.health().watch == "events")
    until(lambda: begun.health().is_idle)
    return begun, begun._lookout._events._queue._lock


def test_a_rescan_begins_when_a_queue_of_sixty_four_events_overflows(
    root, short_queue, moments, intake, until
):
    """10,000 files flat out through a queue of 64: none is missed, and no rescan is waited for."""
    folder, reader = short_queue
    with reader:
        for number in range(300):
            (root / str(number)).write_bytes(b"x")
    for number in range(300, 10_000):
        (root / str(number)).write_bytes(b"x")
    until(lambda: len(set(intake.paths)) == 10_000 and folder.health().is_idle)
    assert moments.seconds_to_scan("", moments.overflows[0]) < AT_ONCE
    assert folder.health().found_by_scan > 0


def test_directories_made_while_events_are_lost_are_watched_soon(root, short_queue, moments, intake, until):
    """The overflow ends once, although more watches are set anew than the queue holds events."""
    folder, reader = short_queue
    lost = [f"d{number}/deep/a" for number in range(200)]
    with reader:  # what it is reading already may be a whole queue: more than two of them are lost for sure
        for name in lost:
            (root / name).parent.mkdir(parents=True)
            (root / name).touch()
    until(lambda: intake.paths == sorted(lost))
    assert moments.seconds_to_scan("", moments.overflows[0]) < AT_ONCE
    until(lambda: folder.health().watches == 401 and folder.health().is_idle)
    by_scan = folder.health().found_by_scan
    for name in lost:
        (root / name).with_name("b").touch()
    until(lambda: len(intake.files) == 400 and folder.health().is_idle)
    assert (len(moments.overflows), folder.health().found_by_scan) == (1, by_scan)


def test_a_tree_moved_in_is_scanned_at_once(root, tmp_path, folder, moments, intake, until):
    """From outside and inside the folder: one event tells of its top, and none of its files."""
    names = [f"tree/d{number % 50}/deep/{number}" for number in range(1000)]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for source, target in ((tmp_path / "tree", root / "tree"), (root / "tree", root / "moved")):
        at = time.monotonic()
        source.rename(target)
        until(lambda target=target: sum(path.startswith(target.name) for path in intake.paths) == 1000)
        assert moments.seconds_to_scan(target.name, at) < AT_ONCE
    assert all(start for start, _ in moments.scans)  # the whole folder was not scanned


def test_directories_do_not_wait_for_the_hints_of_a_burst(root, watch, monkeypatch, until):
    """With 5,000 hints for files before them in the mailbox, fifty are scanned while those are looked at."""
    folder = watch(rescan=FAR_AWAY, start=False)
    looked, begun = [], {}
    look, scan = folder._looks.look_at_hint, rounds.scan

    def look_at_hint(path, **how):
        looked.append(path)
        return look(path, **how)

    def begin(root, start, **arguments):
        begun[start] = len(looked)
        return scan(root, start, **arguments)

    monkeypatch.setattr(folder._looks, "look_at_hint", look_at_hint)
    monkeypatch.setattr(rounds, "scan", begin)
    directories = [f"d{number}" for number in range(50)]
    for number in range(5000):
        folder._mailbox.put(str(number))
    for directory in directories:
        (root / directory).mkdir()
        folder._mailbox.put(directory, is_directory=True)
    folder.start()
    until(lambda: len(looked) == 5050)
    assert max(begun[directory] for directory in directories) < 2500


def test_directories_made_during_a_burst_are_scanned_at_once(root, folder, moments, intake, until):
    """The close of their first files is never told: they are younger than their watch."""
    made = {}
    for number in range(2000):
        directory = f"d{number % 100}"
        if directory not in made:
            made[directory] = time.monotonic()
            (root / directory).mkdir()
        (root / directory / str(number)).write_bytes(b"x")
    until(lambda: len(set(intake.paths)) == 2000 and folder.health().is_idle)
    assert max(moments.seconds_to_scan(directory, at) for directory, at in made.items()) < AT_ONCE
    assert all(start for start, _ in moments.scans)  # the whole folder was not scanned
