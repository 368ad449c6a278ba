"""Frozen records and enumerations that every room shares. Imports nothing of ours.

Paths are relative to their folder, in the form of `os.fsdecode` (bytes that are not UTF-8 as lone
surrogates). Only what leaves the process (JSON, tables, filenames at a destination, the ledger's text
columns) uses the escaped form of `core.paths`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import Protocol


class State(StrEnum):
    """Where a delivery stands; the words of the contract, section 2."""

    READY = "ready"  # the next call may start now
    ACTIVE = "active"  # a worker of this run has it
    WAITING = "waiting"  # passing trouble, or its elder is under way
    DOUBTFUL = "doubtful"  # the answer to a call that must not be repeated blindly was lost
    HELD = "held"  # needs a person
    DONE = "done"  # attached
    DUPLICATE = "duplicate"  # its elder attached the same bytes to the same target
    DISMISSED = "dismissed"  # a person said it is not needed
    SUPERSEDED = "superseded"  # newer bytes or other rules took over before it was delivered
    VANISHED = "vanished"  # the file was gone before it was delivered


class Standing(StrEnum):
    """What became of a file version when it settled."""

    MATCHED = "matched"  # rules took it: its deliveries tell the rest
    UNMATCHED = "unmatched"  # no rule took it, or it is no regular file
    PARKED = "parked"  # never became complete
    EXISTING = "existing"  # `existing: ignore`, or changed once attached and `on_change: ignore`
    GONE = "gone"  # vanished before delivery; the same path is a new file from now on


class ErrorKind(StrEnum):
    """The contract's `error.kind` values."""

    NETWORK = "network"
    TLS = "tls"
    TIMEOUT = "timeout"
    SERVER = "server"
    THROTTLED = "throttled"
    AUTH = "auth"
    TENANT = "tenant"
    PERMISSION = "permission"
    UNKNOWN_TARGET = "unknown_target"
    NO_TARGET_YET = "no_target_yet"
    SEVERAL_TARGETS = "several_targets"
    REJECTED = "rejected"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    INTEGRITY = "integrity"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    CHANGED = "changed"
    KEEPS_CHANGING = "keeps_changing"
    DUPLICATE_OF = "duplicate_of"
    UNKNOWN_OUTCOME = "unknown_outcome"
    GIVEN_UP = "given_up"
    CONFIG = "config"
    NO_RULE = "no_rule"
    NOT_REGULAR = "not_regular"
    NOT_COMPLETE = "not_complete"
    LEDGER = "ledger"


class Severity(Enum):
    """What a trouble means for the delivery that met it."""

    PASSING = "passing"  # tried again later
    REFUSED = "refused"  # the destination refuses us altogether: its gate closes, no attempt is counted
    LASTING = "lasting"  # held: a person has to do something
    UNKNOWN = "unknown"  # nobody knows whether the call took effect: doubtful


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """What is wrong with a file or delivery, as people see it."""

    kind: ErrorKind
    message: str
    hint: str = ""


def storable(nanoseconds: int) -> int:
    """Bring a file's time into 64 bits of nanoseconds, which end in 2262; ext4 has years up to 2446."""
    return min(max(nanoseconds, -(2**63)), 2**63 - 1)


class StatFacts(Protocol):
    """The part of `os.stat_result` that `Signs` are made of."""

    @property
    def st_size(self) -> int:
        """Give the size in bytes."""
        ...

    @property
    def st_mtime_ns(self) -> int:
        """Give when the bytes were changed, in nanoseconds."""
        ...

    @property
    def st_ctime_ns(self) -> int:
        """Give when the inode was changed, in nanoseconds."""
        ...

    @property
    def st_blocks(self) -> int:
        """Give the 512-byte blocks that are allocated."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """The signs by which a change of a file is noticed. Device and inode are never among them.

    `blocks` (units of 512 bytes, stat(2)) only tells holes; it is no sign of a change.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    blocks: int = field(default=0, compare=False)

    @classmethod
    def of(cls, stat: StatFacts) -> "Signs":
        """Take the signs from the result of a stat call."""
        return cls(
            size=stat.st_size,
            mtime_ns=storable(stat.st_mtime_ns),
            ctime_ns=storable(stat.st_ctime_ns),
            blocks=stat.st_blocks,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRecord:
    """A watched folder as the ledger knows it.

    Attributes:
        id: its key in the ledger.
        path: absolute, in `os.fsdecode` form.
        filesystem: the type once seen there, as mountinfo names it (`ext4`, `nfs4`, …).
        first_started_at: wall-clock time of the first start with this folder.
        first_scan_done: whether a complete first scan has been recorded.
    """

    id: int
    path: str
    filesystem: str
    first_started_at: datetime
    first_scan_done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVersion:
    """One version of the bytes at a path, as the ledger knows it. `reason`: why it has no delivery."""

    folder_id: int
    path: str
    version: int
    signs: Signs
    standing: Standing
    sha256: str | None
    first_seen: datetime
    reason: ErrorKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDelivery:
    """What one rule makes of one file: a delivery that may be written to the ledger.

    `target` and `filename` are as rendered, in escaped form. `dedupe` is False where the rule says
    `on_duplicate: upload`. `ignores_changes` is True where it says `on_change: ignore`; `max_versions` is how
    many versions of one path are delivered before a person is asked, 0 for no limit.
    """

    rule: str
    destination: str
    target: Mapping[str, str]
    filename: str
    dedupe: bool = True
    ignores_changes: bool = False
    max_versions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledFile:
    """A file that nobody is writing any more, as a folder reports it to intake.

    `doubted`: a worker met other bytes than it hashed before, so that the same signs prove nothing.
    """

    folder_id: int
    path: str
    signs: Signs
    found_by_hint: bool
    doubted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Whose account a destination leads to; `organization` None where the API does not tell."""

    host: str
    organization: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One file to one target: the unit of work, retry and status.

    Attributes:
        call: the last remote call that was begun, or None.
        attempts: attempts counted so far; what a closed gate refused is not counted.
        waited: seconds of retry delay spent so far: the clock of `retry.give_up_after`.
        looked: seconds spent on looking for a target that is not there yet: the clock of the rule's `wait`.
        receipts: what finished calls returned, by call: `{"put": {"s3_key": …, "s3_etag": …}}`.
        intent: the call that was announced and never answered, or None.
        elder_id: the delivery with the same bytes and target that goes first, or None.
        run: the run whose worker has it, while it is `active`.
        ready_since: when it became ready, given by a claim only.
    """

    id: int
    folder_id: int
    folder: str
    path: str
    version: int
    signs: Signs
    sha256: str | None
    rule: str
    destination: str
    target: Mapping[str, str]
    filename: str
    dedupe: bool
    state: State
    call: str | None
    attempts: int
    waited: float
    next_attempt_at: datetime | None
    receipts: Mapping[str, Mapping[str, str]]
    intent: str | None
    elder_id: int | None
    remote_id: str | None
    error: ErrorInfo | None
    first_seen: datetime
    updated_at: datetime
    run: str | None = None
    looked: float = 0.0
    ready_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """What may not be claimed now.

    Attributes:
        folders: ids of folders that are out, or not judged yet by the rules in force.
        deliveries: ids of deliveries that are not judged yet by the rules in force: a worker had them then.
    """

    folders: frozenset[int] = frozenset()
    deliveries: frozenset[int] = frozenset()
