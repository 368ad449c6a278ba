"""What a rescan of known files costs: `python benchmarks/scan.py --files 10000 100000 1000000`.

A folder whose files the ledger knows all, unchanged, is scanned by the folder's own thread against a real
ledger. Beside it, on the same tree and in the same run: a bare walk (scandir and stat, nothing compared),
one tick of watchdog's PollingObserver (a snapshot and its difference from the last one, up to 100,000 files)
and `rclone lsf -R` where it is installed. Each is a process of its own, the rounds are interleaved, and the
medians are compared. Memory is what the process needs at its peak beyond what it had before it began.

It fails where the scan takes more than 1.5 times the bare walk, or more than 16 MB beyond the walk's memory.
"""

import argparse
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from watchdog.utils.dirsnapshot import DirectorySnapshot, DirectorySnapshotDiff

from attachd.core.noise import Noise
from attachd.core.settings import Existing, FolderSettings, Watch
from attachd.folders.watch import FolderWatch
from attachd.ledger.store import SqliteLedger
from attachd.service.clock import SystemClock

MOST_TIME, MOST_MEMORY = 1.5, 16.0
PER_DIRECTORY = 1000
POLLING_UP_TO = 100_000
LIMIT = 3600.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What one way took: seconds, seconds of processor time, MB at the peak beyond the start."""

    seconds: float
    busy: float
    megabytes: float


class Silent:
    """A sink for a folder in which nothing is new; it counts what is told all the same."""

    def __init__(self) -> None:
        self.told = 0

    def settled(self, *_: object) -> None:
        """Count a file."""
        self.told += 1

    unmatched = parked = gone = settled


def make_tree(root: Path, files: int) -> None:
    """Make empty files, a thousand to a directory."""
    for number in range(0, files, PER_DIRECTORY):
        directory = root / f"unit-{number // PER_DIRECTORY:05}"
        directory.mkdir(parents=True)
        for each in range(min(PER_DIRECTORY, files - number)):
            os.close(os.open(f"{directory}/photo-{each:04}.jpg", os.O_CREAT | os.O_WRONLY))


def scan_once(root: str, ledger_path: str, existing: Existing) -> float:
    """Have a folder scanned by its own thread and give the seconds, from its start to the scan's end."""
    clock, sink = SystemClock(), Silent()
    ledger = SqliteLedger.open(ledger_path, create=True)
    record = ledger.open_folder(root, "ext4", datetime.now(UTC))
    settings = FolderSettings(path=root, rules=(), existing=existing, watch=Watch.SCAN, rescan=LIMIT)
    watch = FolderWatch(settings, record, ledger, sink, clock, Noise())
    began = clock.now()
    watch.start()
    while watch.health().last_scan_at is None and watch.failure is None:
        time.sleep(0.05)
    ended = watch.health().last_scan_at
    watch.stop(LIMIT)
    ledger.close()
    if ended is None or sink.told:
        raise SystemExit(f"the scan told of {sink.told} files: {watch.failure}")
    return (ended - began).total_seconds()


def walk(root: str) -> float:
    """Look at every file once and give the seconds."""
    began = time.perf_counter()
    pending = [root]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)
    return time.perf_counter() - began


def poll(root: str) -> Figures:
    """Make one tick of a PollingObserver; of the snapshot before it only the memory counts."""
    memory_before = memory("VmRSS")
    before = DirectorySnapshot(root)
    began, busy = time.perf_counter(), time.process_time()
    DirectorySnapshotDiff(before, DirectorySnapshot(root))
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    return Figures(seconds, busy, memory("VmHWM") - memory_before)


def memory(field: str) -> float:
    """Give MB from /proc/self/status: `VmRSS` is what is used now, `VmHWM` the most so far, proc(5)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no {field} in /proc/self/status")


def measured(work: Callable[[], float]) -> Figures:
    """Do a piece of work that gives its own seconds, and add the rest."""
    before, busy = memory("VmRSS"), time.process_time()
    seconds = work()
    return Figures(seconds, time.process_time() - busy, memory("VmHWM") - before)


def in_a_process(mode: str, root: Path, ledger: Path) -> Figures:
    """Measure one way of looking at a tree in a process of its own."""
    command = [sys.executable, __file__, "--mode", mode, "--root", str(root), "--ledger", str(ledger)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Figures(*(float(word) for word in done.stdout.split()))


def rclone(program: str, root: Path) -> Figures:
    """List a tree with size and time by rclone; the memory is all of the process, a Go program."""
    began = time.perf_counter()
    command = [program, "lsf", "-R", "--files-only", "--format", "pst", str(root)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"rclone ended with {process.returncode}")
    return Figures(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def ways(root: Path, ledger: Path, files: int) -> Mapping[str, Callable[[], Figures]]:
    """Give the ways to look at a tree of this size, by name."""
    found: dict[str, Callable[[], Figures]] = {
        "bare walk": lambda: in_a_process("walk", root, ledger),
        "attachd": lambda: in_a_process("scan", root, ledger),
    }
    if files <= POLLING_UP_TO:
        found["PollingObserver"] = lambda: in_a_process("poll", root, ledger)
    if program := shutil.which("rclone"):
        found["rclone lsf -R"] = lambda: rclone(program, root)
    return found


def compare(files: int, rounds: int, place: Path) -> bool:
    """Measure one size, print its lines, and say whether the scan stays within its bounds."""
    root, ledger = place / f"tree-{files}", place / f"ledger-{files}.db"
    make_tree(root, files)
    first = in_a_process("first", root, ledger)
    print(f"{files:,} files; load {os.getloadavg()[0]:.1f}; first scan, all existing: {first.seconds:.2f} s")
    taken: dict[str, list[Figures]] = {name: [] for name in ways(root, ledger, files)}
    for _ in range(rounds):
        for name, way in ways(root, ledger, files).items():
            taken[name].append(way())
    shutil.rmtree(root)
    medians = {name: median(each) for name, each in taken.items()}
    bare, ours = medians["bare walk"], medians["attachd"]
    for name, one in medians.items():
        print(
            f"  {name:<16}{one.seconds:8.3f} s {one.seconds / bare.seconds:6.2f} x the walk   busy"
            f" {one.busy:8.3f} s {one.busy / bare.busy:6.2f} x {one.megabytes:8.1f} MB",
            flush=True,
        )
    return ours.seconds <= MOST_TIME * bare.seconds and ours.megabytes <= bare.megabytes + MOST_MEMORY


def median(each: Sequence[Figures]) -> Figures:
    """Give the median of each figure."""
    return Figures(*(statistics.median(column) for column in zip(*map(astuple, each), strict=True)))


def main() -> int:
    """Measure each size, print what is missing, and give the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--place", type=Path, help="a directory on the file system that is to be measured")
    parser.add_argument("--mode", choices=("walk", "scan", "first", "poll"), help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    parser.add_argument("--ledger", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.mode:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        modes: dict[str, Callable[[], Figures]] = {
            "walk": lambda: measured(lambda: walk(given.root)),
            "poll": lambda: poll(given.root),
            "first": lambda: measured(lambda: scan_once(given.root, given.ledger, Existing.IGNORE)),
            "scan": lambda: measured(lambda: scan_once(given.root, given.ledger, Existing.UPLOAD)),
        }
        print(*astuple(modes[given.mode]()))
        return 0
    if not shutil.which("rclone"):
        print("rclone is not installed: its lines are left out")
    with tempfile.TemporaryDirectory(dir=given.place) as place:
        verdicts = [compare(files, given.rounds, Path(place)) for files in given.files]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
