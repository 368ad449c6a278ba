"""What the pipeline asks of the rooms beside it: `ledger`, `folders`, `destinations` keep these promises."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol

from attachd.core.afters import PlannedAfter
from attachd.core.folder_ledger import FolderLedger
from attachd.core.wholeness import Demands, Lack
from attachd.model import (
    Delivery,
    ErrorInfo,
    FileVersion,
    FolderRecord,
    PlannedDelivery,
    Signs,
    Standing,
    State,
    Tenant,
    Withheld,
)

Receipt = Mapping[str, str]
"""What a finished call returned and a later call or run needs. Never a secret, never a signed URL."""


class Clock(Protocol):
    """The two clocks: `now` for records (UTC, aware), `monotonic` (seconds) for every wait."""

    def now(self) -> datetime:
        """Give the wall-clock time, in UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds of a clock that never jumps."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """What intake has decided about a settled file: its standing and what is to be delivered.

    `planned` is empty unless the standing is `matched`. `reason` is given for `unmatched` and `parked`.
    `sha256` is given where the decision needed the hash. `after` None: the file stays once it is attached.
    """

    folder_id: int
    path: str
    signs: Signs
    standing: Standing
    reason: ErrorInfo | None = None
    planned: Sequence[PlannedDelivery] = ()
    sha256: str | None = None
    after: PlannedAfter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One move of a delivery, written by compare-and-set together with its history row.

    Attributes:
        to: the new state.
        at: when, UTC.
        by: who: `run 7`, `recover`, or a person's command and name, as `retry (anna)`.
        detail: why, in a few words a stranger understands.
        error: stands in the row from now on; None clears it.
        next_attempt_at: for `waiting`: when it is looked at again.
        counts: one more attempt is counted.
        waits: seconds of retry delay to add to the give-up clock.
        looks: seconds of a pause before a missing target is looked for again, to add to the clock of `wait`.
        remote_id: for `done`.
        close_intent: the open intent is answered or disproved.
        forget_receipts: the calls made so far are worthless (another ETag, bytes gone): start over.
    """

    to: State
    at: datetime
    by: str
    detail: str = ""
    error: ErrorInfo | None = None
    next_attempt_at: datetime | None = None
    counts: bool = False
    waits: float = 0.0
    looks: float = 0.0
    remote_id: str | None = None
    close_intent: bool = False
    forget_receipts: bool = False


class Place(Enum):
    """Where a delivery stands among those with the same bytes and target."""

    FIRST = "first"  # no elder: go on and deliver
    FOLLOWS = "follows"  # moved to `waiting` or `held` behind its elder
    ATTACHED = "attached"  # its elder is done: moved to `duplicate`


Bind = Callable[[str, Tenant], Tenant | None]
"""`Ledger.bind` without its time, for a destination that asks the API for its organization."""


