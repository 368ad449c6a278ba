"""The error tree.

AttachdError
├── UserError            for a person: no traceback, says what to do
│   ├── ConfigError      rules.yaml is wrong; carries every problem at once (exit 78)
│   ├── LedgerError      the ledger cannot be used (exit 1)
│   │   ├── LedgerInUse  another `attachd run` holds it; names the holder (exit 75)
│   │   ├── LedgerTooNew written by a newer attachd
│   │   └── LedgerDamaged does not heal by waiting: its bytes are not what SQLite wrote
│   └── UnknownDelivery  no delivery has this id (exit 1)
├── FileError            a file under a watched folder cannot be read as it was seen
│   ├── FileGone         it is not there any more
│   ├── FileChanged      it is not the file that settled
│   ├── FileUnreadable   the system refuses to open or read it
│   ├── NotRegular       a link, pipe, socket, device or directory
│   ├── MoveRefused      it can never be moved there
│   └── NameTaken        something lies where it was to be moved to
├── StopRequested        the service stops and cannot wait for this call any longer
├── Trouble              a remote call did not succeed; says how to go on
└── InvariantBroken      a bug of ours, never expected
"""

from dataclasses import dataclass

from attachd.model import ErrorInfo, ErrorKind, Severity


class AttachdError(Exception):
    """Base of every error that attachd raises on purpose."""


class UserError(AttachdError):
    """Something a person can put right: shown without a traceback, followed by its hint."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong in rules.yaml.

    Attributes:
        line: counted from 1; 0 where the file as a whole is meant.
        column: counted from 1.
        path: where in the document, as `folders[0].rules[1].match`.
        what: the fault, as one clause without a full stop.
        hint: what to do about it; may be empty.
        warning: True where `check` says it and everything goes on all the same.
    """

    line: int
    column: int
    path: str
    what: str
    hint: str = ""
    warning: bool = False


class ConfigError(UserError):
    """rules.yaml does not check out; `problems` holds all of them, in the order of the file.

    `ledger` is the one that the file names all the same; None where it cannot be told.
    """

    exit_code = 78

    def __init__(self, file: str, problems: list[Problem], *, ledger: str | None = None) -> None:
        count = len(problems)
        super().__init__(f"{file}: {count} problem{'' if count == 1 else 's'}")
        self.file = file
        self.problems = sorted(problems)
        self.ledger = ledger


class LedgerError(UserError):
    """The ledger cannot be opened, read or written."""


class LedgerInUse(LedgerError):
    """Another `attachd run` holds the ledger."""

    exit_code = 75


class LedgerTooNew(LedgerError):
    """The ledger was written by a newer attachd."""


class LedgerDamaged(LedgerError):
    """The bytes of the ledger are not what SQLite wrote; waiting does not heal it."""


class UnknownDelivery(UserError):
    """No delivery has the id that was asked for."""


class FileError(AttachdError):
    """A file cannot be read as it was seen; the message names no path, the caller knows it."""


class FileGone(FileError):
    """The file is not there any more."""


class FileChanged(FileError):
    """The file at this path is not the one that settled, or it changes while it is read."""


class FileUnreadable(FileError):
    """The system refuses to open or read the file (EACCES, EIO, ESTALE …)."""


class NotRegular(FileError):
    """The path leads to something that is not a regular file inside the folder."""


class MoveRefused(FileError):
    """The file can never be moved to this place: it is watched, or no file can have this name."""


class NameTaken(FileError):
    """Something lies by now where the file was to be moved to."""


class StopRequested(AttachdError):
    """The service stops and cannot wait any longer: what was not sent goes on at the next start."""


class Trouble(AttachdError):
    """A remote call did not succeed.

    Attributes:
        kind: one of the contract's `error.kind` values.
        severity: what it means for the delivery, see `Severity`.
        message: what happened, without secrets and without the query of a signed URL.
        hint: what a person can do; may be empty.
        retry_after: seconds the other side asked us to wait, or None.
        fresh_url: the signed URL is at fault: asking for a new one in the same attempt may help.
        unreachable: no connection came about, which says nothing about the file.
        restart: what was uploaded is worthless: start over from `open` with fresh bytes, once.
    """

    def __init__(  # noqa: PLR0913 - a value with named parts, given by keyword
        self,
        kind: ErrorKind,
        severity: Severity,
        message: str,
        *,
        hint: str = "",
        retry_after: float | None = None,
        fresh_url: bool = False,
        unreachable: bool = False,
        restart: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.severity = severity
        self.message = message
        self.hint = hint
        self.retry_after = retry_after
        self.fresh_url = fresh_url
        self.unreachable = unreachable
        self.restart = restart

    @property
    def info(self) -> ErrorInfo:
        """The part that is kept in the ledger and shown to a person."""
        return ErrorInfo(kind=self.kind, message=self.message, hint=self.hint)


class InvariantBroken(AttachdError):
    """A state that must not exist: a bug of ours, always logged with its traceback."""
