"""Messages at the stand-in's Glue: both shapes of `sendMessage`.

`uniqueBy` holds for the whole of Glue: a message with the same one updates text and attachments of the first,
which stays in its thread. How far it reaches at the vendor's is told by none of the pages.
"""

from collections.abc import Callable
from typing import Any

from graphql import GraphQLError

from attachd.simulator.glue_memory import GlueMemory, Message, Thread, is_known


class Post:
    """Takes the messages of one simulator's Glue.

    Args:
        show: writes a message as GraphQL's values.
    """

    def __init__(self, memory: GlueMemory, show: Callable[[Message], dict[str, Any]]) -> None:
        self._memory = memory
        self._show = show

    def send(self, _info: object, **arguments: Any) -> dict[str, Any]:
        """Answer `sendMessage(input: MessageInput!)`, which names no thread."""
        return self._show(self._memory.send(self._draft(arguments["input"]), lambda: None))

    def send_to_thread(self, _info: object, **arguments: Any) -> dict[str, Any]:
        """Answer `sendMessage(input: SendMessageInput!)`."""
        given = arguments["input"]
        draft = self._draft(given["message"])
        message = self._memory.send(draft, self._destination(given.get("threadID"), given.get("thread")))
        thread = message.thread and {"id": message.thread.id, "subject": message.thread.subject or None}
        return {"thread": thread, "message": self._show(message)}

    def _draft(self, given: dict[str, Any]) -> Message:
        for file_id in given["attachments"]:
            if self._memory.file(file_id) is None:
                raise GraphQLError(f"Attachment {file_id} not found")
        if len(set(given["attachments"])) < len(given["attachments"]):
            raise GraphQLError("An attachment is named twice")
        if not given["text"] and not given["attachments"]:
            raise GraphQLError("The message is empty")
        quoted = given.get("quotedMessageID")
        if quoted is not None and self._memory.message(quoted) is None:
            raise GraphQLError(f"Message {quoted} not found")
        return Message(
            id="",
            text=given["text"],
            attachments=tuple(given["attachments"]),
            quoted=quoted,
            unique_by=given.get("uniqueBy"),
        )

    def _destination(self, thread_id: str | None, new: dict[str, Any] | None) -> Callable[[], Thread]:
        if (thread_id is None) == (new is None):
            raise GraphQLError("Either threadID or thread is required")
        if thread_id is not None:
            thread = self._open_thread(thread_id)
            return lambda: thread
        given = new or {}
        recipients, subject = given["recipients"], given.get("subject") or ""
        unknown = next((each for each in recipients if not _is_recipient(each)), None)
        if unknown is not None or not recipients:
            raise GraphQLError(f"Recipient {unknown} not found" if recipients else "recipients is empty")
        return lambda: self._memory.begin_thread(recipients, subject, given.get("threadBy"))

    def _open_thread(self, thread_id: str) -> Thread:
        thread = self._memory.thread(thread_id)
        if thread is None:
            raise GraphQLError(f"Thread {thread_id} not found")
        if thread_id.startswith("thr_locked"):
            raise GraphQLError(f"Thread {thread_id} is locked")
        return thread


def message_facts(memory: GlueMemory, facts: dict[str, Any]) -> dict[str, Any]:
    """Name the first attachment of a message as `filename`, for the fault script; empty where it has none."""
    attachments = facts.get("attachments")
    file = memory.file(str(attachments[0])) if isinstance(attachments, list) and attachments else None
    return {"filename": file.name} if file else {}


def _is_recipient(any_id: str) -> bool:
    return is_known(any_id) and not any_id.startswith("thr_")
