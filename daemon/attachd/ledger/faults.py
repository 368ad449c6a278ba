"""SQLite's errors in plain words: what happened to the ledger, and what helps."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from attachd.core.paths import escape
from attachd.errors import AttachdError, InvariantBroken, LedgerDamaged, LedgerError

_HEALS = "attachd goes on by itself once this is put right"
_EXPLANATIONS = (
    ("SQLITE_FULL", "the disk that holds the ledger {path} is full", "free some space there; " + _HEALS),
    (
        "SQLITE_BUSY",
        "the ledger {path} is locked: another process has been writing to it for more than 30 s",
        "look for a program that keeps the file open in a transaction; " + _HEALS,
    ),
    (
        "SQLITE_IOERR",
        "the disk fails to read or write the ledger {path}",
        "look at the system log; " + _HEALS,
    ),
    (
        "SQLITE_READONLY",
        "the ledger {path} cannot be written",
        "run the command as the user the service runs as, who owns the file",
    ),
    (
        "SQLITE_CANTOPEN",
        "the ledger {path} cannot be opened",
        "its directory and the files beside it must be writable for this user",
    ),
)

_DAMAGE = {
    "SQLITE_NOTADB": "{path} is not a ledger: it is no SQLite database",
    "SQLITE_CORRUPT": "the ledger {path} is damaged",
}
_WAYS_BACK = (
    "look at `ledger:` in rules.yaml; if this is the ledger, move it away with its -wal and -shm, then put"
    " {path}.backup in its place, or start with --new-ledger (docs/ledger.md says what each of them means)"
)


def explain(error: sqlite3.Error, path: str) -> AttachdError:
    """Turn an error of SQLite into a `LedgerError`, or `InvariantBroken` where a CHECK or trigger refused."""
    if isinstance(error, sqlite3.IntegrityError):
        return InvariantBroken(f"the ledger refuses a change: {error}")
    name = getattr(error, "sqlite_errorname", None) or ""
    for prefix, message, hint in _EXPLANATIONS:
        if name.startswith(prefix):
            return LedgerError(f"{message.format(path=escape(path))} ({error})", hint=hint)
    for code, message in _DAMAGE.items():
        if name.startswith(code):
            shown = escape(path)
            return LedgerDamaged(
                f"{message.format(path=shown)} ({error})", hint=_WAYS_BACK.format(path=shown)
            )
    return LedgerError(f"the ledger {escape(path)} cannot be used: {error}")


def no_memory(path: str) -> LedgerError:
    """Say that the ledger could not be used for want of memory, which may pass."""
    return LedgerError(f"no memory is left to use the ledger {escape(path)}", hint=_HEALS)


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Let SQLite's errors leave a `with` block as ours only; `path` is the ledger's."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error
    except MemoryError as error:
        raise no_memory(path) from error
