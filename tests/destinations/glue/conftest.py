"""A small Glue on loopback: its API as the vendor's page has it, and storage that keeps what it was sent."""

import hashlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest

from attachd.core.protocols import Upload
from attachd.core.settings import DestinationSettings, SecretRef
from attachd.destinations.glue import Glue
from attachd.destinations.registry import build
from attachd.destinations.signin import FixedSecret, GivenToken

TOKEN = "canary-token-61d0c2"
SIGNATURE = "canary-signature-0f4b77aa21"
POLICY = "canary-policy-eyJleHBpcmF0aW9uIjoi"
KEPT = 1 << 20
FORM = {
    "key": "uploads/upl_1",
    "Content-Type": "application/pdf",
    "file": "@file",
    "x-amz-meta-odd": ' a "quoted" ü ',
    "policy": POLICY,
    "x-amz-signature": SIGNATURE,
}

INPUTS = {
    "CreateFileInput": {"uploadTicketID": "String", "metadata": "FileMetadataInput"},
    "FileMetadataInput": {"width": "Int", "height": "Int", "blurHash": "String"},
}


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request, with the beginning of its body."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    size: int
    start: bytes
    md5: str

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.start)

    @property
    def parts(self) -> list[tuple[str, bytes]]:
        """Give head and content of each part of a form."""
        boundary = (self.header("Content-Type") or "").partition("boundary=")[2].encode()
        assert self.start.startswith(b"--" + boundary + b"\r\n")
        assert self.start.endswith(b"\r\n--" + boundary + b"--\r\n")
        inner = (b"\r\n" + self.start).split(b"\r\n--" + boundary)[1:-1]
        split = [part.removeprefix(b"\r\n").partition(b"\r\n\r\n") for part in inner]
        return [(head.decode(), content) for head, _, content in split]


