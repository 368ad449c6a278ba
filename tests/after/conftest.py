"""A folder, a ledger in which its files are attached, and the finisher that acts on them."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from attachd.core.afters import AfterAction, PlannedAfter
from attachd.core.protocols import Change, NewVersion
from attachd.folders.moving import LocalMover
from attachd.ledger.reports import Reports
from attachd.ledger.store import SqliteLedger
from attachd.model import PlannedDelivery, Signs, Standing, State
from attachd.pipeline.finish import Finisher

LIMIT = 20.0

DRIVER = """
import os, signal, sys
import attachd.folders.copying as copying
import attachd.folders.moving as moving
from attachd.ledger.afters import Afters

events, last = 0, 0

def event():
    global events
    events += 1
    if events == last:
        os.kill(os.getpid(), signal.SIGKILL)

def watched(call):
    def instead(*given, **named):
        event()
        result = call(*given, **named)
        event()
        return result
    return instead

moving.rename_new = watched(moving.rename_new)
moving.flush = watched(moving.flush)
moving._make = watched(moving._make)
copying._dress = watched(copying._dress)
os.unlink = watched(os.unlink)
os.write = watched(os.write)
Afters.take = watched(Afters.take)
Afters.finish = watched(Afters.finish)

sys.path.insert(0, sys.argv[2])
from conftest import Stage
from pathlib import Path

for line in sys.stdin:
    last = int(line)
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)  # its log is not our answer
        stage = Stage(Path(sys.argv[1]))
        stage.finish()
        stage.close()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Clock:
    """Real clocks, the wall clock shifted by `ahead` seconds."""

    ahead = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.ahead, UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class Stage:
    """One folder `drop`, one ledger, one finisher, all in a directory; a second process can have the same."""

    def __init__(self, directory: Path) -> None:
        self.driver: subprocess.Popen[str] | None = None
        self.directory = directory
        self.drop = directory / "drop"
        self.drop.mkdir(exist_ok=True)
        self.clock = Clock()
        self.path = str(directory / "attachd.db")
        self.ledger = SqliteLedger.open(self.path, create=True)
        self.folder = self.ledger.open_folder(str(self.drop), "ext4", self.clock.now())
        self.there = True
        self.markers: dict[str, str] = {}
        self.rules: dict[str, PlannedAfter | None] = {}
        self.mover = LocalMover(lambda: [str(self.drop)])
        self.finisher = Finisher(
            ledger=self.ledger.afters,
            mover=self.mover,
            clock=self.clock,
            judge=self.judge,
            folders=lambda: [self.folder.id] if self.there else [],
            in_place=lambda _: self.there,
            marker=lambda action: self.markers.get(action.path),
        )

    def judge(self, action: AfterAction) -> PlannedAfter | None:
        """Say what the rules in force make of a file: what was planned, where a test says nothing else."""
        planned = PlannedAfter(rule=action.rule, kind=action.kind, target=action.target)
        return self.rules.get(action.path, planned)

    def close(self) -> None:
        if self.driver is not None:
            self.driver.communicate(timeout=LIMIT)
        self.finisher.stop()
        self.finisher.join(LIMIT)
        self.ledger.close()

    def put(self, path: str, content: bytes = b"delivered") -> Path:
        file = self.drop / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def record(self, path: str, after: PlannedAfter | None, *targets: str) -> list[int]:
        """Record a file that settled, with one delivery for each target."""
        file = self.drop / path
        new = NewVersion(
            folder_id=self.folder.id,
            path=path,
            signs=Signs.of(file.stat()),
            standing=Standing.MATCHED,
            planned=[
                PlannedDelivery(
                    rule="photos", destination="ion", target={"run_step": target}, filename="f", dedupe=True
                )
                for target in targets or ("1",)
            ],
            after=after,
        )
        return list(self.ledger.record(new, self.clock.now()))

    def attach(self, *, but: int | None = None) -> None:
        """Attach everything that is ready, save one."""
        for delivery in self.ledger.claim("ion", "run 1", self.clock.now(), 100):
            if delivery.id != but:
                sha256 = hashlib.sha256((self.drop / delivery.path).read_bytes()).hexdigest()
                self.ledger.identify(delivery, sha256, self.clock.now(), "run 1")
                done = Change(to=State.DONE, at=self.clock.now(), by="run 1", remote_id="9")
                self.ledger.change(delivery, done)

    def attached(self, path: str, after: PlannedAfter, content: bytes = b"delivered") -> int:
        """Put a file, record it and attach it; give its delivery's id."""
        self.put(path, content)
        (delivery_id,) = self.record(path, after)
        self.attach()
        return delivery_id

    def finish(self) -> None:
        """Do everything that is due."""
        while (action := self.ledger.afters.due([self.folder.id], self.clock.now())) is not None:
            self.finisher._attempt_guarded(action)

    def after(self, delivery_id: int) -> tuple[str, str]:
        """Give state and detail of a delivery's after-action."""
        with Reports.open(self.path) as reports:
            entry = reports.after_of(delivery_id)
        return entry.state, entry.detail

    def tree(self) -> dict[str, bytes]:
        """Give every file below the directory, the ledger's left out."""
        return {
            str(path.relative_to(self.directory)): path.read_bytes()
            for path in sorted(self.directory.rglob("*"))
            if path.is_file() and not path.name.startswith("attachd.db")
        }

    def killed_at(self, event: int) -> bool:
        """Let another process do what is due and kill itself at an event; False where it came to the end."""
        if self.driver is None:
            self.driver = subprocess.Popen(
                [sys.executable, "-c", DRIVER, str(self.directory), str(Path(__file__).parent)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.driver.stdin
        assert self.driver.stdout
        self.driver.stdin.write(f"{event}\n")
        self.driver.stdin.flush()
        code = int(self.driver.stdout.readline())
        assert code in {0, -signal.SIGKILL}
        return code != 0


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system."""
    shared = Path("/dev/shm")
    if shared.is_dir() and os.access(shared, os.W_OK) and shared.stat().st_dev != tmp_path.stat().st_dev:
        made = Path(tempfile.mkdtemp(dir=shared))
        yield made
        shutil.rmtree(made)
        return
    yield from mounted(tmp_path, "-t", "tmpfs", "tmpfs")


def mounted(tmp_path: Path, *what: str) -> Iterator[Path]:
    """Mount something in a temporary directory, where this user may."""
    place = tmp_path / "mounted"
    place.mkdir()
    done = subprocess.run(["mount", *what, str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must be able to mount: {done.stderr}")
        pytest.skip(f"no right to mount here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
