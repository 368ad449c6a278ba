"""Glue's messages: where one goes, what is sent, and what it means that one was refused or not answered.

Two of the vendor's pages show a `sendMessage`: that on attachments (docs.glue.ai, developers/graphql-api/
attachments) takes the message alone and names no place for it; that on messages (developers/graphql-api/
messages_and_threading) takes a thread, or recipients of a new one. The schema says which of them a Glue has.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from attachd.core.protocols import Answer, Receipt, Reconciled, Upload
from attachd.core.templates import BETWEEN_IDS
from attachd.destinations.graphql import GraphQL, id_text
from attachd.destinations.introspection import Sent, unfit
from attachd.destinations.schema import Schema
from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity

KEY = "unique_by"
"""In the receipt of `create`: the `uniqueBy` that the delivery's message bears, whenever it is sent."""

_WHERE: Mapping[str, str] = {"thread": "in thread", "recipients": "at the recipients"}
_PLACES = tuple(_WHERE)
_SEND = "sendMessage"
_LOCKED = re.compile(
    r"\blocked\b|\barchived\b|read.?only|repl(?:y|ies)\b.*\b(?:off|disabled|not allowed)", re.IGNORECASE
)
_FILE_UNKNOWN = re.compile(
    r"\bno such (?:attachment|file)|\b(?:attachments?|files?|fil_\w+)\b.*(?:not found|n[o']t exist|unknown)",
    re.IGNORECASE,
)
_HINTS: Mapping[ErrorKind, str] = {
    ErrorKind.UNKNOWN_TARGET: "check the rule's thread, recipients and reply_to, and that the app was added "
    "to that thread or group; then `attachd retry ID`",
    ErrorKind.PERMISSION: "let the app post there: it needs the scope threads.messages:write, must be in the "
    "thread or group, and the thread must take replies; then `attachd retry ID`",
    ErrorKind.INTEGRITY: "Glue does not know the file any more; attachd sends it once more by itself",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What `sendMessage` of one Glue looks like. As it stands: the one of the page on attachments.

    Attributes:
        input: the type of its argument, as GraphQL writes it.
        answer: the selection that gives the id of the message.
        takes_place: it takes a thread or recipients, and wants one of them.
        unique_by: a message may have a key that makes repeating it safe.
        thread_by: a new thread may have one as well.
    """

    input: str = "MessageInput!"
    answer: str = "id"
    takes_place: bool = False
    unique_by: bool = False
    thread_by: bool = False

    @property
    def document(self) -> str:
        """Give the document; only the id is asked back, so that no other field can spoil the answer."""
        return f"mutation Send($input: {self.input}) {{ {_SEND}(input: $input) {{ {self.answer} }} }}"

    def refusal(self, target: Collection[str]) -> str | None:
        """Say why a target with these keys has no message here; None where it has one."""
        placed = any(place in target for place in _PLACES)
        if placed and not self.takes_place:
            return "this Glue takes messages without a place only: `thread` and `recipients` have no use"
        if not placed and self.takes_place:
            return "this Glue takes no message without a place: `thread` or `recipients` is missing"
        return None


WITH_PLACE = Shape(input="SendMessageInput!", answer="message { id }", takes_place=True)
"""That of the page on messages, as far as it could be read."""


class Messages:
    """Sends the messages of one account. Used by many workers at once.

    Args:
        graphql: makes the calls.
        schema: of the same account.
    """

    def __init__(self, graphql: GraphQL, schema: Schema) -> None:
        self._graphql = graphql
        self._schema = schema

    def prepare(self, upload: Upload) -> Receipt:
        """Give what the receipt of `create` has to keep for the message; empty where there is no message.

        It is asked for before the file is created: what stops here has done nothing.

        Raises:
            Trouble: this Glue has no message for such a target, or could not be asked.
        """
        if "message" not in upload.target:
            return {}
        return {KEY: f"attachd-{uuid4().hex}"} if self._fitting(upload.target).unique_by else {}

    def send(self, upload: Upload, created: Receipt) -> Receipt:
        """Send the message and give its `remote_id`. Must not be repeated blindly.

        Args:
            upload: the delivery's.
            created: the receipt of `create`: the file's id as `remote_id`, and what `prepare` gave.

        Raises:
            Trouble: Glue refused, or nobody knows whether it did it; with `restart` where the file is gone.
        """
        shape = self._fitting(upload.target)
        reply = self._graphql.call(shape.document, {"input": _values(shape, upload, created)}, final=True)
        sent = reply.at(_SEND, "message") if shape.takes_place else reply.at(_SEND)
        remote_id = id_text(sent.get("id")) if isinstance(sent, Mapping) else None
        if remote_id is None:
            trouble = _explained(self._graphql.trouble_of(reply, _SEND, final=True))
            if trouble.kind is ErrorKind.REJECTED:
                self._schema.forget()
            raise trouble
        return {"remote_id": remote_id}

    def reconcile(self, upload: Upload, created: Receipt) -> Reconciled:
        """Find out whether a message whose answer was lost was sent.

        One that bears a key is sent again with the same one: Glue updates the message that has it, and gives
        its id. Nothing else tells, since no page shows a way to look for a message by its text.

        Raises:
            Trouble: Glue cannot be asked right now.
        """
        hint = _where_to_look(upload)
        if KEY not in created:
            return Reconciled(answer=Answer.CANNOT_TELL, hint=hint)
        try:
            return Reconciled(answer=Answer.TOOK_EFFECT, receipt=self.send(upload, created))
        except Trouble as trouble:
            if trouble.severity is not Severity.LASTING:
                raise
            return Reconciled(answer=Answer.CANNOT_TELL, hint=f"{hint} (sent again, {trouble.message})")

    def unfit(self, targets: Collection[Collection[str]]) -> Iterator[str]:
        """Say what this Glue lacks for the messages of targets with these keys, everything at once.

        Raises:
            Trouble: it does not describe its schema.
        """
        wanted = sorted({frozenset(target) for target in targets if "message" in target}, key=sorted)
        documents = []
        for target in wanted:
            shape = self._shape(target)
            refusal = shape.refusal(target)
            if refusal:
                yield f"message: {refusal}"
            else:
                documents.append(_sample(shape, target))
        yield from unfit(self._graphql, documents)

    def _fitting(self, target: Mapping[str, str]) -> Shape:
        shape = self._shape(target)
        refusal = shape.refusal(target)
        if refusal:
            hint = "correct the rule's target; attachd judges the file anew after a reload"
            raise Trouble(ErrorKind.CONFIG, Severity.LASTING, refusal, hint=hint)
        return shape

    def _shape(self, target: Collection[str]) -> Shape:
        """Read the shape from the schema; where that is not shown, take the page's that fits the target."""
        member = self._schema.mutation(_SEND)
        if member is None or "input" not in member.args:
            return WITH_PLACE if any(place in target for place in _PLACES) else Shape()
        given = self._schema.type(member.args["input"].ref.name).inputs
        takes_place = "message" in given
        message = self._schema.type(given["message"].ref.name).inputs if takes_place else given
        thread = self._schema.type(given["thread"].ref.name).inputs if "thread" in given else {}
        return Shape(
            input=member.args["input"].ref.text,
            answer="message { id }" if takes_place else "id",
            takes_place=takes_place,
            unique_by="uniqueBy" in message,
            thread_by="threadBy" in thread,
        )


def _values(shape: Shape, upload: Upload, created: Receipt) -> dict[str, Any]:
    target, key = upload.target, created.get(KEY)
    message: dict[str, Any] = {"text": target["message"], "attachments": [created["remote_id"]]}
    if "reply_to" in target:
        message["quotedMessageID"] = target["reply_to"]
    if key:  # whatever the schema says by now: what was prepared with a key never goes without it
        message["uniqueBy"] = key
    if not shape.takes_place:
        return message
    if "thread" in target:
        return {"threadID": target["thread"], "message": message}
    thread: dict[str, Any] = {"recipients": target["recipients"].split(BETWEEN_IDS)}
    if "subject" in target:
        thread["subject"] = target["subject"]
    if key and shape.thread_by:  # a repeated message must not open a second thread
        thread["threadBy"] = key
    return {"thread": thread, "message": message}


def _sample(shape: Shape, target: Collection[str]) -> Sent:
    """Give what would be sent for a target with these keys."""
    upload = Upload(delivery_id=0, filename="", target=dict.fromkeys(target, ""), size=0, sha256="")
    created = {"remote_id": "", KEY: "x"} if shape.unique_by else {"remote_id": ""}
    place = next((place for place in _PLACES if place in target), "")
    return Sent(
        purpose=f"message to {place}" if place else "message",
        document=shape.document,
        variables={"input": _values(shape, upload, created)},
    )


def _explained(trouble: Trouble) -> Trouble:
    """Say what a refusal means for a message: its words decide, since no page has codes."""
    kind, restart = trouble.kind, trouble.restart
    if trouble.severity is Severity.LASTING and kind in {ErrorKind.REJECTED, ErrorKind.UNKNOWN_TARGET}:
        if _LOCKED.search(trouble.message):
            kind = ErrorKind.PERMISSION
        elif _FILE_UNKNOWN.search(trouble.message):
            kind, restart = ErrorKind.INTEGRITY, True
    hint = _HINTS.get(kind, trouble.hint)
    return Trouble(kind, trouble.severity, trouble.message, hint=hint, restart=restart)


def _where_to_look(upload: Upload) -> str:
    target = upload.target
    place = next((f"{words} {target[key]}" for key, words in _WHERE.items() if key in target), "in Glue")
    subject = f", subject '{target['subject']}'," if "subject" in target else ""
    return (
        f"look {place}{subject} for the message with {upload.filename}; then "
        "`attachd resolve ID --attached MESSAGE_ID`, or `attachd resolve ID --not-attached` to have it sent "
        "again"
    )
