"""The page beside the service: what it asks, and how it comes and goes with rules.yaml."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attachd.core.heart import Heart
from attachd.core.settings import Settings
from attachd.ledger.lock import Holder
from attachd.ledger.reports import Entry, Reports
from attachd.page.listening import Listen
from attachd.page.source import Source
from attachd.service.build import Rooms
from attachd.service.observe import folders_now
from attachd.status.facts import LiveFacts
from attachd.status.now import Now
from attachd.status.progress import NEEDS_YOU, STATES, shown_as
from attachd.status.snapshot import ServiceStatus, snapshot

if TYPE_CHECKING:
    from attachd.page.server import StatusPage

STUCK_SECONDS = 30.0
"""After so long without a round of the main loop the service counts as stuck."""

_PROBLEMS = frozenset(state for state in STATES if shown_as(state) == NEEDS_YOU)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """Answers the page from the running rooms. Asked by the page's threads; everything it calls allows that.

    Attributes:
        rooms: everything that runs.
        reports: the ledger, for reading.
        holder: this run.
        settings: gives what the rules.yaml in force says.
        facts: gives what `status` shows.
        failures: gives the threads that died.
        trouble: gives why nothing could be written to the ledger at last, or None.
        stuck: gives the loops that have shown no sign of life for too long.
        main: beats with the main loop, which notices all that and cannot notice itself.
    """

    rooms: Rooms
    reports: Reports
    holder: Holder
    settings: Callable[[], Settings]
    facts: Callable[[], LiveFacts]
    failures: Callable[[], Sequence[tuple[str, BaseException]]]
    trouble: Callable[[], Exception | None]
    stuck: Callable[[], Sequence[str]]
    main: Heart

    def now(self) -> Now:
        """Give how things stand inside."""
        broken = [f"{part} has died: {type(failure).__name__}" for part, failure in self.failures()]
        main = ["main loop"] if self.main.silence() > STUCK_SECONDS else []
        broken += [f"{part} is stuck" for part in (*self.stuck(), *main)]
        trouble = self.trouble()
        return Now(
            facts=self.facts(),
            folders=folders_now(self.rooms),
            broken=broken,
            ledger_trouble="" if trouble is None else str(trouble),
            measured=self.rooms.wiring.measures.taken(),
        )

    def status(self) -> ServiceStatus:
        """Give what `attachd status` shows."""
        return snapshot(
            self.settings(),
            holder=self.holder,
            counts=self.reports.counts(),
            live=self.facts(),
            oldest=self.reports.oldest_undelivered(),
        )

    def problems(self, limit: int) -> Sequence[Entry]:
        """Give what needs a person, the latest first."""
        return list(self.reports.entries(_PROBLEMS, limit=limit))


class Paging:
    """The page, if there is one. Owner: the main thread. Its libraries are imported where it is wanted."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._page: StatusPage | None = None

    def show_at(self, listen: Listen | None) -> None:
        """Have the page there from now on, or nowhere; returns at once."""
        if self._page is None:
            if listen is None:
                return
            from attachd.page.server import StatusPage  # noqa: PLC0415 - needs an extra that may be missing

            self._page = StatusPage(self._source)
            self._page.start()
        self._page.move(listen)

    def stop(self, seconds: float) -> None:
        """End the page, waiting at most so long."""
        if self._page is not None:
            self._page.stop(seconds)