class Ledger(FolderLedger, Protocol):
    """The memory of attachd. What a method wrote is durable when it returns, unless it says otherwise."""

    def open_folder(self, path: str, filesystem: str, at: datetime) -> FolderRecord:
        """Give the folder's record; a folder seen for the first time gets one, first started `at`."""
        ...

    def latest(self, folder_id: int, path: str) -> FileVersion | None:
        """Give the newest version known at a path, or None."""
        ...

    def record(self, new: NewVersion, at: datetime) -> Sequence[int]:
        """Write what became of a settled file and give the ids of its new deliveries.

        A version whose newest predecessor has the same signs and is not `gone` is known already: nothing is
        written and nothing returned, except that an unmatched or parked one is judged again in place.
        Undelivered deliveries of earlier versions without an open intent become `superseded` (`active` ones
        are left to their worker, whose last look at the file decides).
        """
        ...

    def record_all(self, new: Sequence[NewVersion], at: datetime) -> Sequence[Sequence[int]]:
        """Do as `record` for files at different paths: all of them in one transaction, or none."""
        ...

    def same_bytes(self, folder_id: int, path: str, signs: Signs, sha256: str, at: datetime) -> bool:
        """Note that only the signs of the newest version changed: no new version.

        False, and nothing written, where the newest version has another hash, or none yet: bytes that
        were never hashed may be any.

        Its deliveries that wait because the file seemed to change become ready, and so do held ones
        without an open intent: dropping a file again asks for another try.
        """
        ...

    def gone(self, folder_id: int, path: str, at: datetime) -> None:
        """Note that a path is gone: its ready and waiting deliveries vanish, a mere note is forgotten."""
        ...

    def claim(
        self,
        destination: str,
        run: str,
        at: datetime,
        limit: int,
        *,
        withheld: Withheld | None = None,
        due: bool = True,
        latest: datetime | None = None,
    ) -> Sequence[Delivery]:
        """Make waiting deliveries that are `due` ready, and at most `limit` ready ones active, oldest first.

        Without `due` only what is ready is looked at. What is `withheld` may become ready, and is left there.
        `latest`: when the longest pause ends that may have begun by now (`core.retrying.latest_end`). What
        waits beyond it was put off by a wrong clock and is due; what became ready beyond it does so now.
        """
        ...

    def next_due(self, destination: str) -> datetime | None:
        """Give the earliest `next_attempt_at` of a waiting delivery, or None."""
        ...

    def doubtful(self, destination: str) -> Sequence[Delivery]:
        """Give the deliveries whose last call was never answered."""
        ...

    def identify(self, delivery: Delivery, sha256: str, at: datetime, by: str) -> Place:
        """Record the hash of an active delivery's file and find its place among the same bytes.

        Same bytes means: same SHA-256 (and, for files of zero bytes, the same filename), same destination,
        same target. A held elder without an open intent becomes ready: its file was dropped again.
        """
        ...

    def begin_call(self, delivery: Delivery, call: str) -> None:
        """Note which call is under way, for people to see. Not waited for."""
        ...

    def record_receipt(self, delivery: Delivery, call: str, receipt: Receipt) -> None:
        """Keep what a finished call returned. Not waited for: it is durable before the next intent is."""
        ...

    def record_answer(self, delivery: Delivery, call: str, receipt: Receipt) -> None:
        """Keep what a call that must not be repeated returned, and close its intent."""
        ...

    def record_intent(self, delivery: Delivery, call: str) -> bool:
        """Announce a call that must not be repeated blindly. False: not ours any more, do not call."""
        ...

    def change(self, delivery: Delivery, change: Change) -> bool:
        """Move a delivery from the state (and the run) it was read in; False where somebody was faster.

        Followers move along in the same transaction: elder done makes waiting ones `duplicate`; elder held
        makes them held; elder superseded, dismissed or vanished lets the next one take over; an elder that
        leaves `held` makes held followers ready. `done` is refused while the delivery has no remote id.
        """
        ...

    def newer_version_exists(self, delivery: Delivery) -> bool:
        """Say whether the delivery's path has a newer version by now."""
        ...

    def bind(self, destination: str, tenant: Tenant, at: datetime) -> Tenant | None:
        """Bind a destination's name to a tenant, once and for all; give the other one it is bound to.

        None: it is bound to this one, now or before. An organization that is not told on one side counts
        as the same, and is kept once it is told.
        """
        ...

    def recover(self, run: str, at: datetime) -> Mapping[State, int]:
        """Take over what other runs left `active`: doubtful where an intent is open, ready elsewhere."""
        ...


# --- files ----------------------------------------------------------------------------------------


class OpenFile(AbstractContextManager["OpenFile"], Protocol):
    """A settled file, opened once. Used by one worker; closed by leaving its context."""

    size: int

    def read(self, length: int, /) -> bytes:
        """Give at most `length` bytes from where the last read ended.

        Raises:
            FileUnreadable: the system refuses to go on reading.
        """
        ...

    def rewind(self) -> None:
        """Start reading from the first byte again."""
        ...

    def sha256(self) -> str:
        """Read all of it and give the SHA-256, in hex.

        Raises:
            FileChanged: it is shorter or longer than when it was opened.
            FileUnreadable: the system refuses to go on reading.
        """
        ...


