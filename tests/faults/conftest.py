"""One file, one delivery, a real destination over real sockets, and everything that can befall a call."""

import hashlib
import importlib.util
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from attachd.core.protocols import NewVersion
from attachd.core.settings import DestinationSettings, OnDoubt, RetryPolicy, SecretRef
from attachd.destinations.registry import build
from attachd.destinations.signin import FixedSecret, GivenToken
from attachd.folders.local import LocalFiles
from attachd.ledger.reports import Reports
from attachd.ledger.store import SqliteLedger
from attachd.model import PlannedDelivery, Signs, Standing
from attachd.pipeline.deliver import Worker
from attachd.pipeline.doubt import Reconciler
from attachd.simulator.server import Simulator

_SPEC = importlib.util.spec_from_file_location("hop", Path(__file__).with_name("hop.py"))
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
Hop, context = _MODULE.Hop, _MODULE.context

RETRY = RetryPolicy(first=1.0, cap=60.0)
TARGETS: Mapping[str, dict[str, str]] = {"ion": {"run_step": "42"}, "glue": {"message": "here it is"}}


class Clock:
    """Real clocks, the wall clock shifted by `ahead` seconds."""

    ahead = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


class Struck:
    """A destination, with a blow before one of its calls; storage is reached by a way that can be struck."""

    def __init__(self, real: Any, stage: "Stage") -> None:
        self._real = real
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def open(self, upload: Any) -> Any:
        self._stage.blow("open")
        ticket = self._real.open(upload)
        hop = self._stage.to_storage
        if hop is None or not ticket.url:
            return ticket
        parts = urlsplit(ticket.url)
        netloc = f"{self._stage.host}:{hop.port}"
        return replace(ticket, url=parts._replace(scheme=self._stage.scheme, netloc=netloc).geturl())

    def put(self, ticket: Any, upload: Any, body: Any) -> Any:
        self._stage.ticket = ticket
        self._stage.blow("put")
        return self._real.put(ticket, upload, body)

    def complete(self, call: str, upload: Any, receipts: Any) -> Any:
        self._stage.blow(call)
        return self._real.complete(call, upload, receipts)


