"""A ledger that lives in memory, a sink that records, and folders under watch that end with their test."""

import fcntl
import os
import threading
import time
from collections import UserDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from attachd.core.noise import Noise
from attachd.core.settings import Existing, FolderSettings, Watch
from attachd.folders import reach
from attachd.folders.events import FolderEvents
from attachd.folders.mailbox import Mailbox
from attachd.folders.mounts import filesystem_of
from attachd.folders.watch import FolderWatch
from attachd.model import FolderRecord, Signs

LIMIT = 60.0
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


class SystemClock:
    def now(self):
        return datetime.now(UTC)

    def monotonic(self):
        return time.monotonic()


class Paths(UserDict):
    """Signs by path, and by directory and name, so that one directory is asked for as quickly as any."""

    def __init__(self):
        self.below = defaultdict(dict)
        super().__init__()

    def __setitem__(self, path, signs):
        directory, _, name = path.rpartition("/")
        self.below[directory][name] = self.data[path] = signs

    def __delitem__(self, path):
        directory, _, name = path.rpartition("/")
        del self.data[path], self.below[directory][name]


class MemoryLedger:
    """Keeps what a folder's part of the ledger keeps; `fails` is raised while it is set."""

    def __init__(self):
        self.files = Paths()
        self.pending = set()
        self.parked = set()
        self.existing = Paths()
        self.first_scan_done = False
        self.filesystem = None
        self.asked = []
        self.fails = None

    def known(self, folder_id, directory):
        if self.fails:
            raise self.fails
        self.asked.append(directory)
        found = self.existing.below[directory] | self.files.below[directory]
        return {(name, signs.size, signs.mtime_ns, signs.ctime_ns) for name, signs in found.items()}

    def known_among(self, folder_id, directory, names):
        return {one for one in self.known(folder_id, directory) or () if one[0] in names}

    def pending_paths(self, folder_id) -> Iterator[str]:
        yield from sorted(self.pending | self.parked)

    def noted_paths(self, folder_id) -> Iterator[str]:
        yield from sorted(self.parked)

    def parked_paths(self, folder_id) -> Iterator[str]:
        yield from sorted(self.parked)

    def record_existing(self, folder_id, files, at):
        if self.fails:
            raise self.fails
        self.existing.update(files)

    def finish_first_scan(self, folder_id):
        self.first_scan_done = True

    def note_filesystem(self, folder_id, filesystem):
        self.filesystem = filesystem


class Intake:
    """Records what it is told and writes it to the ledger, as the pipeline's intake does."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.files = []
        self.irregular = {}
        self.parked_files = {}
        self.gone_paths = []
        self.open = threading.Event()
        self.open.set()

    @property
    def paths(self):
        return sorted(file.path for file in list(self.files))

    def settled(self, file):
        self.open.wait(LIMIT)
        self.files.append(file)
        self.ledger.files[file.path] = file.signs
        self.ledger.pending.add(file.path)
        self.ledger.parked.discard(file.path)

    def unmatched(self, folder_id, path, signs, reason):
        self.irregular[path] = reason
        self.ledger.files[path] = signs
        self.ledger.pending.add(path)

    def parked(self, folder_id, path, signs, reason):
        self.parked_files[path] = reason
        self.ledger.parked.add(path)
        self.ledger.files[path] = signs

    def gone(self, folder_id, path):
        self.gone_paths.append(path)
        self.ledger.files.pop(path, None)
        self.ledger.pending.discard(path)
        self.ledger.parked.discard(path)


@pytest.fixture(autouse=True)
def _no_process_is_left():
    """End what touched a share for the test, once everything else of it has ended."""
    yield
    reach.close()


@pytest.fixture
def until():
    """Wait for a condition, with a limit."""

    def wait(condition, limit=LIMIT):
        end = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < end, f"not within {limit} seconds"
            time.sleep(0.01)

    return wait


@pytest.fixture
def root(tmp_path):
    """Make the folder to watch."""
    path = tmp_path / "drop"
    path.mkdir()
    return path


@pytest.fixture
def ledger():
    """Make a ledger in memory."""
    return MemoryLedger()


@pytest.fixture
def intake(ledger):
    """Make a sink that records."""
    return Intake(ledger)


@pytest.fixture
def watch(root, ledger, intake):
    """Watch `root`; other keywords go to the folder's settings."""
    started = []

    def begin(
        *,
        started_at=None,
        filesystem=None,
        protected=(),
        sink=None,
        start=True,
        ignore=(),
        rules=(),
        **settings,
    ):
        values = {"existing": Existing.UPLOAD, "watch": Watch.AUTO, "settle": 0.1, "rescan": 300.0} | settings
        record = FolderRecord(
            id=1,
            path=str(root),
            filesystem=filesystem or filesystem_of(str(root)),
            first_started_at=started_at or datetime.now(UTC),
            first_scan_done=ledger.first_scan_done,
        )
        folder = FolderWatch(
            FolderSettings(path=str(root), rules=rules, ignore=ignore, **values),
            record,
            ledger,
            sink or intake,
            SystemClock(),
            Noise(ignore),
            protected,
            pulse=0.05,
        )
        started.append(folder)
        if start:
            folder.start()
        return folder

    yield begin
    intake.open.set()
    for folder in started:
        assert folder.stop(LIMIT)


@pytest.fixture
def mailbox():
    """Make an empty mailbox."""
    return Mailbox()


@pytest.fixture
def watching(root, mailbox):
    """Watch the folder for events; a second stop does nothing."""
    watch = FolderEvents(str(root), mailbox)
    assert watch.start() == ""
    yield watch
    watch.stop()
    watch.stop()


@pytest.fixture
def signs_at():
    """Give the signs of what lies at a path now."""
    return lambda path: Signs.of(Path(path).lstat())


@pytest.fixture
def queue_of():
    """Let queues made inside hold so many events: a setting of the machine, so for one test at a time."""

    @contextmanager
    def lowered(length):
        if not os.access(QUEUE, os.W_OK):
            assert not os.environ.get("CI"), "lowering a limit of inotify needs root"
            pytest.skip("lowering a limit of inotify needs root")
        with QUEUE.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = QUEUE.read_text()
            try:
                QUEUE.write_text(str(length))
                yield
            finally:
                QUEUE.write_text(before)

    return lowered
