"""Signs of life: by them the service tells a loop that is stuck from one that has nothing to do."""

from attachd.core.protocols import Clock


class Heart:
    """When a loop last showed that it goes on. Written by the loop's own thread, read by any other.

    A loop beats whenever it begins something that takes moments. It rests before it waits for what may take
    any time: for work, or for a file system, whose hanging is no fault of the service.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at: float | None = None

    def beat(self) -> None:
        """Go on, with something that takes moments."""
        self._at = self._clock.monotonic()

    def rest(self) -> None:
        """Wait for as long as it takes, until the next beat."""
        self._at = None

    def silence(self) -> float:
        """Give the seconds since the last beat; 0 at rest."""
        at = self._at  # read once: the loop may rest at this moment
        return 0.0 if at is None else max(0.0, self._clock.monotonic() - at)
