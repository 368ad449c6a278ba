"""Glue's side: tickets, files and what an id leads to; messages are in `glue_messages`.

Written from the vendor's page on attachments. Failures of a query come as HTTP 200 with `errors`, those of
authentication as 401 before GraphQL runs. `uploadTicket` gives the file that has the same bytes, by MD5 and
length and under its old name, as soon as `createFile` has made it.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from graphql import GraphQLError

from attachd.simulator import glue_schema
from attachd.simulator.glue_memory import WORKSPACE, File, Message, Ticket, Wanted
from attachd.simulator.glue_messages import Post, message_facts
from attachd.simulator.ion import is_unicode
from attachd.simulator.outside import Outside
from attachd.simulator.questions import Question, Questions
from attachd.simulator.storage import LARGEST
from attachd.simulator.tickets import Tickets
from attachd.simulator.tokens import Tokens
from attachd.simulator.world import World

_CALLS = {"sendMessage": "message", "createFile": "create", "uploadTicket": "open"}
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?:[ \t]*;[\x20-\x7e]+)?")
_FILE_TYPES = ("audio", "image", "video")


class Glue:
    """Answers GraphQL requests for one simulator; the world is its memory.

    Args:
        outside: the storage behind it; None for the simulator's own.
    """

    def __init__(
        self,
        world: World,
        manner: glue_schema.Manner,
        *,
        tokens: Tokens,
        tickets: Tickets,
        outside: Outside | None,
    ) -> None:
        self._world = world
        self._memory = world.glue
        self._tokens = tokens
        self._tickets = tickets
        self._outside = outside
        post = Post(world.glue, self._message)
        root: dict[str, Callable[..., Any]] = {
            "node": self._node,
            "uploadTicket": self._upload_ticket,
            "createFile": self._create_file,
            "sendMessage": post.send if manner.messages == "attachments" else post.send_to_thread,
        }
        self._questions = Questions(glue_schema.build(manner), root, _CALLS)

    def caller(self, authorization: str | None) -> str | None:
        """Say why an Authorization header is not accepted; None where it is."""
        scheme, _, token = (authorization or "").partition(" ")
        is_accepted = scheme == "Bearer" and self._tokens.organization_of(token) is not None
        return None if is_accepted else "Unauthorized"

    def read(self, query: str, variables: dict[str, Any], operation: str | None) -> Question:
        """Parse and validate a request without executing it; its facts name the file as `filename`."""
        question = self._questions.read(query, variables, operation)
        return replace(question, facts=tuple(map(self._named, question.facts)))

    def answer(self, question: Question) -> dict[str, Any]:
        """Execute a request and give the answer as JSON values."""
        return self._questions.answer(question, None)

    def _named(self, facts: dict[str, Any]) -> dict[str, Any]:
        ticket = self._memory.ticket(str(facts.get("uploadTicketID", "")))
        name = ticket.wanted.name if ticket else facts.get("name")
        if name is None:
            return facts | message_facts(self._memory, facts)
        return {**facts, "filename": name}

    def _upload_ticket(self, _info: object, **arguments: Any) -> dict[str, Any]:
        wanted = _wanted(arguments["input"])
        known = self._memory.known(wanted.content_md5, wanted.length)
        return self._file(known) if known else _ticket(self._tickets.issue(wanted))

    def _create_file(self, _info: object, **arguments: Any) -> dict[str, Any]:
        given = arguments["input"]
        ticket = self._memory.ticket(given["uploadTicketID"])
        if ticket is None:
            raise GraphQLError("Upload ticket not found")
        sha256 = self._uploaded(ticket)
        created = self._memory.create(ticket.id, _told(given.get("metadata")), sha256)
        if created is None:
            raise GraphQLError("Upload ticket was already used")
        return self._file(created)

    def _uploaded(self, ticket: Ticket) -> str | None:
        stored = self._world.stored(ticket.key)
        if self._outside is None and stored is not None:
            return stored.sha256
        wanted = base64.b64decode(ticket.wanted.content_md5).hex()
        if self._outside and self._outside.etag(ticket.key, now=self._world.clock()) == wanted:
            return None
        raise GraphQLError("The file of this upload ticket was not uploaded")

    def _node(self, _info: object, **arguments: str) -> dict[str, Any] | None:
        node_id = arguments["id"]
        if node_id == WORKSPACE:
            return {"__typename": "Workspace", "id": WORKSPACE, "name": "Simulator"}
        if (file := self._memory.file(node_id)) is not None:
            return self._file(file)
        if (message := self._memory.message(node_id)) is not None:
            return self._message(message)
        thread = self._memory.thread(node_id)
        if thread is None:
            return None
        return {"__typename": "Thread", "id": thread.id, "subject": thread.subject or None}

    def _message(self, message: Message) -> dict[str, Any]:
        files = [self._memory.file(each) for each in message.attachments]
        shown = [self._file(each) for each in files if each]
        return {"__typename": "Message", "id": message.id, "text": message.text, "attachments": shown}

    def _file(self, file: File) -> dict[str, Any]:
        family = file.content_type.partition("/")[0]
        return {
            "__typename": "File",
            "id": file.id,
            "fileType": family if family in _FILE_TYPES else "other",
            "name": file.name,
            "contentLength": str(file.content_length),
            "contentMD5": file.content_md5,
            "contentType": file.content_type,
            "metadata": file.metadata or None,
            "previewable": family in _FILE_TYPES,
            "url": lambda _info: self._tickets.download_url(file.key),
        }


def _ticket(ticket: Ticket) -> dict[str, Any]:
    form = ticket.form
    return {
        "__typename": "UploadTicket",
        "id": ticket.id,
        "url": ticket.url,
        "headers": [{"name": name, "value": value} for name, value in ticket.headers],
        "formData": None if form is None else [{"name": name, "value": value} for name, value in form],
    }


def _wanted(given: dict[str, Any]) -> Wanted:
    length = given["contentLength"]
    if not given["name"] or not is_unicode(given["name"]):
        raise GraphQLError("name must be a name in valid Unicode")
    if not (length.isascii() and length.isdigit() and len(length) < 16):
        raise GraphQLError("contentLength must be a number of bytes in digits")
    if int(length) > LARGEST:
        raise GraphQLError("The file is too large")
    if not _is_md5(given["contentMD5"]):
        raise GraphQLError("contentMD5 must be the base64 of the 16 bytes of an MD5")
    if not _TYPE.fullmatch(given["contentType"]):
        raise GraphQLError("contentType must be a MIME type")
    return Wanted(
        name=given["name"],
        length=int(length),
        content_md5=given["contentMD5"],
        content_type=given["contentType"],
        metadata=_told(given.get("metadata")),
    )


def _is_md5(text: str) -> bool:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(raw) == 16 and base64.b64encode(raw).decode() == text


def _told(metadata: dict[str, Any] | None) -> dict[str, Any]:
    told = {name: value for name, value in (metadata or {}).items() if value is not None}
    if any(isinstance(value, int) and value < 1 for value in told.values()):
        raise GraphQLError("width and height are at least 1")
    return told
