"""What a dead destination costs another one: `python benchmarks/two_destinations.py`.

A whole service delivers to a simulator: alone, beside an address that refuses every connection, and beside
one that swallows them. The dead one has as many files of its own. The rounds are interleaved, so that what
else the machine does meets all three alike; their medians are compared. It fails where less than 0.8 of the
rate is left.
"""

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from attachd.simulator.server import Simulator

LEAST = 0.8
LIMIT = 300.0
ALONE, REFUSING, SILENT = "alone", "beside one that refuses", "beside one that swallows"

RULES = """
version: 1
destinations:
  well: {{kind: ion, url: "{well}", token: {token}}}
  {dead}
folders:
  - path: drop
    existing: upload
    settle: 100ms
    rules:
      - {{name: well, match: "well/*", to: well, target: {{run: "1"}}}}
      - {{name: dead, match: "dead/*", to: {to}, target: {{run: "2"}}}}
"""


@contextmanager
def refusing() -> Iterator[str]:
    """Give an address at which nobody listens: the port is taken, and not listened at."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/graphql"


@contextmanager
def swallowing() -> Iterator[str]:
    """Give an address where no connection comes about: its queue is full, and further ones are dropped."""
    with ExitStack() as open_sockets:
        listener = open_sockets.enter_context(closing(socket.socket()))
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = open_sockets.enter_context(closing(socket.socket()))
            filler.setblocking(False)  # noqa: FBT003 - the standard library takes it so
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/graphql"


def rules(simulator: Simulator, dead: str | None) -> str:
    """Give a rules.yaml with one destination that is well and, where an address is given, a dead one."""
    second = f'dead: {{kind: ion, url: "{dead}", token: {simulator.token}}}' if dead else ""
    return RULES.format(
        well=simulator.graphql_url, token=simulator.token, dead=second, to="dead" if dead else "well"
    )


def rate(files: int, dead: str | None) -> float:
    """Give the files that the healthy destination gets in a second, from its first to its last."""
    with tempfile.TemporaryDirectory() as directory, Simulator() as simulator:
        place = Path(directory)
        (place / "rules.yaml").write_text(rules(simulator, dead))
        for name in ("well", "dead") if dead else ("well",):
            (place / "drop" / name).mkdir(parents=True)
            for number in range(files):
                (place / "drop" / name / f"{number}.txt").write_text(f"{name} {number}")
        command = [sys.executable, "-m", "attachd", "--config", "rules.yaml", "run"]
        with (place / "log").open("wb") as log:
            service = subprocess.Popen(command, cwd=place, stdout=log, stderr=log)
        try:
            return measured(simulator, files)
        finally:
            service.kill()
            service.wait()


def measured(simulator: Simulator, files: int) -> float:
    """Wait for the first and the last file to be attached, and give the rate between the two."""
    if not simulator.wait_for(lambda: bool(simulator.attachments), LIMIT):
        raise SystemExit("nothing was attached")
    began = time.monotonic()
    if not simulator.wait_for(lambda: len(simulator.attachments) >= files, LIMIT):
        raise SystemExit("not all files were attached")
    return (files - 1) / (time.monotonic() - began)


def main() -> int:
    """Measure, print medians and ratios, and give the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rates: dict[str, list[float]] = {ALONE: [], REFUSING: [], SILENT: []}
    with refusing() as nobody, swallowing() as hole:
        dead = {ALONE: None, REFUSING: nobody, SILENT: hole}
        for _ in range(given.rounds):
            for name, address in dead.items():
                rates[name].append(rate(given.files, address))
    medians = {name: statistics.median(each) for name, each in rates.items()}
    for name, median in medians.items():
        print(f"{name:<26} {median:8.1f} files/s   {median / medians[ALONE]:5.2f} of its rate alone")
    return 0 if min(medians.values()) >= LEAST * medians[ALONE] else 1


if __name__ == "__main__":
    sys.exit(main())
