"""Settling doubt: the destination is asked what became of a call whose answer was lost."""

from dataclasses import replace

import structlog

from attachd.core import outcomes
from attachd.core.measure import UNMEASURED, Measure
from attachd.core.paths import escape
from attachd.core.protocols import Answer, Clock, Destination, Ledger, Upload
from attachd.core.settings import OnDoubt
from attachd.core.states import UNKNOWN_CALL
from attachd.errors import LedgerDamaged, LedgerError, StopRequested, Trouble
from attachd.model import Delivery
from attachd.pipeline.measured import count_attached

log = structlog.get_logger("attachd")


class Reconciler:
    """Asks one destination about its doubtful deliveries. Shared by its worker threads, has no state."""

    def __init__(
        self,
        *,
        destination: Destination,
        ledger: Ledger,
        clock: Clock,
        run: str,
        on_doubt: OnDoubt,
        measure: Measure = UNMEASURED,
    ) -> None:
        self._destination = destination
        self._ledger = ledger
        self._clock = clock
        self._run = run
        self._on_doubt = on_doubt
        self._measure = measure

    def settle(self, delivery: Delivery) -> bool:
        """Ask about one delivery and write what came out.

        False where the destination could not be asked right now, or what it said could not be written: the
        delivery stays doubtful and is asked about again later.
        """
        try:
            return self._settle(delivery)
        except (LedgerDamaged, MemoryError):
            raise
        except LedgerError as error:
            log.info("doubt_not_settled_yet", delivery=delivery.id, call=delivery.intent, why=error.message)
            return False
        except Exception:  # asking may be repeated, and one doubt must not stop the others
            log.exception("doubt_not_settled_by_a_bug", delivery=delivery.id, call=delivery.intent)
            return False

    def _settle(self, delivery: Delivery) -> bool:
        calls = self._destination.final_calls(delivery.target)
        if delivery.intent == UNKNOWN_CALL:  # any may have been made: only the last one is proof
            delivery = replace(delivery, intent=calls[-1])
        call = delivery.intent or ""
        upload = Upload.of(delivery, delivery.sha256 or "")
        try:
            outcome = self._destination.reconcile(call, upload, delivery.receipts)
        except Trouble as trouble:
            log.info("doubt_not_settled_yet", delivery=delivery.id, call=call, why=trouble.message)
            return False
        except StopRequested:
            return False
        if outcome.answer is Answer.TOOK_EFFECT:
            self._ledger.record_receipt(delivery, call, outcome.receipt)
        change = outcomes.after_asking(
            delivery, outcome, self._on_doubt, calls=calls, at=self._clock.now(), by=self._run
        )
        if self._ledger.change(delivery, change):
            count_attached(self._measure, delivery, change)
            log.warning(
                "doubt_settled",
                delivery=delivery.id,
                path=escape(delivery.path),
                call=call,
                answer=outcome.answer.value,
                state=str(change.to),
            )
        return True
