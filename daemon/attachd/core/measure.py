"""What the rooms tell of their work for metrics. Names and numbers only: no path ever comes here."""

from typing import Protocol


class Measure(Protocol):
    """Takes what is worth counting. Called from any thread; returns at once and never raises.

    Durations are seconds. A folder is told by its number in the ledger, a destination by its name.
    """

    def settled(self, folder_id: int, seconds: float, *, by_hint: bool) -> None:
        """A file was taken, so long after it was first seen; whether a hint told of it first."""
        ...

    def hints_dropped(self, folder_id: int, count: int) -> None:
        """So many times hints were lost: one at a time, or an unknown number at once."""
        ...

    def claimed(self, destination: str, seconds: float) -> None:
        """A delivery that was ready for so long was handed to a worker."""
        ...

    def called(self, destination: str, call: str, outcome: str, seconds: float) -> None:
        """A remote call took so long; `outcome` is `ok`, an error kind, or `failed` for anything else."""
        ...

    def sent(self, destination: str, size: int) -> None:
        """Storage took all bytes of a file."""
        ...

    def attempted(self, destination: str, outcome: str, kind: str) -> None:
        """An attempt ended: the state it led to, or `followed`; and the error's kind, or ""."""
        ...

    def attached(self, destination: str, seconds: float) -> None:
        """A file was attached, so long after it was first seen."""
        ...


class Unmeasured:
    """Counts nothing: for whoever has no page."""

    def settled(self, folder_id: int, seconds: float, *, by_hint: bool) -> None:
        """Forget it."""

    def hints_dropped(self, folder_id: int, count: int) -> None:
        """Forget it."""

    def claimed(self, destination: str, seconds: float) -> None:
        """Forget it."""

    def called(self, destination: str, call: str, outcome: str, seconds: float) -> None:
        """Forget it."""

    def sent(self, destination: str, size: int) -> None:
        """Forget it."""

    def attempted(self, destination: str, outcome: str, kind: str) -> None:
        """Forget it."""

    def attached(self, destination: str, seconds: float) -> None:
        """Forget it."""


UNMEASURED = Unmeasured()