class Stage:
    """A folder with one file, a ledger with its delivery, a worker, and a destination behind two hops."""

    def __init__(self, directory: Path, kind: str, *, authority: Path | None, upload: str) -> None:
        self.directory = directory
        self.kind = kind
        self.clock = Clock()
        self.simulator = Simulator(glue_upload=upload)
        self.simulator.start()
        self.ticket: Any = None
        self._blows: dict[str, tuple[Callable[[], None], int]] = {}
        self._certificates = authority
        tls = context(authority / "good") if authority else None
        here = ("127.0.0.1", urlsplit(self.simulator.url).port or 0)
        self.scheme = "https" if authority else "http"
        self.host = "127.0.0.1"
        self.to_api = Hop(here, tls)
        self.to_storage = Hop(here, tls)
        self.ledger = SqliteLedger.open(str(directory / "attachd.db"), create=True)
        self.drop = directory / "drop"
        self.drop.mkdir()
        self.folder = self.ledger.open_folder(str(self.drop), "ext4", self.clock.now())

    def connect(self, read: float = 30.0) -> None:
        """Make the destination and its worker."""
        settings = DestinationSettings(
            name=self.kind,
            kind=self.kind,
            url=f"{self.scheme}://{self.host}:{self.to_api.port}{self._path}",
            token=SecretRef(source="env", value="TOKEN"),
            connect_timeout=10.0,
            read_timeout=read,
            ca_file=str(self._certificates / "good.pem") if self._certificates else None,
            retry=RETRY,
        )
        token = self.simulator.token if self.kind == "ion" else self.simulator.glue_token
        real = build(settings, GivenToken(FixedSecret(token)), self.clock)
        self.destination = Struck(real, self)
        self.worker = Worker(
            destination=self.destination,  # type: ignore[arg-type]
            ledger=self.ledger,
            files=LocalFiles(),
            clock=self.clock,
            run="run 1",
            retry=RETRY,
            waits={},
            look=lambda folder_id, path: None,
            in_place=lambda folder_id: True,
            attached=lambda: None,
            cut=threading.Event(),
        )

    @property
    def _path(self) -> str:
        url = self.simulator.graphql_url if self.kind == "ion" else self.simulator.glue_url
        return urlsplit(url).path

    def put(self, name: str, size: int = 3) -> int:
        """Drop a file of pseudo-random bytes and plan its delivery."""
        file = self.drop / name
        block = hashlib.sha256(name.encode()).digest() * 32768
        file.write_bytes((block * (size // len(block) + 1))[:size])
        new = NewVersion(
            folder_id=self.folder.id,
            path=name,
            signs=Signs.of(file.stat()),
            standing=Standing.MATCHED,
            planned=[
                PlannedDelivery(
                    rule="photos",
                    destination=self.kind,
                    target=TARGETS[self.kind],
                    filename=name,
                    dedupe=True,
                )
            ],
        )
        (delivery,) = self.ledger.record(new, self.clock.now())
        return delivery

    def attempt(self, *, probe: bool = False) -> bool:
        """Make an attempt at the delivery that is due; False where none is."""
        claimed = self.ledger.claim(self.kind, "run 1", self.clock.now(), 1)
        for delivery in claimed:
            self.worker.attempt(delivery, probe=probe)
        return bool(claimed)

    def settle_doubt(self) -> None:
        """Ask the destination about what is doubtful, as the service does."""
        reconciler = Reconciler(
            destination=self.destination,  # type: ignore[arg-type]
            ledger=self.ledger,
            clock=self.clock,
            run="run 1",
            on_doubt=OnDoubt.HOLD,
        )
        for delivery in self.ledger.doubtful(self.kind):
            reconciler.settle(delivery)

    def row(self, delivery: int) -> Any:
        """Give the delivery as `list` shows it."""
        with Reports.open(str(self.directory / "attachd.db")) as reports:
            return reports.entry(delivery)

    def attached(self) -> list[tuple[str, str]]:
        """Give name and hash of everything that is attached."""
        if self.kind == "ion":
            return [(each.filename, each.sha256 or "") for each in self.simulator.attachments]
        sent = {file.id: (file.name, file.content_md5) for file in self.simulator.files}
        return [sent[each] for message in self.simulator.messages for each in message.attachments]

    def delivered(self, name: str) -> tuple[str, str]:
        """Give what `attached` shows of a file that arrived."""
        content = (self.drop / name).read_bytes()
        if self.kind == "ion":
            return name, hashlib.sha256(content).hexdigest()
        return name, b64encode(hashlib.md5(content).digest()).decode()

    def made_twice(self) -> bool:
        """Say whether the destination has a file or an attachment more than once."""
        for made in (self.attached(), [(file.name, file.content_md5) for file in self.simulator.files]):
            if len(made) > len(set(made)):
                return True
        return False

    # --- blows ----------------------------------------------------------------------------------------------

    def strike(self, fault: Mapping[str, Any], call: str, times: int) -> None:
        """Let a fault befall a call, as often as told."""
        do = fault.get("storage") if call == "put" and "storage" in fault else fault.get("do")
        if do is not None:
            self.simulator.fault(call=call, do=do, times=times)
            return
        blow = getattr(self, fault["strike"])
        self._blows[call] = (lambda: blow(self.to_storage if call == "put" else self.to_api), times)

    def blow(self, call: str) -> None:
        """Strike a call that is about to be made, if it is to be struck."""
        blow, times = self._blows.get(call, (lambda: None, 0))
        if times:
            self._blows[call] = (blow, times - 1)
            blow()

    def heal(self) -> None:
        """End every fault."""
        self._blows.clear()
        self.simulator.clear_faults()
        for hop in (self.to_api, self.to_storage):
            if self._certificates:
                hop.tls = context(self._certificates / "good")
            hop.cut()
            hop.heal()
        self.names.clear()

    names: set[str] = set()  # noqa: RUF012 - names that do not resolve; emptied by every test

    def refuse(self, hop: Hop) -> None:
        """Let nobody listen any more."""
        hop.refuse()

    def cut_idle(self, hop: Hop) -> None:
        """Reset the connections that stand idle."""
        hop.cut()

    def swallow(self, hop: Hop) -> None:
        """Reset a connection when a part of the request has come."""
        hop.swallows = True

    def lose_name(self, hop: Hop) -> None:
        """Let the name service not know the host any more."""
        self.names.add(self.host)
        hop.cut()

    def spoil_certificate(self, hop: Hop) -> None:
        """Show a certificate that nobody vouches for."""
        assert self._certificates
        hop.tls = context(self._certificates / "bad")
        hop.cut()

    def use_url_first(self, _hop: Hop) -> None:
        """Use the upload URL up before its owner does."""
        headers = {"Content-Type": self.ticket.content_type, **dict(self.ticket.headers)}
        content = (self.drop / "a.jpg").read_bytes()
        request = urllib.request.Request(self.ticket.url, content, headers, method="PUT")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200

    def close(self) -> None:
        self.heal()
        self.destination.close()
        self.to_api.refuse()
        self.to_storage.refuse()
        self.simulator.stop()
        self.ledger.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make two certificates for loopback; a destination is told to trust the one called good."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make certificates")
    place = tmp_path_factory.mktemp("authority")
    for name in ("good", "bad"):
        command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        command += f" -subj /CN={name} -addext subjectAltName=IP:127.0.0.1 -keyout {name}.key -out {name}.pem"
        subprocess.run(command.split(), cwd=place, check=True, capture_output=True)
    return place


@pytest.fixture
def stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Stage]]:
    """Make stages for a fault; the name service is the one thing outside that is played."""
    made: list[Stage] = []
    resolve = socket.getaddrinfo

    def resolving(host: str, *rest: Any, **named: Any) -> Any:
        if host in Stage.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *rest, **named)

    def make(kind: str, fault: Mapping[str, Any], upload: str = "put") -> Stage:
        secure = fault.get("strike") == "spoil_certificate"
        authority = request.getfixturevalue("authority") if secure else None
        stage = Stage(tmp_path, kind, authority=authority, upload=upload)
        if fault.get("strike") == "lose_name":
            stage.host = "localhost"
        stage.connect(fault.get("read", 30.0))
        made.append(stage)
        return stage

    monkeypatch.setattr(socket, "getaddrinfo", resolving)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    yield make
    for each in made:
        each.close()
