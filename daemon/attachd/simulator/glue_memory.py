"""What the stand-in's Glue remembers: tickets, files, threads and messages.

Which threads, users and groups exist: every id of Glue's form (`thr_…`, `usr_…`, `grp_…`) does, except
those that begin with `thr_unknown`, `usr_unknown` or `grp_unknown`; a thread whose id begins with
`thr_locked` takes no message. There is one workspace, `wks_simulator`, and from the start one message,
`msg_welcome`.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

WORKSPACE = "wks_simulator"
WELCOME = "msg_welcome"
_ID = re.compile(r"(?:thr|usr|grp)_(?!unknown)[A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file that somebody wants to upload, as they describe it.

    Attributes:
        length: bytes.
        content_md5: base64 of the 16 bytes.
        metadata: `width` and `height` in pixels, and `blurHash`; only those that were told.
    """

    name: str
    length: int
    content_md5: str
    content_type: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Leave to upload one file.

    Attributes:
        key: of the storage object.
        form: None for a PUT; else the fields, of which one has the value `@file`.
        ends_at: UNIX time.
        file_id: what became of it; None until then.
    """

    id: str
    wanted: Wanted
    key: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    form: tuple[tuple[str, str], ...] | None = field(repr=False)
    ends_at: float
    file_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file that exists in Glue.

    Attributes:
        sha256: of the bytes in storage; None where storage is outside.
        at: UTC, ISO 8601.
    """

    id: str
    name: str
    content_type: str
    content_length: int
    content_md5: str
    metadata: dict[str, Any]
    sha256: str | None
    key: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """Where messages stand; a chat has an empty subject."""

    id: str
    subject: str = ""
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message.

    Attributes:
        thread: None where it was sent without one, as the attachments page shows it.
        attachments: file ids.
        quoted: id of the message it answers.
        unique_by: what later ones update it by.
        sent: how often it was sent, updates included.
        at: UTC, ISO 8601.
    """

    id: str
    text: str
    attachments: tuple[str, ...]
    thread: Thread | None = None
    quoted: str | None = None
    unique_by: str | None = None
    sent: int = 1
    at: str = ""


class GlueMemory:
    """The memory of one simulator's Glue.

    Args:
        changed: guards everything in it, and is notified of every change.
        now: the time as it is recorded.
    """

    def __init__(self, changed: threading.Condition, now: Callable[[], str]) -> None:
        self._changed = changed
        self._now = now
        self._numbers: Counter[str] = Counter()
        self._tickets: dict[str, Ticket] = {}
        self._files: dict[str, File] = {}
        self._messages: dict[str, Message] = {}
        self._threads: dict[tuple[str, ...], Thread] = {}
        self._ticket_of: dict[str, str] = {}
        self._known: dict[tuple[str, int], File] = {}
        self._unique: dict[str, str] = {}

    def next_id(self, prefix: str) -> str:
        """Make up an id; none is given twice."""
        with self._changed:
            self._numbers[prefix] += 1
            return f"{prefix}_{self._numbers[prefix]}"

    def issue(self, ticket: Ticket) -> None:
        """Remember a ticket."""
        with self._changed:
            self._tickets[ticket.id] = ticket
            self._ticket_of[ticket.key] = ticket.id

    def ticket(self, ticket_id: str) -> Ticket | None:
        """Find a ticket."""
        with self._changed:
            return self._tickets.get(ticket_id)

    def ticket_of(self, key: str) -> Ticket | None:
        """Find the ticket of a storage object."""
        with self._changed:
            return self._tickets.get(self._ticket_of.get(key, ""))

    def known(self, content_md5: str, length: int) -> File | None:
        """Find the file that has these bytes."""
        with self._changed:
            return self._known.get((content_md5, length))

    def create(self, ticket_id: str, metadata: dict[str, Any], sha256: str | None) -> File | None:
        """Make the file of a ticket; None where that was done before."""
        with self._changed:
            ticket = self._tickets[ticket_id]
            if ticket.file_id is not None:
                return None
            wanted = ticket.wanted
            file = File(
                id=self.next_id("fil"),
                name=wanted.name,
                content_type=wanted.content_type,
                content_length=wanted.length,
                content_md5=wanted.content_md5,
                metadata={**wanted.metadata, **metadata},
                sha256=sha256,
                key=ticket.key,
                at=self._now(),
            )
            self._files[file.id] = file
            self._known.setdefault((file.content_md5, file.content_length), file)
            self._tickets[ticket_id] = replace(ticket, file_id=file.id)
            self._changed.notify_all()
            return file

    def file(self, file_id: str) -> File | None:
        """Find a file."""
        with self._changed:
            return self._files.get(file_id)

    def message(self, message_id: str) -> Message | None:
        """Find a message."""
        with self._changed:
            welcome = Message(id=WELCOME, text="Welcome.", attachments=())
            return welcome if message_id == WELCOME else self._messages.get(message_id)

    def thread(self, thread_id: str) -> Thread | None:
        """Find a thread, whether it was made here or exists by its name."""
        with self._changed:
            made = next((each for each in self._threads.values() if each.id == thread_id), None)
        exists = thread_id.startswith("thr_") and is_known(thread_id)
        return made or (Thread(id=thread_id) if exists else None)

    def begin_thread(self, recipients: Sequence[str], subject: str, thread_by: str | None) -> Thread:
        """Make a thread with a subject, or give the chat of the recipients, or the one of `thread_by`."""
        with self._changed:
            new_id = self.next_id("thr_new" if subject else "thr_chat")
            identity = (new_id,) if subject else ("chat", *sorted(recipients))
            identity = identity if thread_by is None else ("by", thread_by)
            known = self._threads.get(identity, Thread(id=new_id))
            thread = replace(known, subject=subject, recipients=tuple(recipients))
            self._threads[identity] = thread
            return thread

    def send(self, draft: Message, begin: Callable[[], Thread | None]) -> Message:
        """Add a message, or update the one that bears the same `unique_by`.

        Args:
            draft: id, thread and time are filled in here.
            begin: gives the thread of a new message, with this memory locked.
        """
        with self._changed:
            old = self._messages.get(self._unique.get(draft.unique_by or "", ""))
            if old is None:
                message = replace(draft, id=self.next_id("msg"), thread=begin(), at=self._now())
            else:
                message = replace(old, text=draft.text, attachments=draft.attachments, sent=old.sent + 1)
            self._messages[message.id] = message
            if message.unique_by:
                self._unique[message.unique_by] = message.id
            self._changed.notify_all()
            return message

    @property
    def files(self) -> tuple[File, ...]:
        """Give every file in the order of creation."""
        with self._changed:
            return tuple(self._files.values())

    @property
    def messages(self) -> tuple[Message, ...]:
        """Give every message in the order of sending."""
        with self._changed:
            return tuple(self._messages.values())

    def record(self) -> dict[str, Any]:
        """Give files and messages as JSON values."""
        files, messages = ([asdict(each) for each in group] for group in (self.files, self.messages))
        return {"files": files, "messages": messages}

    def reset(self) -> None:
        """Forget tickets, files, threads and messages; ids go on counting."""
        with self._changed:
            for memory in (self._tickets, self._files, self._messages, self._threads):
                memory.clear()
            for index in (self._ticket_of, self._known, self._unique):
                index.clear()


def is_known(any_id: str) -> bool:
    """Say whether a thread, user, group or workspace of this id exists."""
    return any_id == WORKSPACE or _ID.fullmatch(any_id) is not None
