"""Waiting out a ledger that cannot be written: nothing that is known may be lost because a disk is full."""

from collections.abc import Callable
from threading import Event
from typing import TypeVar

import structlog

from attachd.errors import LedgerError

log = structlog.get_logger("attachd")

PAUSE_SECONDS = 1.0
"""How long a thread waits before it tries the ledger again."""

T = TypeVar("T")


def until_written(action: Callable[[], T], stop: Event) -> T:
    """Do something with the ledger, as often as it takes; say so once when it fails and once when it heals.

    Args:
        action: may be done again after it failed.
        stop: set when nobody can wait any longer.

    Raises:
        LedgerError: it still cannot be written, and `stop` is set.
    """
    failed = False
    while True:
        try:
            result = action()
        except LedgerError as error:
            if not failed:
                log.error("ledger_unwritable", why=error.message, hint=error.hint)  # noqa: TRY400 - one calm line
            failed = True
            if stop.wait(PAUSE_SECONDS):
                raise
        else:
            if failed:
                log.warning("ledger_writable_again")
            return result
