"""A service in a directory of its own, as real processes: what the benches of several rooms share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from attachd.simulator.server import Simulator

LIMIT = 30.0


def wait_until(condition: Callable[[], Any], what: object = "", limit: float = LIMIT) -> Any:
    """Wait until a condition holds, and give what it gave."""
    end = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < end, f"not in {limit} s: {what or condition}"
        time.sleep(0.05)
    return found


class Bench(ABC):
    """A folder, a rules.yaml and the commands of a user. What the rules are, each room says."""

    limit = LIMIT

    def __init__(self, directory: Path, simulator: Simulator, folder: str = "drop") -> None:
        self.directory = directory
        self.simulator = simulator
        self.drop = directory / folder
        self.drop.mkdir()
        self.rules = directory / "rules.yaml"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.write_rules()

    @abstractmethod
    def write_rules(self) -> None:
        """Write the room's rules.yaml."""

    def put(self, path: str, content: bytes = b"bytes") -> Path:
        file = self.drop / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def driver(self, changes: str) -> Path:
        """Write a program that changes something inside attachd and is attachd from then on."""
        path = self.directory / "driver.py"
        path.write_text(
            f"{changes}\nimport sys\nfrom attachd.cli.main import main\nsys.argv[0] = 'attachd'\nmain()\n"
        )
        return path

    def command(self, *arguments: str, driver: Path | None = None) -> list[str]:
        program = [str(driver)] if driver else ["-m", "attachd"]
        return [sys.executable, *program, "--config", str(self.rules), *arguments]

    def call(
        self, *arguments: str, driver: Path | None = None, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, driver=driver),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=self.directory,
        )

    def once(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.call("run", "--once", *arguments)

    def start(
        self, driver: Path | None = None, prefix: Sequence[str] = (), **environ: str
    ) -> subprocess.Popen[bytes]:
        with (self.directory / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [*prefix, *self.command("run", driver=driver)],
                stderr=log,
                stdout=log,
                cwd=self.directory,
                env={**os.environ, **environ},
            )
        self.processes.append(process)
        return process

    def log(self) -> str:
        path = self.directory / "log.txt"
        return path.read_text() if path.exists() else ""

    def list(self, *arguments: str) -> list[dict]:
        done = self.call("list", "--json", *arguments)
        if done.returncode:
            return []
        return json.loads(done.stdout)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait(self.limit)

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        process.send_signal(signal.SIGTERM)
        return process.wait(self.limit)

    def wait_until(self, condition: Callable[[], Any], what: object = "", limit: float | None = None) -> Any:
        return wait_until(condition, what, self.limit if limit is None else limit)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                self.kill(process)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run a simulated ION and Glue."""
    with Simulator() as running:
        yield running


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment leads attachd away."""
    for name in ("ATTACHD_CONFIG", "NOTIFY_SOCKET", "JOURNAL_STREAM", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