@dataclass
class Answer:
    """What is answered: `act` is `answer`, or `reset` without an answer once the request was read."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    act: str = "answer"


class SmallGlue(ThreadingHTTPServer):
    """Files by their MD5, and tickets that are good once. What the tests tell it to say comes first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.calls: list[Sent] = []
        self.stored: list[Sent] = []
        self.files: dict[str, dict[str, str]] = {}
        self.tickets: dict[str, dict[str, str]] = {}
        self.next_api: deque[Answer] = deque()
        self.next_storage: deque[Answer] = deque()
        self.nodes: dict[str, Any] = {}
        self.headers: Any = [
            {"name": "Content-Type", "value": "@type"},
            {"name": "x-amz-acl", "value": "private"},
        ]
        self.form: Any = None
        self.inputs: dict[str, dict[str, str]] | None = INPUTS

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/public/graphql"

    def upload_url(self, key: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/bucket/{key}?X-Amz-Signature={SIGNATURE}"

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """Give the variables of every call of one kind, such as `uploadTicket`."""
        sent = [call.json for call in self.calls]
        return [each["variables"] for each in sent if operation in each["query"]]

    def use_form(self, wanted: bool = True) -> None:  # noqa: FBT001, FBT002 - a test's parameter
        """Give out tickets with an S3 form, the file somewhere in the middle, or with none."""
        self.form = [{"name": name, "value": value} for name, value in FORM.items()] if wanted else None

    def api_says(self, status: int = 200, body: Any = b"", act: str = "answer") -> None:
        """Let the next call of the API be answered like this."""
        self.next_api.append(Answer(status, body, {}, act))

    def api_refuses(self, message: str) -> None:
        """Let the next call of the API be refused as GraphQL does it."""
        self.api_says(200, {"data": None, "errors": [{"message": message}]})

    def storage_says(
        self, status: int = 200, body: bytes = b"", headers: dict[str, str] | None = None, act: str = "answer"
    ) -> None:
        """Let the next upload be answered like this."""
        self.next_storage.append(Answer(status, body, headers or {}, act))

    def handle_error(self, request: Any, address: Any) -> None:
        """Let clients hang up."""

    def api(self, call: Sent) -> Any:
        document, variables = call.json["query"], call.json["variables"]
        if "uploadTicket(" in document:
            return {"data": {"uploadTicket": self.ticket(variables["input"])}}
        if "createFile(" in document:
            return self.create(variables["input"])
        if "__type(" in document:
            return self.described(variables["name"])
        if "node(" in document:
            return {"data": {"node": self.nodes.get(variables["id"])}}
        return {"data": {"me": {"id": "usr_1", "name": "Robot"}}}

    def ticket(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if wanted["contentMD5"] in self.files:
            return {"__typename": "File", **self.files[wanted["contentMD5"]]}
        ticket_id = f"upl_{len(self.tickets) + 1}"
        self.tickets[ticket_id] = wanted
        headers = [
            {**each, "value": wanted["contentType"] if each["value"] == "@type" else each["value"]}
            for each in self.headers or []
        ]
        return {
            "__typename": "UploadTicket",
            "id": ticket_id,
            "url": self.upload_url(ticket_id),
            "headers": headers if self.headers is not None else None,
            "formData": self.form,
        }

    def create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        ticket = self.tickets.pop(wanted["uploadTicketID"], None)
        if ticket is None:
            return {"data": None, "errors": [{"message": "Upload ticket not found", "path": ["createFile"]}]}
        made = {"id": f"fil_{len(self.files) + 1}", "name": ticket["name"]}
        self.files[ticket["contentMD5"]] = made
        return {"data": {"createFile": made}}

    def described(self, name: str) -> dict[str, Any]:
        if self.inputs is None:
            return {"errors": [{"message": "GraphQL introspection is not allowed"}]}
        fields = [
            {"name": field, "defaultValue": None, "type": {"kind": "INPUT_OBJECT", "name": kind}}
            for field, kind in self.inputs.get(name, {}).items()
        ]
        return {"data": {"__type": {"fields": None, "inputFields": fields}}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: SmallGlue

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        request = self.read()
        if request.path.startswith("/bucket/"):
            self.store(request)
            return
        with self.server.lock:
            self.server.calls.append(request)
            scripted = self.server.next_api.popleft() if self.server.next_api else None
            answer = scripted or Answer(body=self.server.api(request))
        self.give(answer)

    def do_PUT(self) -> None:
        self.store(self.read())

    def do_GET(self) -> None:
        self.give(Answer(body=b"the bytes"))

    def store(self, request: Sent) -> None:
        with self.server.lock:
            self.server.stored.append(request)
            scripted = self.server.next_storage.popleft() if self.server.next_storage else None
        headers = {"ETag": f'"{request.md5}"'} if request.method == "PUT" else {}
        self.give(scripted or Answer(200 if headers else 204, headers=headers))

    def read(self) -> Sent:
        left = length = int(self.headers.get("Content-Length", 0))
        digest, start = hashlib.md5(), bytearray()
        while left and (block := self.rfile.read(min(left, 1 << 20))):
            digest.update(block)
            start += block[: max(0, KEPT - len(start))]
            left -= len(block)
        return Sent(
            method=self.command,
            path=self.path,
            headers=list(self.headers.items()),
            size=length - left,
            start=bytes(start),
            md5=digest.hexdigest(),
        )

    def give(self, answer: Answer) -> None:
        if answer.act == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if answer.status != 204:
            self.wfile.write(body)


class Content:
    """An open file of given bytes, or of zeros that are never all in memory."""

    def __init__(self, data: bytes = b"", *, zeros: int = 0) -> None:
        self._data = data
        self.size = len(data) or zeros
        self._at = 0
        self._md5 = hashlib.md5()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._at = self.size

    def read(self, length: int = -1, /) -> bytes:
        length = min(self.size - self._at, length if length >= 0 else self.size)
        block = self._data[self._at : self._at + length] if self._data else bytes(length)
        self._at += length
        self._md5.update(block)
        return block

    def rewind(self) -> None:
        self._at = 0
        self._md5 = hashlib.md5()

    def md5_hex(self) -> str:
        return self._md5.hexdigest()

    def sha256(self) -> str:
        self.rewind()
        digest = hashlib.sha256()
        while block := self.read(1 << 20):
            digest.update(block)
        self.rewind()
        return digest.hexdigest()


@pytest.fixture
def small() -> Iterator[SmallGlue]:
    """Play Glue and its storage."""
    made = SmallGlue()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def make_glue(small, clock) -> Iterator[Callable[..., Glue]]:
    """Make accounts that are closed at the end."""
    made = []

    def make(*, bind=None, token_text=TOKEN, **changes):
        values = {
            "name": "glue",
            "kind": "glue",
            "url": small.url,
            "token": SecretRef(source="env", value="GLUE_TOKEN"),
            "connect_timeout": 2.0,
            "read_timeout": 30.0,
            **changes,
        }
        made.append(
            build(DestinationSettings(**values), GivenToken(FixedSecret(token_text)), clock, bind=bind)
        )
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def glue(make_glue) -> Glue:
    """Give an account with the usual settings."""
    return make_glue()


@pytest.fixture
def content() -> type[Content]:
    """An open file of given bytes, or of a number of zeros."""
    return Content


@pytest.fixture
def parcel() -> Callable[..., Upload]:
    """Make what a destination knows of a delivery with these bytes."""

    def make(file: Content, filename: str = "report.pdf", **changes: Any) -> Upload:
        values = {
            "delivery_id": 1,
            "filename": filename,
            "target": {},
            "size": file.size,
            "sha256": file.sha256(),
            **changes,
        }
        return Upload(**values)

    return make


@pytest.fixture
def secret_words() -> tuple[str, ...]:
    """What nobody may see."""
    return TOKEN, SIGNATURE, POLICY
