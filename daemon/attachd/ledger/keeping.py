"""What is done to a ledger file as a whole, by a connection of its own: checked, and backed up."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Lock

from attachd.errors import LedgerError
from attachd.ledger import backup
from attachd.ledger.connection import connect
from attachd.ledger.faults import explained

_STEPS = 10_000
"""Steps of SQLite's machine between two looks at the time: well under a millisecond."""


class LedgerFile:
    """One ledger file. One thread at a time reads it; `interrupt` is for any other."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = Lock()
        self._reading: sqlite3.Connection | None = None
        self._interrupted = False

    def backed_up_at(self) -> float | None:
        """Say when its backup was made, in seconds of the wall clock; None where there is none."""
        return backup.backed_up_at(self._path)

    def check(self, within: float | None = None) -> bool:
        """See whether it holds together; False where the time was up first.

        Raises:
            LedgerDamaged: it does not hold together.
            LedgerError: it cannot be read.
        """
        with self._connection() as connection:
            if within is None:
                backup.check(connection, self._path)
                return True
            return self._check_in_time(connection, time.monotonic() + within)

    def back_up(self, at: datetime) -> None:
        """Make a backup in the place of the former one.

        Raises:
            LedgerError: it cannot be made; the former one is as it was.
        """
        with self._connection() as connection:
            backup.write_backup(connection, self._path, at)

    def interrupt(self) -> None:
        """End what is under way, and whatever is begun after this."""
        with self._lock:
            self._interrupted = True
            if self._reading is not None:
                self._reading.interrupt()

    def _check_in_time(self, connection: sqlite3.Connection, end: float) -> bool:
        connection.set_progress_handler(lambda: int(time.monotonic() > end), _STEPS)
        try:
            backup.check(connection, self._path)
        except LedgerError as error:
            if getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                return False
            raise
        return True

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with explained(self._path):
            connection = connect(self._path, "ro")
        try:
            with self._lock:
                if self._interrupted:
                    raise LedgerError("the service stops")
                self._reading = connection
            yield connection
        finally:
            with self._lock:  # closing one that is interrupted at this moment would crash
                self._reading = None
            connection.close()
