"""Connections to read by. A connection has one user at a time: readers borrow one each and give it back."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from attachd.core.paths import escape
from attachd.errors import LedgerError
from attachd.ledger.connection import connect
from attachd.ledger.faults import explained


class ReadPool:
    """Read-only connections to one ledger, each lent to one thread at a time; any thread may borrow."""

    def __init__(self, path: str, mode: str = "ro") -> None:
        self._path = path
        self._mode = mode
        self._idle: list[sqlite3.Connection] = []
        self._lock = Lock()
        self._closed = False

    @contextmanager
    def borrow(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for the length of a `with` block.

        Raises:
            LedgerError: the ledger cannot be opened or read.
        """
        with explained(self._path):
            connection = self._take()
            try:
                yield connection
            finally:
                self._give_back(connection)

    def close(self) -> None:
        """Close what is idle now, and every lent connection when it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise LedgerError(f"the ledger {escape(self._path)} is closed")
            if self._idle:
                return self._idle.pop()
        return connect(self._path, self._mode)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()
