"""The one thread that writes to the ledger: what waits to be written goes in one transaction.

A commit costs a disk flush whatever its size, so jobs that come while one flush is under way share the
next. One that fails takes nothing with it: the others of its transaction are done once more, each with a
savepoint of its own. So a job may run twice, and must change nothing but the ledger.
"""

import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any, TypeVar

from attachd.core.paths import escape
from attachd.errors import AttachdError, LedgerError
from attachd.ledger.faults import explain, no_memory

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

BATCH = 500
"""Jobs in one transaction at most, so that the first of them does not wait for ever."""


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


@dataclass(frozen=True, slots=True)
class _Job:
    work: Work[Any]
    key: int | None
    answer: Future[Any] | None


class Writer:
    """Owner of the writing connection, which only its thread uses until `close`.

    Attributes:
        commits: transactions made durable so far.
        trouble: why the last transaction could not be written; None while all is well.
    """

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self.commits = 0
        self.trouble: AttachdError | None = None
        self._connection = connection
        self._path = path
        self._jobs: deque[_Job] = deque()
        self._wake = Condition()
        self._closing = False
        self._lost: dict[int, Exception] = {}  # the writer thread's: what was posted and could not be written
        self._thread = Thread(target=self._serve, name="ledger-writer", daemon=True)
        self._thread.start()

    def run(self, work: Work[T], *, key: int | None = None) -> T:
        """Do `work` in a transaction and give its result once that is durable.

        Args:
            work: called with the connection, in the writer's thread.
            key: the delivery it is about: where something posted for it could not be written, this
                work is not done.

        Raises:
            LedgerError: it could not be written, or something posted before it with the same key.
        """
        answer: Future[T] = Future()
        self._submit(_Job(work, key, answer))
        return answer.result()

    def post(self, work: Work[object], *, key: int | None = None) -> None:
        """Do `work` some time soon, before everything that is submitted later; do not wait for it."""
        self._submit(_Job(work, key, None))

    def close(self) -> None:
        """Write what was submitted, end the thread and close the connection."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        self._connection.close()

    def _submit(self, job: _Job) -> None:
        with self._wake:
            if self._closing:
                raise LedgerError(f"the ledger {escape(self._path)} is closed")
            self._jobs.append(job)
            self._wake.notify()

    def _serve(self) -> None:
        while batch := self._next_batch():
            self._write(batch)

    def _next_batch(self) -> list[_Job]:
        with self._wake:
            self._wake.wait_for(lambda: self._jobs or self._closing)
            return [self._jobs.popleft() for _ in range(min(BATCH, len(self._jobs)))]

    def _write(self, batch: list[_Job]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes = self._outcomes(batch)
            self._connection.execute("COMMIT")
        except (sqlite3.Error, MemoryError) as error:
            self._roll_back()
            self.trouble = self._explained(error)
            outcomes = [_Failed(self.trouble) for _ in batch]
            for job, failed in zip(batch, outcomes, strict=True):
                self._remember(job, failed)
        else:
            self.commits += 1
            self.trouble = None
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.answer is None:
                continue
            if isinstance(outcome, _Failed):
                job.answer.set_exception(outcome.error)
            else:
                job.answer.set_result(outcome)

    def _outcomes(self, batch: list[_Job]) -> list[Any]:
        if not self._lost:
            try:  # nearly always all goes well: two statements less for each job
                return [job.work(self._connection) for job in batch]
            except Exception:  # noqa: BLE001 - whatever it is: below, it is the failure of one job
                self._roll_back()
                self._connection.execute("BEGIN IMMEDIATE")
        return [self._attempt(job) for job in batch]

    def _attempt(self, job: _Job) -> Any:
        if job.answer and job.key in self._lost:
            return _Failed(self._lost.pop(job.key))
        self._connection.execute("SAVEPOINT job")
        try:
            result = job.work(self._connection)
        except Exception as error:
            if not self._connection.in_transaction:
                raise _as_sqlite(error) from error
            self._connection.execute("ROLLBACK TO job")
            result = _Failed(self._explained(error))
            self._remember(job, result)
        self._connection.execute("RELEASE job")
        return result

    def _explained(self, error: Exception) -> Any:
        match error:
            case sqlite3.Error():
                return explain(error, self._path)
            case MemoryError():
                return no_memory(self._path)
            case _:
                return error

    def _remember(self, job: _Job, failed: _Failed) -> None:
        if job.answer is None and job.key is not None:
            self._lost[job.key] = failed.error

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with suppress(
                sqlite3.Error, MemoryError
            ):  # the disk is at fault already; the next BEGIN will tell
                self._connection.execute("ROLLBACK")


def _as_sqlite(error: Exception) -> sqlite3.Error:
    return error if isinstance(error, sqlite3.Error) else sqlite3.OperationalError(str(error))
