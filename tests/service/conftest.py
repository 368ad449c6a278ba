"""A whole attachd against the simulator: real processes, real files, real HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from attachd.simulator.server import Simulator

LIMIT = 30.0

RULES = """
version: 1
destinations:
  ion:
    kind: ion
    url: {url}
    token: {token}
    retry: {{first: 100ms, cap: 500ms, give_up_after: 7d}}
    timeouts: {{connect: 2s, read: {read}}}
    {extra}
folders:
  - path: drop
    existing: upload
    settle: 200ms
    rescan: 1s
    rules:
      - name: photos
        match: "{{station}}/{{run_step:int}}/**/*.{{jpg|jpeg|png}}"
        to: ion
        target: {{run_step: "{{run_step}}"}}
        filename: "{{station}}-{{file}}"
      - name: part documents
        match: "parts/{{part:int}}/*"
        to: ion
        target: {{part: "{{part}}"}}
      - name: reports
        match: "run-{{run:int}}*.pdf"
        to: ion
        target: {{run: "{{run}}"}}
"""


class Bench:
    """A folder, a rules.yaml and the commands of a user, in a temporary directory."""

    def __init__(self, directory: Path, simulator: Simulator) -> None:
        self.directory = directory
        self.simulator = simulator
        self.drop = directory / "drop"
        self.drop.mkdir()
        self.rules = directory / "rules.yaml"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.write_rules()

    def write_rules(self, *, read: str = "5s", extra: str = "", url: str = "") -> None:
        self.rules.write_text(
            RULES.format(
                url=url or self.simulator.graphql_url, token=self.simulator.token, read=read, extra=extra
            )
        )

    def put(self, path: str, content: bytes = b"bytes") -> Path:
        file = self.drop / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def command(self, *arguments: str, driver: Path | None = None) -> list[str]:
        program = [str(driver)] if driver else ["-m", "attachd"]
        return [sys.executable, *program, "--config", str(self.rules), *arguments]

    def call(self, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=self.directory,
        )

    def once(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.call("run", "--once", *arguments)

    def start(self, driver: Path | None = None, prefix: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        log = (self.directory / "log.txt").open("ab")
        with log:
            process = subprocess.Popen(
                [*prefix, *self.command("run", driver=driver)], stderr=log, stdout=log, cwd=self.directory
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

    def states(self) -> dict[str, str]:
        """Path to state, of the newest version."""
        rows = sorted(self.list(), key=lambda row: (row["version"] or 0, row["id"] or 0))
        return {row["path"]: row["state"] for row in rows}

    def attached(self) -> list[tuple[str, str, int, str]]:
        """Filename, kind of object, entity id and SHA-256 of every attachment, sorted."""
        return sorted((a.filename, a.kind, a.entity_id, a.sha256 or "") for a in self.simulator.attachments)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        process.send_signal(signal.SIGTERM)
        return process.wait(20)

    @staticmethod
    def wait_until(condition: Callable[[], object], what: str = "", limit: float = LIMIT) -> None:
        """Wait until the condition holds."""
        end = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < end, f"not in {limit} s: {what or condition}"
            time.sleep(0.05)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                self.kill(process)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def bench(tmp_path: Path, simulator: Simulator) -> Iterator[Bench]:
    bench = Bench(tmp_path, simulator)
    yield bench
    bench.close()


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ATTACHD_CONFIG", "NOTIFY_SOCKET", "JOURNAL_STREAM", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert "ATTACHD_CONFIG" not in os.environ
