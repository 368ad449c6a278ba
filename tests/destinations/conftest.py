"""A strict HTTP server on loopback that plays ION's API and its storage, and can be told to misbehave."""

import hashlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from attachd.core.protocols import Upload
from attachd.core.settings import DestinationSettings, SecretRef
from attachd.destinations.registry import build
from attachd.destinations.signin import FixedSecret, GivenToken

TOKEN = "canary-token-5f2c9a7d"
SIGNATURE = "canary-signature-93be07d1aa"


@dataclass
class Reply:
    """What the server does: `act` is `answer`, `reset`, `half`, `hang up`, `refuse` or `close later`."""

    status: int = 200
    body: bytes | dict | str = b""
    headers: dict[str, str] = field(default_factory=dict)
    act: str = "answer"
    delay: float = 0.0
    early: bool = False  # before the request's body is read


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    size: int
    body: bytes
    md5: str
    peer: int

    @property
    def json(self):
        return json.loads(self.body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, wrap=None):
        super().__init__(("127.0.0.1", 0), Handler)
        if wrap:
            self.socket = wrap(self.socket)
        self.lock = threading.Lock()
        self.seen: list[Seen] = []
        self.api: deque[Reply] = deque()
        self.storage: deque[Reply] = deque()
        self.scheme = "https" if wrap else "http"
        self.content_type = "image/jpeg"
        self.pause = 0.0  # seconds before a body is read
        self.connections = 0
        self.closed = threading.Event()

    def process_request(self, request, address):
        self.connections += 1
        super().process_request(request, address)

    def handle_error(self, request, address):
        """Resets and hang-ups of the client are part of the tests."""

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.server_port}/graphql"

    def upload_url(self, key="k"):
        return f"{self.scheme}://127.0.0.1:{self.server_port}/bucket/{key}?X-Amz-Signature={SIGNATURE}"

    def calls(self, method):
        return [request for request in self.seen if request.method == method]

    def next_reply(self, request: Seen, queue):
        with self.lock:
            return queue.popleft() if queue else None

    def default_api(self, request: Seen):
        payload = request.json
        if not payload:
            return {}
        if "createFileAttachment" in payload["query"]:
            return {"data": {"createFileAttachment": {"fileAttachment": {"id": 4242}}}}
        if "query Shape" in payload["query"]:
            return {"errors": [{"message": "GraphQL introspection is not allowed"}]}
        name = payload["variables"]["filename"]
        data = {
            "requestFileUploadUrl": {
                "uploadUrl": self.upload_url(f"uploads/{name}"),
                "s3Key": f"uploads/{name}",
                "contentType": self.content_type,
            }
        }
        for entity in ("runStepField", "runStep", "run", "procedure", "step", "part"):
            if f"{entity}(id: $id)" in payload["query"]:
                data[entity] = {"entity": {"id": 9000 + int(payload["variables"]["id"])}}
        return {"data": data}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def do_POST(self):
        request = self.read()
        reply = self.server.next_reply(request, self.server.api)
        self.give(reply or Reply(body=self.server.default_api(request)))

    def do_PUT(self):
        with self.server.lock:
            early = self.server.storage and self.server.storage[0].early
        request = self.read(with_body=not early)
        reply = self.server.next_reply(request, self.server.storage)
        self.give(reply or self.strict(request))

    def do_GET(self):
        self.read()
        self.give(Reply(body=b"<html>welcome</html>"))

    def strict(self, request):
        headers = {name.lower(): value for name, value in request.headers.items()}
        if "transfer-encoding" in headers:
            return Reply(501, b"<Error><Code>NotImplemented</Code></Error>")
        if "content-length" not in headers:
            return Reply(411, b"<Error><Code>MissingContentLength</Code></Error>")
        if "authorization" in headers:
            return Reply(400, b"<Error><Code>InvalidArgument</Code></Error>")
        if headers.get("content-type", "") != self.server.content_type:
            return Reply(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        return Reply(headers={"ETag": f'"{request.md5}"'})

    def read(self, *, with_body=True):
        length = int(self.headers.get("Content-Length", 0)) if with_body else 0
        digest, kept, left = hashlib.md5(), bytearray(), length
        if self.server.pause:
            threading.Event().wait(self.server.pause)
        while left:
            block = self.rfile.read(min(left, 1 << 20))
            if not block:
                break
            digest.update(block)
            if len(kept) < 1 << 20:
                kept += block
            left -= len(block)
        seen = Seen(
            self.command,
            self.path,
            dict(self.headers),
            length - left,
            bytes(kept),
            digest.hexdigest(),
            self.client_address[1],
        )
        with self.server.lock:
            self.server.seen.append(seen)
        return seen

    def give(self, reply):
        if reply.delay:
            threading.Event().wait(reply.delay)
        if reply.act == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        if reply.act == "hang up":
            self.close_connection = True
            return
        body = reply.body
        if isinstance(body, dict):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        extra = 100 if reply.act == "half" else 0
        self.send_header("Content-Length", str(len(body) + extra))
        if reply.early or extra:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)
        if reply.act == "close later":  # without a word of it in the answer
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            self.server.closed.set()
        if reply.early and reply.act != "refuse":  # reads on after its answer; "refuse" just closes
            self.connection.shutdown(socket.SHUT_WR)
            self.rfile.read()


