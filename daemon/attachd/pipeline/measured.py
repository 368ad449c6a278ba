"""What deliveries tell for metrics: how their attempts end, and how long each call of a destination takes."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from attachd.core.measure import Measure
from attachd.core.protocols import (
    Body,
    Change,
    Clock,
    Destination,
    OpenFile,
    Receipt,
    Reconciled,
    Ticket,
    Upload,
)
from attachd.errors import Trouble
from attachd.model import Delivery, State

OK = "ok"
FAILED = "failed"
"""No answer of the destination: the file changed, the service stops, or a bug."""

FOLLOWED = "followed"
"""The attempt ended because the same bytes go another way: the delivery follows an elder."""

_T = TypeVar("_T")


def count_attempt(measure: Measure, delivery: Delivery, change: Change | None) -> None:
    """Count an attempt by what it led to."""
    outcome = FOLLOWED if change is None else str(change.to)
    kind = str(change.error.kind) if change and change.error else ""
    measure.attempted(delivery.destination, outcome, kind)


def count_attached(measure: Measure, delivery: Delivery, change: Change) -> None:
    """Count a delivery that a change has brought to its end."""
    if change.to is State.DONE:
        measure.attached(delivery.destination, (change.at - delivery.first_seen).total_seconds())


class MeasuredDestination:
    """Hands everything on to another destination. Used by many workers at once, has no state."""

    def __init__(self, destination: Destination, measure: Measure, clock: Clock) -> None:
        self.name = destination.name
        self._destination = destination
        self._measure = measure
        self._clock = clock

    def final_calls(self, target: Mapping[str, str]) -> tuple[str, ...]:
        """Give the calls after `put`; nothing is asked for."""
        return self._destination.final_calls(target)

    def admit(self, size: int) -> None:
        """Refuse a file that is too large; nothing is asked for."""
        self._destination.admit(size)

    def describe(self, upload: Upload, file: OpenFile) -> Receipt:
        """Say what `open` must tell of the bytes; nothing is asked for."""
        return self._destination.describe(upload, file)

    def open(self, upload: Upload) -> Ticket:
        """Ask for leave to send the bytes."""
        return self._timed("open", lambda: self._destination.open(upload))

    def put(self, ticket: Ticket, upload: Upload, body: Body) -> Receipt:
        """Send the bytes, which are counted once all have arrived."""
        receipt = self._timed("put", lambda: self._destination.put(ticket, upload, body))
        self._measure.sent(self.name, upload.size)
        return receipt

    def complete(self, call: str, upload: Upload, receipts: Mapping[str, Receipt]) -> Receipt:
        """Make one of the final calls."""
        return self._timed(call, lambda: self._destination.complete(call, upload, receipts))

    def reconcile(self, call: str, upload: Upload, receipts: Mapping[str, Receipt]) -> Reconciled:
        """Find out what became of a call."""
        return self._timed("reconcile", lambda: self._destination.reconcile(call, upload, receipts))

    def close(self) -> None:
        """Give connections back."""
        self._destination.close()

    def _timed(self, call: str, work: Callable[[], _T]) -> _T:
        began, outcome = self._clock.monotonic(), FAILED
        try:
            result = work()
            outcome = OK
        except Trouble as trouble:
            outcome = str(trouble.kind)
            raise
        else:
            return result
        finally:
            self._measure.called(self.name, call, outcome, self._clock.monotonic() - began)
