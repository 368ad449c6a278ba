"""What systemd is told: that the service is ready, how it stands in words, and that it is alive.

The watchdog's ping is fed by signs of life, not by a timer: while a loop that should go on does not, there
is none, and systemd ends the process and starts it anew. Waiting for work, for a file system or for a
destination is no standstill.
"""

from collections.abc import Collection, Mapping

import structlog

from attachd.core.protocols import Clock
from attachd.printable import safe_text, without_secrets
from attachd.service.notify import extended, notify, watchdog_seconds
from attachd.status.facts import LiveFacts
from attachd.status.progress import NEEDS_YOU, ON_ITS_WAY, tally

log = structlog.get_logger("attachd")

PATIENCE_SECONDS = 60.0
"""How long a loop may be silent where no watchdog is; else for as long as the watchdog waits for a ping."""

DRAIN_SECONDS = 1.0
"""How often systemd is asked for more time to stop."""

EXTENSION_SECONDS = 15.0
"""How much of it."""

_OPENED_PER_SECOND = 4 * 1024 * 1024
"""Bytes of a ledger that even a slow disk reads and writes in a second while it is brought up to date."""


class Teller:
    """Tells systemd, each thing when it changes. Owner: the main thread.

    Attributes:
        patience: seconds for which a loop may show no sign of life.
    """

    def __init__(self, clock: Clock, environ: Mapping[str, str]) -> None:
        self.patience = watchdog_seconds(environ) or PATIENCE_SECONDS
        self._clock = clock
        self._said = ""
        self._told: frozenset[str] = frozenset()
        self._drained_at: float | None = None

    def starting(self, words: str, seconds: float) -> None:
        """Say what the start does, and ask for so much time for it."""
        self._said = words
        notify(extended(seconds), f"STATUS={words}")

    def ready(self, words: str) -> None:
        """Say that the start, or a reload, is over."""
        self._said = words
        notify("READY=1", f"STATUS={words}")

    def goes_on(self, words: str, stuck: Collection[str]) -> None:
        """Say how the service stands, and that it is alive unless something is stuck."""
        for part in sorted(frozenset(stuck) - self._told):
            log.critical("stuck", part=part, seconds=self.patience, hint="systemd starts the service anew")
        self._told = frozenset(stuck)
        words = f"stuck: {', '.join(sorted(stuck))}" if stuck else words
        alive = [] if stuck else ["WATCHDOG=1"]
        status = [f"STATUS={words}"] if words != self._said else []
        self._said = words
        if alive or status:
            notify(*alive, *status)

    def stopping(self) -> None:
        """Say that the service stops."""
        notify("STOPPING=1", "STATUS=stopping")

    def draining(self, left: int) -> None:
        """Say how many transfers are still waited for, and ask for the time they need."""
        now = self._clock.monotonic()
        if self._drained_at is None or now - self._drained_at >= DRAIN_SECONDS:
            self._drained_at = now
            words = f"STATUS=stopping: finishing {_many(left, 'transfer')} under way"
            notify("WATCHDOG=1", extended(EXTENSION_SECONDS), words)


def opening_seconds(size: int) -> float:
    """Give the time in which a ledger of so many bytes is brought up to date at the latest."""
    return PATIENCE_SECONDS + size / _OPENED_PER_SECOND


def standing(
    facts: LiveFacts, states: Mapping[str, int], trouble: str = "", silent: Collection[str] = ()
) -> str:
    """Put into one line how the service stands: what waits, and everything that is not well.

    Args:
        facts: how its folders and destinations stand.
        states: how many deliveries, and files without one, stand in each state.
        trouble: why the ledger cannot be written; "" while it can.
        silent: folders whose thread has shown no sign of life for too long.
    """
    totals = tally(states)
    watched = f"{_many(len(facts.folders), 'folder')} for {_many(len(facts.destinations), 'destination')}"
    parts = [f"waiting: {trouble}" if trouble else f"watching {watched}"]
    if totals[ON_ITS_WAY]:
        parts.append(f"{totals[ON_ITS_WAY]} on {'its' if totals[ON_ITS_WAY] == 1 else 'their'} way")
    if totals[NEEDS_YOU]:
        parts.append(f"{totals[NEEDS_YOU]} {'needs' if totals[NEEDS_YOU] == 1 else 'need'} you")
    parts += [f"folder {each.path}: {each.detail}" for each in facts.folders if not each.healthy]
    parts += [f"folder {path}: no look at it comes to an end" for path in silent]
    parts += [f"destination {each.name}: {each.detail}" for each in facts.destinations if not each.healthy]
    if facts.service.rules_detail:
        parts.append("a reload was refused, see the log")
    return safe_text(without_secrets("; ".join(parts)))


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
