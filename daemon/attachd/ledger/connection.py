"""Opening a ledger file: the settings of each connection, what is refused, and migrations."""

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlite_utils import Database

from attachd.core.paths import escape
from attachd.errors import LedgerError, LedgerTooNew
from attachd.ledger.faults import explained
from attachd.ledger.schema import MIGRATION_NAMES, MIGRATIONS

OLDEST_SQLITE = (3, 37, 0)
BUSY_SECONDS = 30.0
_TRIES = 20


def require_sqlite(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> None:
    """Refuse an SQLite that is too old for STRICT tables.

    Raises:
        LedgerError: with both versions.
    """
    if version < OLDEST_SQLITE:
        have, need = (".".join(map(str, each)) for each in (version, OLDEST_SQLITE))
        raise LedgerError(
            f"this Python comes with SQLite {have}, and the ledger needs {need} or newer",
            hint="use a Python that is linked to a newer SQLite",
        )


def open_to_write(path: str, *, create: bool) -> sqlite3.Connection:
    """Open a ledger for writing and bring its tables up to date.

    Args:
        path: of the ledger file, in `os.fsdecode` form.
        create: make a new ledger where there is none.

    Raises:
        LedgerError: it is missing (and not to be created), is no ledger, or cannot be opened.
        LedgerTooNew: a newer attachd wrote it.
    """
    require_sqlite()
    _require_place(path, create=create)
    _drop_foreign_log(path)
    with explained(path):
        connection = connect(path, "rwc" if create else "rw")
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            _migrate(connection, path, create=create)
        except BaseException:
            connection.close()
            raise
    return connection


def require_there(path: str) -> None:
    """Refuse to go on without a ledger.

    Raises:
        LedgerError: there is no file at this path.
    """
    if not Path(path).exists():
        raise LedgerError(
            f"there is no ledger at {escape(path)}",
            hint="`attachd run` makes it at its first start; check which rules.yaml is meant",
        )


def is_begun(path: str) -> bool:
    """Say whether a ledger came about at this path: a kill in the very first start may leave an empty file.

    What cannot be read counts as begun: opening it says what is wrong.
    """
    if not Path(path).exists():
        return False
    try:
        connection = connect(path, "ro")
        try:
            return _tables(wrap(connection)) > 0
        finally:
            connection.close()
    except sqlite3.Error:
        return True


def require_readable(connection: sqlite3.Connection, path: str) -> None:
    """Refuse a file that this version cannot read as a ledger.

    Raises:
        LedgerError: it is no ledger, or an older attachd wrote it.
        LedgerTooNew: a newer attachd wrote it.
    """
    database = wrap(connection)
    if _tables(database) == 0 or not _names_applied(database, path):
        raise _not_a_ledger(path)
    if MIGRATIONS.pending(database):
        raise LedgerError(
            f"the ledger {escape(path)} was written by an older attachd",
            hint="start the service once: it brings the ledger up to date",
        )


def wrap(connection: sqlite3.Connection) -> Database:
    """Give sqlite-utils a connection, without the plugins that may be installed beside it."""
    return Database(connection, recursive_triggers=False, execute_plugins=False)


def connect(path: str, mode: str) -> sqlite3.Connection:
    """Connect with the settings that every connection has.

    `mode` is as in SQLite's URIs, `ro`, `rw` or `rwc`, or `immutable`: read a file that nobody writes,
    without the files beside it that even a reader of a ledger would have to make.
    """
    if Path(path).is_fifo():
        raise sqlite3.OperationalError("it is a pipe")  # SQLite would wait for a writer, past every signal
    how = "immutable=1" if mode == "immutable" else f"mode={mode}"
    # Not tied to its thread: a connection is handed on, but never used by two threads at once.
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?{how}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.row_factory = sqlite3.Row
    return connection


def _require_place(path: str, *, create: bool) -> None:
    parent = Path(path).parent
    if not parent.is_dir():
        raise LedgerError(
            f"the directory {escape(str(parent))} for the ledger does not exist",
            hint="create it, or correct `ledger:` in rules.yaml",
        )
    if Path(path).is_dir():
        raise LedgerError(f"the ledger {escape(path)} is a directory", hint="correct `ledger:` in rules.yaml")
    if not create:
        require_there(path)


def _drop_foreign_log(path: str) -> None:
    """Remove the `-wal` of a ledger that stood here before: SQLite would write it into this one.

    Only a ledger in WAL mode has one, and the file's bytes 18 and 19 say 1 where it never was in that mode
    (sqlite.org/fileformat2.html, 1.3.3): a backup that was put back while the old `-wal` lay there.
    """
    log = Path(f"{path}-wal")
    if not log.exists():  # asked first: whoever makes a WAL changes the header before
        return
    try:
        with Path(path).open("rb") as file:
            header = file.read(20)
        if header.startswith(b"SQLite format 3\0") and header[18:20] == b"\x01\x01":
            log.unlink(missing_ok=True)
            Path(f"{path}-shm").unlink(missing_ok=True)
    except OSError as error:
        raise LedgerError(f"{escape(str(error.filename))}: {error.strerror}") from error


def _migrate(connection: sqlite3.Connection, path: str, *, create: bool) -> None:
    database = wrap(connection)
    is_up_to_date = _is_up_to_date(database, path, create=create)
    _use_wal(connection)  # a backup that was put back is not in this mode
    if is_up_to_date:
        return
    connection.execute("BEGIN IMMEDIATE")  # two processes that migrate at once: the second finds it done
    try:
        MIGRATIONS.apply(database)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _use_wal(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        return
    for _ in range(_TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            # Of two that switch a new file at once SQLite refuses one without waiting: wait by other means.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        else:
            return
    connection.execute("PRAGMA journal_mode = WAL")


def _is_up_to_date(database: Database, path: str, *, create: bool) -> bool:
    if _tables(database) == 0:
        if not create:
            raise _not_a_ledger(path)
        return False
    if not _names_applied(database, path):
        raise _not_a_ledger(path)
    return not MIGRATIONS.pending(database)


def _tables(database: Database) -> int:
    return int(database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


def _names_applied(database: Database, path: str) -> set[str]:
    applied = {migration.name for migration in MIGRATIONS.applied(database)}
    unknown = applied - MIGRATION_NAMES
    if unknown:
        raise LedgerTooNew(
            f"the ledger {escape(path)} was written by a newer attachd ({', '.join(sorted(unknown))})",
            hint="use that version or a newer one",
        )
    return applied


def _not_a_ledger(path: str) -> LedgerError:
    return LedgerError(
        f"{escape(path)} is not a ledger of attachd, though it is an SQLite database",
        hint="look at `ledger:` in rules.yaml",
    )
