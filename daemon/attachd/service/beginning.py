"""Locks and opens the ledger for a run, looks whether it holds together, and begins the run in it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import structlog

from attachd.core.protocols import Clock
from attachd.ledger.backup import set_backup_aside
from attachd.ledger.connection import is_begun
from attachd.ledger.keeping import LedgerFile
from attachd.ledger.lock import Holder, LedgerLock, refuse_lost_ledger
from attachd.ledger.store import SqliteLedger
from attachd.service.starting import tell_opening
from attachd.service.telling import Teller

log = structlog.get_logger("attachd")

CHECK_SECONDS = 1.0
"""What a start spends on checking the ledger, some 250,000 deliveries; the keeper checks the rest beside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run that was begun in its ledger.

    Attributes:
        ledger: open for as long as the run lasts.
        file: the same as a whole, to be backed up.
        checked: all of it was looked at, and holds together.
        name: of the run, such as `run 7`.
    """

    ledger: SqliteLedger
    file: LedgerFile
    checked: bool
    name: str


def holder(at: datetime) -> Holder:
    """Say who holds the lock: this process, started at that time."""
    return Holder(pid=os.getpid(), host=socket.gethostname(), started_at=at)


@contextmanager
def begun(path: str, clock: Clock, at: datetime, *, new_ledger: bool) -> Iterator[Begun]:
    """Begin a run in the ledger at this path, made where there is none; close and unlock it at the end.

    Args:
        path: of the ledger.
        clock: for what systemd is told.
        at: when the run began.
        new_ledger: begin a new one although a lock or backup of an old one stands there.

    Raises:
        LedgerError: the ledger cannot be used, or another run holds it.
    """
    if not new_ledger:
        refuse_lost_ledger(path)
    lock = LedgerLock.acquire(path, holder(at))
    try:
        is_there = is_begun(path)
        ledger = _open(path, clock, in_place_of_backup=new_ledger and not is_there)
        try:
            file = LedgerFile(path)
            checked = file.check(CHECK_SECONDS)  # before anything is written to it
            name = _begin(ledger, lock, at, former_run=lock.former_run if is_there else "")
            yield Begun(ledger=ledger, file=file, checked=checked, name=name)
        finally:
            ledger.close()
    finally:
        lock.release()


def _open(path: str, clock: Clock, *, in_place_of_backup: bool) -> SqliteLedger:
    if in_place_of_backup:
        set_backup_aside(path)
    tell_opening(path, Teller(clock, os.environ))
    return SqliteLedger.open(path, create=True)


def _begin(ledger: SqliteLedger, lock: LedgerLock, at: datetime, *, former_run: str) -> str:
    """Begin a run, take over what the former one left, and give its name."""
    _tell_restored(ledger.begin_after_loss(former_run, at))
    name = ledger.begin_run(os.getpid(), socket.gethostname(), at)
    lock.sign(name)
    _recover(ledger, name, at)
    return name


def _tell_restored(held: int | None) -> None:
    if held is not None:
        log.warning(
            "ledger_put_back",
            held=held,
            hint="what was attached since the copy was made is not known; docs/ledger.md says how to go on",
        )


def _recover(ledger: SqliteLedger, run_name: str, at: datetime) -> None:
    recovered = ledger.recover(run_name, at)
    if any(recovered.values()):
        log.warning("recovered", **{str(state): count for state, count in recovered.items()})
