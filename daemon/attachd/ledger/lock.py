"""One service per ledger: a lock file beside it that is never deleted, and what its presence tells.

flock(2) ends with the process, however that ends, so a service that was killed is never reported as
running. The content of the file only says who had the lock last.
"""

import errno
import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Self

from attachd.core.paths import escape
from attachd.errors import LedgerError, LedgerInUse
from attachd.ledger.rows import to_json, to_text, to_time

_TRIES = 50
_PAUSE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who has a ledger: process id, host name, since when; `run` is its name in the ledger, "" at first."""

    pid: int
    host: str
    started_at: datetime
    run: str = ""


class LedgerLock:
    """The lock of one ledger, held from `acquire` to `release` or the end of the process.

    The descriptor is close-on-exec: a program started from here does not keep the lock (a forked child
    that does not exec would).

    Attributes:
        former_run: the run that had the lock before; "" where nobody knows of one.
    """

    def __init__(self, descriptor: int, holder: Holder) -> None:
        self._descriptor = descriptor
        former = _read(descriptor)
        self.former_run = former.run if former else ""
        self._holder = replace(holder, run=self.former_run)  # until it has a name of its own

    @classmethod
    def acquire(cls, ledger_path: str, holder: Holder) -> Self:
        """Take the lock; where the ledger is there already, write down who has it.

        A lock file with content is the proof that there was a ledger once, so where it is still to be made,
        `sign` follows when it has come about.

        Raises:
            LedgerInUse: another process has it; names the process.
            LedgerError: the lock file cannot be made.
        """
        path = _lock_path(ledger_path)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LedgerError(
                f"the lock file {escape(path)} cannot be opened: {error.strerror}",
                hint="the directory of the ledger must exist and be writable for the service",
            ) from error
        try:
            _lock_exclusively(descriptor, ledger_path)
            lock = cls(descriptor, holder)
            if Path(ledger_path).exists():
                lock.sign()
        except BaseException:
            os.close(descriptor)
            raise
        return lock

    def sign(self, run: str = "") -> None:
        """Write down who has the ledger, and as which run once it has a name."""
        if run:
            self._holder = replace(self._holder, run=run)
        _write(self._descriptor, self._holder)

    def release(self) -> None:
        """Give the lock back; the file stays."""
        os.close(self._descriptor)


def holder_of(ledger_path: str) -> Holder | None:
    """Say who has the ledger now; None where nobody has it."""
    try:
        descriptor = os.open(_lock_path(ledger_path), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _try(descriptor, fcntl.LOCK_SH) else _read(descriptor)
    finally:
        os.close(descriptor)


def refuse_lost_ledger(ledger_path: str) -> None:
    """Refuse to begin a new ledger where an old one seems to be lost. Ask before the lock is taken.

    Raises:
        LedgerError: it is missing while its backup, or a lock file that names a run, stands beside it.
    """
    if Path(ledger_path).exists():
        return
    shown = escape(ledger_path)
    backup, lock = Path(f"{ledger_path}.backup"), Path(_lock_path(ledger_path))
    if backup.exists():
        trace, way_back = f"its backup {shown}.backup is there", f"copy the backup to {shown}"
    elif lock.exists() and lock.stat().st_size > 0:
        trace, way_back = (
            f"{shown}.lock says that there was one",
            "put the ledger back (is its disk mounted?)",
        )
    else:
        return
    raise LedgerError(
        f"the ledger {shown} is missing, though {trace}",
        hint=f"{way_back}, or start with --new-ledger: then every file is looked at as on the first start,"
        " and may be attached a second time",
    )


def _lock_path(ledger_path: str) -> str:
    return f"{ledger_path}.lock"


def _lock_exclusively(descriptor: int, ledger_path: str) -> None:
    for _ in range(_TRIES):
        if _try(descriptor, fcntl.LOCK_EX):
            return
        if _try(descriptor, fcntl.LOCK_SH):  # only `holder_of` has it, shared, for an instant
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        elif not _is_gone(_read(descriptor)):
            break
        time.sleep(_PAUSE)
    raise _in_use(descriptor, ledger_path)


def _is_gone(holder: Holder | None) -> bool:
    """Say whether a holder was killed; what it was just starting has its lock until it begins, execve(2)."""
    if holder is None or holder.host != socket.gethostname():
        return False
    try:
        os.kill(holder.pid, 0)
    except OSError as error:  # EPERM: it is there, and somebody else's
        return error.errno == errno.ESRCH
    return False


def _try(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _in_use(descriptor: int, ledger_path: str) -> LedgerInUse:
    holder = _read(descriptor)
    who = (
        f"process {holder.pid} on {holder.host}, since {to_text(holder.started_at)}"
        if holder
        else "it has just started"
    )
    return LedgerInUse(
        f"the ledger {escape(ledger_path)} is held by another `attachd run`: {who}",
        hint="stop that one first, or give this one a ledger of its own",
    )


def _write(descriptor: int, holder: Holder) -> None:
    said = {
        "pid": holder.pid,
        "host": holder.host,
        "started_at": to_text(holder.started_at),
        "run": holder.run,
    }
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, to_json(said).encode(), 0)


def _read(descriptor: int) -> Holder | None:
    try:
        said = json.loads(os.pread(descriptor, 4096, 0))
        started_at = to_time(said["started_at"])
        return Holder(pid=said["pid"], host=said["host"], started_at=started_at, run=said.get("run", ""))
    except (ValueError, KeyError, TypeError):  # taken just now and not written yet
        return None
