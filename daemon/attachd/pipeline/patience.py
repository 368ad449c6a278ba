"""Waiting out a ledger that cannot be written: nothing that is known may be lost because a disk is full."""

from collections.abc import Callable
from threading import Event, Lock, get_ident
from typing import TypeVar

import structlog

from attachd.errors import LedgerDamaged, LedgerError

log = structlog.get_logger("attachd")

PAUSE_SECONDS = 1.0
"""How long a thread waits before it tries the ledger again."""

T = TypeVar("T")


class _Outage:
    """The threads that wait for the ledger right now, so that one line tells of all of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: set[int] = set()

    def join(self, error: LedgerError) -> None:
        """Count this thread in; the first one says what is wrong."""
        with self._lock:
            is_first = not self._waiting
            self._waiting.add(get_ident())
        if is_first:
            log.error("ledger_unwritable", why=error.message, hint=error.hint)

    def leave(self, *, healed: bool) -> None:
        """Count this thread out; the last one says that it goes on."""
        with self._lock:
            was_in = get_ident() in self._waiting
            self._waiting.discard(get_ident())
            is_last = was_in and not self._waiting
        if is_last and healed:
            log.warning("ledger_writable_again")


_outage = _Outage()


def until_written(action: Callable[[], T], stop: Event) -> T:
    """Do something with the ledger, as often as it takes; say so once when it fails and once when it heals.

    Args:
        action: may be done again after it failed.
        stop: set when nobody can wait any longer.

    Raises:
        LedgerDamaged: no waiting helps.
        LedgerError: it still cannot be written, and `stop` is set.
    """
    while True:
        try:
            result = action()
        except LedgerDamaged:
            _outage.leave(healed=False)
            raise
        except LedgerError as error:
            _outage.join(error)
            if stop.wait(PAUSE_SECONDS):
                _outage.leave(healed=False)
                raise
        else:
            _outage.leave(healed=True)
            return result
