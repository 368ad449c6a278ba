"""What the page asks of the running service. Called from the page's threads, several at once."""

from collections.abc import Sequence
from typing import Protocol

from attachd.ledger.reports import Entry
from attachd.status.now import Now
from attachd.status.snapshot import ServiceStatus


class Source(Protocol):
    """The running service. The last two read the ledger, by its counts and indexes alone."""

    def now(self) -> Now:
        """Give how things stand inside, without asking the ledger."""
        ...

    def status(self) -> ServiceStatus:
        """Give what `attachd status` shows.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        ...

    def problems(self, limit: int) -> Sequence[Entry]:
        """Give what needs a person, the latest first.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        ...
