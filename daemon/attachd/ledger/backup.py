"""The backup beside a ledger: how it is made, and what tells it from the ledger when it is put back.

It appears whole or not at all: written under a hidden name, synced, renamed, and the directory synced, since
`VACUUM INTO` leaves the syncing to its caller (sqlite.org/lang_vacuum.html). The copy, never the ledger,
says in `lost_time` when it was made: whoever opens it in the ledger's place knows what it cannot know.
"""

import os
import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from attachd.core.paths import escape
from attachd.errors import LedgerError
from attachd.ledger.connection import connect
from attachd.ledger.faults import explain
from attachd.ledger.rows import to_text

OF_ANOTHER_LIFE = ".backup.old"
"""Suffix of the backup that stood beside a ledger which a person gave up."""


def backup_path(ledger_path: str) -> str:
    """Give the path of a ledger's backup."""
    return f"{ledger_path}.backup"


def backed_up_at(ledger_path: str) -> float | None:
    """Say when the backup was made, in seconds of the wall clock; None where there is none."""
    try:
        return Path(backup_path(ledger_path)).stat().st_mtime
    except FileNotFoundError:
        return None


def write_backup(source: sqlite3.Connection, ledger_path: str, at: datetime) -> None:
    """Put a copy of the ledger, as it is at this moment, in the place of its former backup.

    Args:
        source: a reading connection that nobody else uses; `interrupt` on it ends the copying.
        ledger_path: of the ledger.
        at: the time to be written into the copy.

    Raises:
        LedgerError: it cannot be made; the former one is as it was.
    """
    place = _hidden(ledger_path)
    try:
        _clear(place)
        source.execute("VACUUM INTO ?", (str(place),))
        with closing(connect(str(place), "rw")) as copy:
            copy.execute("INSERT INTO lost_time (since) VALUES (?)", (to_text(at),))
        _sync_and_rename(place, ledger_path)
    except (sqlite3.Error, OSError) as error:
        with suppress(OSError):  # the disk is at fault already; the next backup clears it away
            _clear(place)
        why = error.strerror if isinstance(error, OSError) else error
        raise LedgerError(f"no backup of the ledger {escape(ledger_path)} was made: {why}") from error


def set_backup_aside(ledger_path: str) -> None:
    """Keep the backup of a ledger that a new one replaces from being overwritten by the new one's.

    Raises:
        LedgerError: it cannot be renamed.
    """
    try:
        Path(backup_path(ledger_path)).replace(f"{ledger_path}{OF_ANOTHER_LIFE}")
    except FileNotFoundError:
        return
    except OSError as error:
        path = escape(backup_path(ledger_path))
        raise LedgerError(
            f"{path} cannot be renamed: {error.strerror}",
            hint="move it elsewhere: it belongs to an older ledger",
        ) from error


def check(connection: sqlite3.Connection, ledger_path: str) -> None:
    """Read the whole ledger and see whether it holds together (sqlite.org/pragma.html#pragma_quick_check).

    Raises:
        LedgerDamaged: it does not.
        LedgerError: it could not be read to its end.
    """
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            damaged = sqlite3.DatabaseError(found)
            damaged.sqlite_errorname = "SQLITE_CORRUPT"
            raise damaged
    except sqlite3.Error as error:
        raise explain(error, ledger_path) from error


def _hidden(ledger_path: str) -> Path:
    ledger = Path(ledger_path)
    return ledger.with_name(f".{ledger.name}.backup.new")


def _clear(place: Path) -> None:
    for path in (place, place.with_name(f"{place.name}-journal")):
        path.unlink(missing_ok=True)


def _sync_and_rename(place: Path, ledger_path: str) -> None:
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, Path(ledger_path).stat().st_mode & 0o777)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    place.replace(backup_path(ledger_path))
    directory = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
