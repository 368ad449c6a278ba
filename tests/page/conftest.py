"""A service with its page: values for what needs no process, and a real one with real HTTP for the rest."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests import bench as benches

from attachd.errors import LedgerError
from attachd.ledger.reports import Entry
from attachd.model import ErrorInfo, ErrorKind, State
from attachd.simulator.server import Simulator
from attachd.status.facts import DestinationFact, FolderFact, LiveFacts, ServiceFact
from attachd.status.measuring import Measures
from attachd.status.now import FolderNow, Now
from attachd.status.progress import STATES
from attachd.status.snapshot import DestinationStatus, FolderStatus, ServiceStatus

_quiet_environment = benches.quiet_environment
simulator = benches.simulator

LIMIT = benches.LIMIT
AT = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)

RULES = """
version: 1
service:
  status: {address}
  {token}
destinations:
  ion:
    kind: ion
    url: {url}
    token: {ion}
    retry: {{first: 100ms, cap: 500ms, give_up_after: 7d}}
folders:
  - path: drop
    existing: upload
    settle: 200ms
    rescan: 1s
    rules:
      - name: photos
        match: "{{run_step:int}}/*"
        to: ion
        target: {{run_step: "{{run_step}}"}}
"""


@dataclass
class FakeSource:
    """A service of values, for pages that are made without a process."""

    inside: Now
    standing: ServiceStatus
    entries: tuple[Entry, ...] = ()
    fault: LedgerError | None = None

    def now(self) -> Now:
        return self.inside

    def status(self) -> ServiceStatus:
        if self.fault:
            raise self.fault
        return self.standing

    def problems(self, limit: int) -> tuple[Entry, ...]:
        return self.entries[:limit]


def facts(*, healthy: bool = True, detail: str = "") -> LiveFacts:
    return LiveFacts(
        service=ServiceFact(pid=7, run="run 1", started_at="2026-11-22T01:00:00.000Z"),
        folders=(FolderFact(path="/srv/drop", number=3, watch="events", healthy=healthy, detail=detail),),
        destinations=(DestinationFact(name="ion", kind="ion", healthy=healthy, detail=detail),),
    )


def busy() -> Measures:
    """Counts of everything that is counted."""
    measures = Measures()
    measures.settled(3, 2.1, by_hint=True)
    measures.hints_dropped(3, 1)
    measures.claimed("ion", 0.01)
    measures.called("ion", "open", "ok", 0.2)
    measures.sent("ion", 1000)
    measures.attempted("ion", "done", "")
    measures.attached("ion", 4.0)
    return measures


def source(*, healthy: bool = True, detail: str = "") -> FakeSource:
    counts = dict.fromkeys(STATES, 0) | {"done": 5, "held": 1}
    inside = Now(
        facts=facts(healthy=healthy, detail=detail),
        folders=(FolderNow(number=3, healthy=healthy, scan_age=12.0, files_seen=6, settling=1),),
        broken=(),
        ledger_trouble="",
        measured=busy().taken(),
    )
    standing = ServiceStatus(
        running=True,
        healthy=healthy,
        pid=7,
        started_at="2026-11-22T01:00:00.000Z",
        states=counts,
        folders=(FolderStatus(path="/srv/drop", number=3, watch="events", healthy=healthy, states=counts),),
        destinations=(DestinationStatus(name="ion", kind="ion", healthy=healthy, states=counts),),
        oldest_undelivered_at="2026-11-22T01:59:00.000Z",
    )
    return FakeSource(inside=inside, standing=standing)


def entry(path: str, **changes: object) -> Entry:
    made = Entry(
        id=1,
        folder="/srv/drop",
        path=path,
        version=1,
        rule="photos",
        destination="ion",
        target={"run_step": "7"},
        filename=path,
        state=State.HELD.value,
        call="open",
        attempts=1,
        remote_id=None,
        error=ErrorInfo(kind=ErrorKind.REJECTED, message="ION says no", hint="look there"),
        size=1,
        sha256=None,
        first_seen=AT,
        updated_at=datetime.now(UTC) - timedelta(minutes=3),
        next_attempt_at=None,
    )
    return replace(made, **changes)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str


def ask(address: str, path: str, *, method: str = "GET", timeout: float = LIMIT, **headers: str) -> Answer:
    """Make one request; a header `Host` is sent as it is given."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=timeout)
    try:
        connection.request(method, path, headers={"Connection": "close", **headers})
        answer = connection.getresponse()
        return Answer(
            status=answer.status,
            headers={name.lower(): ", ".join(answer.msg.get_all(name, ())) for name in answer.msg},
            text=answer.read().decode(),
        )
    finally:
        connection.close()


class Served(benches.Bench):
    """The real `attachd run` with a page."""

    def write_rules(self, address: str = '"127.0.0.1:0"', token: str = "", url: str = "") -> None:
        self.rules.write_text(
            RULES.format(
                address=address,
                token=f"status_token: {token}" if token else "drain: 5s",
                url=url or self.simulator.graphql_url,
                ion=self.simulator.token,
            )
        )

    def serve(self, driver: Path | None = None, **environ: str) -> str:
        """Start it, and give the address of its page once it is there."""
        self.start(driver, **environ)
        return self.address()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self.processes[-1]

    def address(self, number: int = 1) -> str:
        """Give the address that the page said to have, for the given time."""

        def found() -> list[str]:
            assert self.process.poll() is None, self.log()
            return re.findall(r"page_ready +address=(\S+)", self.log())[number - 1 :]

        return self.wait_until(found, "the page is ready")[0]

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)


@pytest.fixture
def served(tmp_path: Path, simulator: Simulator) -> Iterator[Served]:
    made = Served(tmp_path, simulator)
    yield made
    made.close()


@pytest.fixture
def values() -> SimpleNamespace:
    """Builders of a service that is made of values."""
    return SimpleNamespace(source=source, entry=entry, facts=facts, busy=busy)


@pytest.fixture(name="http")
def _http() -> Callable[..., Answer]:
    """One request: address, path, then keywords."""
    return ask


@pytest.fixture
def until() -> Callable[..., object]:
    """Wait for a condition and give what it gave."""
    return benches.wait_until
