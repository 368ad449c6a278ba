"""One connection: reads requests, routes them, plays faults, writes answers.

Each connection has a thread of its own; what connections share is in `Site`, whose parts guard themselves.
"""

import contextlib
import json
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from attachd.simulator import mishaps, page
from attachd.simulator.bodies import Body
from attachd.simulator.faults import Faults, parse_rule
from attachd.simulator.glue import Glue
from attachd.simulator.ion import Ion
from attachd.simulator.posting import Posting
from attachd.simulator.questions import Question
from attachd.simulator.replies import Reply, head_of, html_reply, json_reply, plain_page
from attachd.simulator.storage import Access, Storage
from attachd.simulator.tickets import FORM_PATH
from attachd.simulator.tokens import Tokens
from attachd.simulator.units import parse_unit
from attachd.simulator.world import World

GLUE_PATH = "/public/graphql"
"""Where Glue is, as at the vendor's."""

_LARGEST_JSON = 4 * 1024 * 1024
_STORAGE = "/storage/"
_MALFORMED = "The request must be application/json, an object with query and variables"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What all connections of one simulator share.

    Attributes:
        about: what the page tells of the simulator itself.
    """

    url: str
    world: World
    faults: Faults
    ion: Ion
    tokens: Tokens
    glue: Glue
    glue_tokens: Tokens
    storage: Storage
    posting: Posting
    about: Mapping[str, Any]


class Handler(BaseHTTPRequestHandler):
    """Serves one connection of a site."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    facts: Sequence[Mapping[str, Any]] = ({},)

    def __init__(self, site: Site, *connection: Any) -> None:
        self.site = site
        super().__init__(*connection)

    @property
    def world(self) -> World:
        """Give the simulator's memory."""
        return self.site.world

    @property
    def elsewhere(self) -> str:
        """Give the address that redirects lead to."""
        return f"{self.site.url}/redirected"

    def _route(self) -> None:
        self.body = Body(cast("BinaryIO", self.rfile), _length(self.headers.get("Content-Length")))
        path = urlsplit(self.path).path
        if path.startswith(FORM_PATH) and self.command == "POST":
            self._form(path.removeprefix(FORM_PATH))
        elif path.startswith(_STORAGE) and self.command in {"GET", "HEAD", "PUT"}:
            self._storage(unquote(path.removeprefix(_STORAGE)))
        elif path == "/redirected":
            self.world.count(["redirected"])
            self.send(plain_page("Redirected", "A redirect was followed to here."))
        else:
            action = _ROUTES.get((self.command, path))
            self.send(action(self)) if action else self._graphql_or_nothing(path)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _route  # noqa: N815 - http.server names them so

    def _graphql_or_nothing(self, path: str) -> None:
        if (self.command, path) == ("POST", "/graphql"):
            self._graphql(self.site.ion.read, self._answer)
        elif (self.command, path) == ("POST", GLUE_PATH):
            self._graphql(self.site.glue.read, self._glue_answer)
        elif (self.command, path) == ("POST", "/oauth/token"):
            self._perform("token", [{}], self._lend)
        else:
            status = 405 if path in _PATHS else 404
            self.send(plain_page("Nothing here", f"{self.command} {path} is not served.", status=status))

    def _storage(self, key: str) -> None:
        access = self._access(key)
        call = "put" if self.command == "PUT" else "get"
        facts = [{"s3Key": key, "filename": self.world.filename_of(key)}]
        self._perform(call, facts, lambda: self.site.storage.answer(access, self.body))

    def _form(self, ticket_id: str) -> None:
        access = self._access(ticket_id)
        ticket = self.world.glue.ticket(ticket_id)
        facts = [{"s3Key": ticket.key, "filename": ticket.wanted.name}] if ticket else [{"s3Key": ""}]
        self._perform("put", facts, lambda: self.site.posting.answer(access, self.body))

    def _access(self, key: str) -> Access:
        return Access(
            method=self.command,
            key=key,
            query=dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True)),
            headers={name.lower(): ",".join(self.headers.get_all(name, [])) for name in self.headers},
        )

    def _graphql(
        self,
        read: Callable[[str, dict[str, Any], str | None], Question],
        answer: Callable[[Question | None], Reply],
    ) -> None:
        is_json = self.headers.get_content_type() == "application/json"
        request = _graphql_request(self._read_json() if is_json else None)
        question = read(*request) if request else None
        call = question.call if question else "query"
        facts = question.facts if question and question.facts else [{}]
        fields = question.fields if question else ()
        self._perform(call, facts, lambda: answer(question), fields)

    def _lend(self) -> Reply:
        length = self.body.length
        body = b"".join(self.body.blocks()) if length is not None and length <= _LARGEST_JSON else b""
        headers = self.headers
        of_glue = self.site.glue_tokens.knows(body)
        tokens = self.site.glue_tokens if of_glue else self.site.tokens
        return tokens.lend(headers.get_content_type(), headers.get("Authorization"), body)

    def _answer(self, question: Question | None) -> Reply:
        caller = self.site.ion.caller(self.headers.get("Authorization"))
        if isinstance(caller, str):
            return json_reply({"message": caller}, status=401)
        if question is None:
            return json_reply({"message": _MALFORMED}, status=400)
        return json_reply(self.site.ion.answer(question, caller))

    def _glue_answer(self, question: Question | None) -> Reply:
        refusal = self.site.glue.caller(self.headers.get("Authorization"))
        if refusal is not None:
            return json_reply({"message": refusal}, status=401)
        if question is None:
            return json_reply({"message": _MALFORMED}, status=400)
        return json_reply(self.site.glue.answer(question))

    def _perform(
        self,
        call: str,
        facts: Sequence[Mapping[str, Any]],
        work: Callable[[], Reply],
        fields: Sequence[str] = (),
    ) -> None:
        self.facts = facts
        fault = self.site.faults.take(call, facts)
        self.world.count([call, *fields])
        if fault is None:
            self.send(work())
        else:
            mishaps.play(fault, self, work)

    def _read_json(self) -> Any:
        if self.body.length is None or self.body.length > _LARGEST_JSON:
            return None
        try:
            return json.loads(b"".join(self.body.blocks()))
        except ValueError:
            return None

    def show_page(self) -> Reply:
        """Answer with the page for people."""
        return html_reply(page.render(self.world.record(), self.site.faults.left(), self.site.about))

    def show_record(self) -> Reply:
        """Answer with everything that happened."""
        return json_reply(self.world.record())

    def reset_record(self) -> Reply:
        """Forget everything that happened."""
        self.world.reset()
        return self.show_record()

    def show_faults(self) -> Reply:
        """Answer with the rules that are left."""
        return json_reply(self.site.faults.left())

    def add_faults(self) -> Reply:
        """Append the rules in the body to the script."""
        given = self._read_json()
        try:
            rules = [parse_rule(each) for each in (given if isinstance(given, list) else [given])]
        except ValueError as error:
            return json_reply({"error": str(error)}, status=400)
        self.site.faults.add(rules)
        return json_reply(self.site.faults.left())

    def clear_faults(self) -> Reply:
        """Forget the script and end every silence."""
        self.site.faults.clear()
        return self.show_faults()

    def show_world(self) -> Reply:
        """Answer with the units that were learned."""
        return json_reply(self.world.units.record())

    def learn_units(self) -> Reply:
        """Learn the units in the body, one object or a list."""
        given = self._read_json()
        try:
            for each in [parse_unit(unit) for unit in (given if isinstance(given, list) else [given])]:
                self.world.units.learn(**each)
        except ValueError as error:
            return json_reply({"error": str(error)}, status=400)
        return self.show_world()

    def send(self, reply: Reply) -> None:
        """Read what is left of the request, then answer."""
        if not reply.closing:
            self.body.drain()
        self._write(reply)
        if reply.closing or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._linger()

    def _write(self, reply: Reply) -> None:
        if isinstance(reply.body, Path):
            with reply.body.open("rb") as file:
                self.connection.sendall(head_of(reply, reply.body.stat().st_size))
                if self.command != "HEAD":
                    self.connection.sendfile(file)
        else:
            body = b"" if self.command == "HEAD" else reply.body
            self.connection.sendall(head_of(reply, len(reply.body)) + body)

    def _linger(self) -> None:
        # Closing on unread bytes resets the connection, and the client might never see the answer.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(1)
            while self.connection.recv(65536):
                pass

    def send_half(self, reply: Reply) -> None:
        """Send the headers and half of the body, or half of the headers where there is no body."""
        self.body.drain()
        body = reply.body if isinstance(reply.body, bytes) else reply.body.read_bytes()
        head = head_of(reply, len(body))
        self.connection.sendall(head + body[: len(body) // 2] if body else head[: len(head) // 2])
        self.close_connection = True

    def send_slowly(self, reply: Reply, pause: Callable[[], bool]) -> None:
        """Send an answer byte by byte, a pause before each; end the connection where it says so."""
        self.body.drain()
        body = reply.body if isinstance(reply.body, bytes) else reply.body.read_bytes()
        for byte in head_of(reply, len(body)) + body:
            if pause():
                self.close_connection = True
                return
            self.connection.sendall(bytes([byte]))

    def read_half(self) -> None:
        """Read half of the request's body."""
        self.body.drain((self.body.length or 0) // 2)

    def reset(self) -> None:
        """Have the connection end with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def close(self) -> None:
        """Have the connection end without an answer."""
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Keep quiet: the record and the page tell what happened."""


_ROUTES: dict[tuple[str, str], Callable[[Handler], Reply]] = {
    ("GET", "/"): Handler.show_page,
    ("GET", "/record"): Handler.show_record,
    ("DELETE", "/record"): Handler.reset_record,
    ("GET", "/faults"): Handler.show_faults,
    ("POST", "/faults"): Handler.add_faults,
    ("DELETE", "/faults"): Handler.clear_faults,
    ("GET", "/world"): Handler.show_world,
    ("POST", "/world"): Handler.learn_units,
}
_PATHS = {path for _, path in _ROUTES} | {"/graphql", GLUE_PATH, "/oauth/token"}


def _length(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


def _graphql_request(given: Any) -> tuple[str, dict[str, Any], str | None] | None:
    if not isinstance(given, dict) or not isinstance(given.get("query"), str):
        return None
    variables, operation = given.get("variables") or {}, given.get("operationName")
    if not isinstance(variables, dict) or not isinstance(operation, str | None):
        return None
    return given["query"], variables, operation
