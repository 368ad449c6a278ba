"""A whole attachd against the simulator: real processes, real files, real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import bench as benches

from attachd.simulator.server import Simulator

simulator = benches.simulator
_quiet_environment = benches.quiet_environment

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


class Bench(benches.Bench):
    """A bench whose rules know photos, documents of parts, and reports."""

    def write_rules(self, *, read: str = "5s", extra: str = "", url: str = "") -> None:
        self.rules.write_text(
            RULES.format(
                url=url or self.simulator.graphql_url, token=self.simulator.token, read=read, extra=extra
            )
        )

    def states(self) -> dict[str, str]:
        """Path to state, of the newest version."""
        rows = sorted(self.list(), key=lambda row: (row["version"] or 0, row["id"] or 0))
        return {row["path"]: row["state"] for row in rows}

    def settle(self, driver: Path) -> dict:
        """Run until nothing is left to do, and give the one delivery."""
        service = self.start(driver)
        self.wait_until(lambda: set(self.states().values()) <= {"done", "held"}, "settled")
        self.stop(service)
        (row,) = self.list()
        return row

    def attached(self) -> list[tuple[str, str, int, str]]:
        """Filename, kind of object, entity id and SHA-256 of every attachment, sorted."""
        return sorted((a.filename, a.kind, a.entity_id, a.sha256 or "") for a in self.simulator.attachments)


@pytest.fixture
def bench(tmp_path: Path, simulator: Simulator) -> Iterator[Bench]:
    bench = Bench(tmp_path, simulator)
    yield bench
    bench.close()


@pytest.fixture
def driver(bench: Bench) -> Path:
    """Give the service with short patience: what may still be at work is believed absent after tenths."""
    return bench.driver(
        "from attachd.destinations import absence\n"
        "from attachd.pipeline import dispatch\n"
        "absence.AT_WORK = 0.6\n"
        "dispatch.DOUBT_SECONDS = 0.3\n"
    )


TWO = """
version: 1
destinations:
  first: {{kind: ion, url: {first}, token: {token}, retry: {{first: 50ms, cap: 100ms}}, workers: 2,
           timeouts: {{connect: 2s, read: {read}}}}}
  second: {{kind: ion, url: {second}, token: {token}, workers: 2}}
folders:
  - path: drop
    existing: upload
    settle: 100ms
    rescan: 500ms
    rules:
"""


@pytest.fixture
def lead_to_two(bench: Bench) -> Callable[..., None]:
    """Let the bench's folder lead to two destinations, by rules of the test."""

    def write(first: str, second: str, *rules: str, read: str) -> None:
        head = TWO.format(first=first, second=second, token=bench.simulator.token, read=read)
        bench.rules.write_text(head + "".join(f"      - {rule}\n" for rule in rules))

    return write
