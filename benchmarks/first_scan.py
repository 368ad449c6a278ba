"""What a first start before a large backlog needs: `python benchmarks/first_scan.py --files 10000 100000`.

A whole service starts with a folder of files that it has never seen, all of them to be attached, and delivers
to a simulator while its first scan goes on. Printed are the seconds of the scan, when the first file was
attached, how many were by the end of the scan, and the most memory that the service had until then.

It fails where the largest backlog needs more than 24 MB beyond the smallest (caches fill, and nothing that
grows with the files is held), or where nothing was attached before a scan of more than 5 seconds was over.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from attachd.simulator.server import Simulator

MOST_MEMORY = 24.0
LONG = 5.0
PER_DIRECTORY = 1000
LIMIT = 7200.0

RULES = """
version: 1
destinations:
  ion: {{kind: ion, url: "{url}", token: {token}}}
folders:
  - path: drop
    existing: upload
    settle: 100ms
    rules:
      - {{name: all, match: "**", to: ion, target: {{run: "1"}}}}
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one start took: seconds to the end of the scan and to the first file, how many by then, MB."""

    scan: float
    first: float | None
    attached: int
    megabytes: float


def make_tree(root: Path, files: int) -> None:
    """Make small files of different bytes, a thousand to a directory."""
    for number in range(files):
        directory = root / f"unit-{number // PER_DIRECTORY:05}"
        if number % PER_DIRECTORY == 0:
            directory.mkdir(parents=True)
        (directory / f"photo-{number:07}.txt").write_text(f"{number}")


def start(place: Path, simulator: Simulator) -> Figures:
    """Start a service, watch it until its first scan is over, and kill it."""
    (place / "rules.yaml").write_text(RULES.format(url=simulator.graphql_url, token=simulator.token))
    command = [sys.executable, "-m", "attachd", "--config", "rules.yaml", "run"]
    with (place / "log").open("wb") as log:
        service = subprocess.Popen(command, cwd=place, stdout=log, stderr=log)
    try:
        began = time.monotonic()
        over = Said(place / "log", b"scan_finished")
        first = wait_for(lambda: bool(simulator.attachments) or over(), service)
        attached_first = first - began if simulator.attachments else None
        scan = wait_for(over, service) - began
        return Figures(scan, attached_first, len(simulator.attachments), most_memory(service.pid))
    finally:
        service.kill()
        service.wait()


class Said:
    """Whether a log, which may be long, has a line with these words by now; each line is read once."""

    def __init__(self, log: Path, words: bytes) -> None:
        self._log = log
        self._words = words
        self._read = 0
        self._found = False

    def __call__(self) -> bool:
        """Read what is new."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        self._found = self._found or self._words in new
        self._read += max(0, len(new) - len(self._words))
        return self._found


def wait_for(holds: Callable[[], bool], service: subprocess.Popen[bytes]) -> float:
    """Wait until something holds and give when it did, monotonic."""
    end = time.monotonic() + LIMIT
    while not holds():
        if service.poll() is not None or time.monotonic() >= end:
            raise SystemExit("the service ended, or its scan never did")
        time.sleep(0.2)
    return time.monotonic()


def most_memory(pid: int) -> float:
    """Give the most memory in MB that a process had so far: `VmHWM`, proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> int:
    """Measure each size, print it, and give the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--place", type=Path, help="a directory on the file system that is to be measured")
    given = parser.parse_args()
    taken = []
    for files in given.files:
        with tempfile.TemporaryDirectory(dir=given.place) as directory, Simulator() as simulator:
            make_tree(Path(directory) / "drop", files)
            one = start(Path(directory), simulator)
        taken.append(one)
        first = "none" if one.first is None else f"after {one.first:.1f} s"
        print(
            f"{files:>9,} files: scanned in {one.scan:.1f} s, {files / one.scan:.0f} a second; first attached"
            f" {first}, {one.attached:,} by then; {one.megabytes:.1f} MB at most",
            flush=True,
        )
    late = any(one.scan > LONG and not one.attached for one in taken)
    return 1 if late or taken[-1].megabytes > taken[0].megabytes + MOST_MEMORY else 0


if __name__ == "__main__":
    sys.exit(main())
