"""attachd in processes that kill themselves at a named point, or are killed after a time.

One line of JSON on standard input is one command line, run in a forked process of its own; its exit code
(negative: the signal that ended it) is answered in one line. Nothing of this is in attachd itself: what is
watched is wrapped here, before the first process is forked.
"""

import importlib
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from functools import wraps
from pathlib import Path

HERE = Path(__file__).parent
POINTS = json.loads((HERE / "points.json").read_text())
LOCK = threading.Lock()
COUNTS: Counter[str] = Counter()
ORDER: dict = {}

# Seconds become tenths, so that a test can wait them out.
SHORTER = {
    "attachd.service.run": {"TICK_SECONDS": 0.02},
    "attachd.pipeline.dispatch": {"POLL_SECONDS": 0.05, "DOUBT_SECONDS": 0.2},
    "attachd.pipeline.finish": {"POLL_SECONDS": 0.05},
    "attachd.destinations.absence": {"AT_WORK": 0.3},
}


def reached(point: str) -> None:
    """Die here, if this is the place to die; else note that it came by, where that is asked for."""
    with LOCK:
        COUNTS[point] += 1
        if point == ORDER.get("point") and COUNTS[point] == ORDER["count"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if ORDER.get("trace"):
            with Path(ORDER["trace"]).open("a") as file:
                file.write(point + "\n")


def watched(call, name):
    """Wrap a function: a point before it, and one after it."""

    @wraps(call)
    def instead(*given, **named):
        about = name.format(call=given[1] if "{call}" in name else "")
        reached(f"before {about}")
        result = call(*given, **named)
        reached(f"after {about}")
        return result

    return instead


class Connection:
    """The ledger's writing connection, whose commits are watched."""

    def __init__(self, real) -> None:
        self.real = real

    def __getattr__(self, name):
        return getattr(self.real, name)

    def execute(self, statement, *values):
        if statement != "COMMIT":
            return self.real.execute(statement, *values)
        return watched(self.real.execute, "commit")(statement)


def wrap(place: str, name: str) -> None:
    """Watch what stands at `module:name` or `module:Class.name`."""
    module_name, _, path = place.partition(":")
    owner = importlib.import_module(module_name)
    *classes, attribute = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    setattr(owner, attribute, watched(getattr(owner, attribute), name))


def prepare() -> None:
    """Wrap everything that is watched."""
    from attachd.ledger.writer import Writer

    begin = Writer.__init__
    Writer.__init__ = lambda self, connection, path: begin(self, Connection(connection), path)
    for place, name in POINTS.items():
        wrap(place, name)
    for module, values in SHORTER.items():
        for name, value in values.items():
            setattr(importlib.import_module(module), name, value)
    importlib.import_module("attachd.pipeline.finish").pause_after = lambda attempts: 0.05


def run(order: dict) -> int:
    """Run one command line; never returns to the caller's code."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(order["directory"])
    ORDER.update(order)
    from attachd.cli.main import run_command

    return run_command(order["words"])


def ended(child: int, kill_after: float | None) -> int:
    """Wait for a process, or kill it after so many seconds; give how it ended."""
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Serve orders until the input ends."""
    prepare()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = run(json.loads(line))
            finally:
                os._exit(code)
        print(ended(child, json.loads(line).get("kill_after")), flush=True)


if __name__ == "__main__":
    main()