class Files(Protocol):
    """How workers get at the files of the watched folders."""

    def open(self, folder: str, path: str, signs: Signs) -> OpenFile:
        """Open a settled file without following a link anywhere.

        Raises:
            FileGone, FileChanged, FileUnreadable, NotRegular: it is not as it was seen.
        """
        ...

    def look_again(self, folder: str, path: str, signs: Signs) -> None:
        """Make sure that the file is still as it was seen.

        Raises:
            FileGone, FileChanged, FileUnreadable, NotRegular: it is not.
        """
        ...

    def lack(self, folder: str, path: str, signs: Signs, demands: Demands) -> Lack | None:
        """Say what a quiet file lacks by these demands, or None where it is whole.

        Raises:
            FileGone: it is not there any more.
            FileUnreadable: the folder itself cannot be opened.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What a destination needs to know of a delivery; `facts` are what its `describe` said, if it did."""

    delivery_id: int
    filename: str
    target: Mapping[str, str]
    size: int
    sha256: str
    facts: Receipt = field(default_factory=dict)

    @classmethod
    def of(cls, delivery: Delivery, sha256: str) -> "Upload":
        """Give what a destination needs to know of this one, whose bytes have this hash."""
        return cls(
            delivery_id=delivery.id,
            filename=delivery.filename,
            target=delivery.target,
            size=delivery.signs.size,
            sha256=sha256,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Leave to send bytes, good for one attempt. Holds a signed URL, so it is never stored or printed.

    `headers` go with the bytes as they are, `form` are the fields around them (None: there is no form).
    `receipts` are calls that need not be made any more (a destination that knows the bytes already).
    """

    url: str = field(repr=False)
    content_type: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    form: tuple[tuple[str, str], ...] | None = field(default=None, repr=False)
    facts: Receipt = field(default_factory=dict)
    receipts: Mapping[str, Receipt] = field(default_factory=dict)


class Body(Protocol):
    """The bytes of one file, read once in blocks; hashes what it gives out."""

    size: int

    def read(self, length: int = -1, /) -> bytes:
        """Give at most `length` bytes, b"" at the end.

        Raises:
            FileChanged: the file became shorter than `size`.
            FileUnreadable: the system refuses to go on reading.
        """
        ...

    def md5_hex(self) -> str:
        """Give the MD5 of what was read so far, in hex."""
        ...


class Answer(Enum):
    """What a destination can say about a call whose answer was lost."""

    TOOK_EFFECT = "took effect"
    DID_NOT = "did not take effect"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """The outcome of asking a destination about a lost answer; `receipt` where the call took effect."""

    answer: Answer
    receipt: Receipt = field(default_factory=dict)
    hint: str = ""


class Destination(Protocol):
    """A configured account that files can be attached to. Used by many workers at once.

    Every method raises `Trouble` where the other side did not do it. `name` is as in rules.yaml.
    """

    name: str

    def final_calls(self, target: Mapping[str, str]) -> tuple[str, ...]:
        """Give the calls after `put` for a target, in order. None of them may be repeated blindly.

        The receipt of the last one has `remote_id`; any may have a `note`, one clause for the history.
        """
        ...

    def admit(self, size: int) -> None:
        """Refuse a file that is too large, before a byte of it is read and anything is asked for."""
        ...

    def describe(self, upload: Upload, file: OpenFile) -> Receipt:
        """Say what `open` must tell of the bytes beside size and SHA-256. Raises `FileError` too."""
        ...

    def open(self, upload: Upload) -> Ticket:
        """Ask for leave to send the bytes. May be repeated freely."""
        ...

    def put(self, ticket: Ticket, upload: Upload, body: Body) -> Receipt:
        """Send the bytes to storage. May be repeated with a fresh ticket."""
        ...

    def complete(self, call: str, upload: Upload, receipts: Mapping[str, Receipt]) -> Receipt:
        """Make one of the final calls, with what the calls before it returned."""
        ...

    def reconcile(self, call: str, upload: Upload, receipts: Mapping[str, Receipt]) -> Reconciled:
        """Find out whether a call whose answer was lost took effect."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...