class Bytes:
    """A body of given bytes, or of `size` zeros that are never all in memory."""

    def __init__(self, data: bytes = b"", *, size: int | None = None, fails=None):
        self.size = len(data) if size is None else size
        self.data = data
        self.left = self.total = self.size
        self.fails = fails
        self.digest = hashlib.md5()
        self.largest_read = 0

    def read(self, length=-1, /):
        self.largest_read = max(self.largest_read, length)
        if self.fails and self.left < self.total:
            raise self.fails
        if length < 0:
            length = self.left
        length = min(length, self.left)
        at = self.total - self.left
        block = self.data[at : at + length] if self.data else bytes(length)
        self.left -= length
        self.digest.update(block)
        return block

    def md5_hex(self):
        return self.digest.hexdigest()


class HandClock:
    def __init__(self):
        self.seconds = 1000.0

    def now(self):
        return datetime(2026, 4, 26, 12, 0, tzinfo=UTC)

    def monotonic(self):
        return self.seconds


def run_server(server):
    """Serve in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    return thread


def stop_server(server, thread):
    """End the thread and close the socket."""
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    """No proxy, CA bundle or .netrc of the machine the tests run on."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def reply() -> type[Reply]:
    """What the server is to do with a request."""
    return Reply


@pytest.fixture
def body() -> type[Bytes]:
    """A body of given bytes, or of a number of zeros."""
    return Bytes


@pytest.fixture
def clock():
    """A clock that the test moves by hand."""
    return HandClock()


@pytest.fixture
def server():
    """Play the API and the storage on loopback."""
    made = Server()
    thread = run_server(made)
    yield made
    stop_server(made, thread)


@pytest.fixture
def start_server():
    """Start further servers, with a function that wraps their socket."""
    started = []

    def start(wrap=None):
        made = Server(wrap)
        started.append((made, run_server(made)))
        return made

    yield start
    for made, thread in started:
        stop_server(made, thread)


@pytest.fixture
def settings(server) -> Callable[..., DestinationSettings]:
    """Make settings that lead to the server."""

    def make(**changes):
        values = {
            "name": "ion",
            "kind": "ion",
            "url": server.url,
            "token": SecretRef(source="env", value="ION_TOKEN"),
            "connect_timeout": 2.0,
            "read_timeout": 5.0,
            **changes,
        }
        return DestinationSettings(**values)

    return make


@pytest.fixture
def make_ion(server, settings, clock):
    """Make destinations that are closed at the end."""
    made = []

    def make(token=TOKEN, *, source=None, bind=None, stopped=None, **changes):
        source = source or GivenToken(FixedSecret(token))
        destination = build(settings(**changes), source, clock, bind=bind, stopped=stopped)
        made.append(destination)
        return destination

    yield make
    for destination in made:
        destination.close()


@pytest.fixture
def ion(make_ion):
    """Give a destination with the usual settings."""
    return make_ion()


@pytest.fixture
def upload() -> Callable[..., Upload]:
    """Make what a destination knows of a delivery."""

    def make(**changes):
        values = {
            "delivery_id": 1,
            "filename": "inspection.jpg",
            "target": {"run_step": "42"},
            "size": 3,
            "sha256": "0" * 64,
            **changes,
        }
        return Upload(**values)

    return make


@pytest.fixture
def receipts():
    """Give what a finished put left behind."""
    return {
        "put": {
            "s3_key": "uploads/inspection.jpg",
            "s3_etag": "9c1185a5c5e9fc54612808977ee8f548",
            "entity_id": "9042",
            "content_type": "image/jpeg",
        }
    }


@pytest.fixture
def canaries():
    """Give the token and the signature that nobody may see."""
    return (TOKEN, SIGNATURE)


@pytest.fixture
def dead_address():
    """An address on loopback where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/graphql"
