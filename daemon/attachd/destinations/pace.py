"""Keeps a destination's limits: waits until the next call, or the next bytes, may go.

The decision is `attachd.core.pacing`; here are only the lock and the waiting, which a stop cuts short.
"""

from collections.abc import Callable
from threading import Event, Lock

from attachd.core import pacing
from attachd.errors import StopRequested

_SHARE_OF_A_SECOND = 0.1
_SMALLEST_BLOCK = 1024


class Pace:
    """The rate of one thing, shared by all workers of a destination.

    Args:
        rate: units a second; None for no limit.
        room: units that may go in one go after a rest.
        monotonic: seconds of a clock that never jumps.
        stopped: set when a stop cannot wait any longer.
    """

    def __init__(
        self, rate: float | None, *, room: float, monotonic: Callable[[], float], stopped: Event
    ) -> None:
        self._monotonic = monotonic
        self._stopped = stopped
        self._lock = Lock()
        self._bucket = None if rate is None else pacing.full(rate, room, monotonic())

    def wait(self, amount: float = 1.0) -> None:
        """Return when the amount may go.

        Raises:
            StopRequested: a stop cut the wait short.
        """
        if self._bucket is None:
            return
        with self._lock:
            now = self._monotonic()
            self._bucket, seconds = pacing.take(self._bucket, amount, now)
        if seconds and self._stopped.wait(seconds):
            raise StopRequested("the service stops")


def calls(rate: float | None, monotonic: Callable[[], float], stopped: Event) -> Pace:
    """Make the pace of API calls: evenly spaced, one at a time."""
    return Pace(rate, room=1.0, monotonic=monotonic, stopped=stopped)


def transfers(rate: float | None, monotonic: Callable[[], float], stopped: Event) -> Pace:
    """Make the pace of bytes to storage."""
    return Pace(rate, room=block_of(rate) or 0, monotonic=monotonic, stopped=stopped)


def block_of(rate: float | None) -> int | None:
    """Give the bytes to send in one go: so few that the other side never hears nothing for long.

    S3 gives a connection up that stays silent for some 20 seconds (`RequestTimeout`).
    """
    return None if rate is None else max(_SMALLEST_BLOCK, int(rate * _SHARE_OF_A_SECOND))
