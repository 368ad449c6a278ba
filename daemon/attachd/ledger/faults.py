"""SQLite's errors in plain words: what happened to the ledger, and what helps."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from attachd.core.paths import escape
from attachd.errors import AttachdError, InvariantBroken, LedgerError

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
    ("SQLITE_NOTADB", "{path} is not a ledger: it is no SQLite database", "look at `ledger:` in rules.yaml"),
    (
        "SQLITE_CORRUPT",
        "the ledger {path} is damaged",
        "stop the service, keep a copy of the file, and put a backup in its place",
    ),
)


def explain(error: sqlite3.Error, path: str) -> AttachdError:
    """Turn an error of SQLite into a `LedgerError`, or `InvariantBroken` where a CHECK or trigger refused."""
    if isinstance(error, sqlite3.IntegrityError):
        return InvariantBroken(f"the ledger refuses a change: {error}")
    name = getattr(error, "sqlite_errorname", None) or ""
    for prefix, message, hint in _EXPLANATIONS:
        if name.startswith(prefix):
            return LedgerError(f"{message.format(path=escape(path))} ({error})", hint=hint)
    return LedgerError(f"the ledger {escape(path)} cannot be used: {error}")


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Let SQLite's errors leave a `with` block as ours only; `path` is the ledger's."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error
