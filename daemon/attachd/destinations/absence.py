"""What is not there yet: how long the other side may still be at work on a call whose answer was lost."""

from collections.abc import Callable
from threading import Lock

from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity

AT_WORK = 60.0
"""Seconds for which what is not there may still appear.

ION cuts a call off after 30 s (docs.firstresonance.io, guides/pagination) and may go on with it, Glue tells
no such time; so long, absence is no proof.
"""


class Absence:
    """Since when each thing was found absent. Used by many workers at once.

    Args:
        monotonic: seconds of a clock that never jumps.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._since: dict[str, float] = {}

    def forget(self, key: str) -> None:
        """Note that it is there, or that nobody can tell."""
        with self._lock:
            self._since.pop(key, None)

    def require(self, key: str, message: str) -> None:
        """Return once it has been absent for so long that it will not appear any more.

        Args:
            key: what is absent.
            message: what to say of it until then.

        Raises:
            Trouble: passing; the other side may still be at work on it.
        """
        now = self._monotonic()
        with self._lock:
            since = self._since.setdefault(key, now)
            if now - since >= AT_WORK:
                del self._since[key]
                return
        raise Trouble(
            ErrorKind.UNKNOWN_OUTCOME, Severity.PASSING, message, hint="attachd asks again by itself"
        )
