"""One attempt at one delivery: the calls of its destination, in order, with what a crash must find written.

Theory of operation. The worker hashes the file once and asks the ledger for its place: a delivery whose
elder has the same bytes for the same target goes no further. Then `open` and `put`, which may be repeated
freely; their receipt is recorded, so that a later run does not send the bytes again. One last look at the
file: if it changed meanwhile, nothing is registered. Then each final call, announced by a durable intent.
An intent without an answer is doubt, and doubt is never solved by calling again.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from threading import Event

import structlog

from attachd.core import outcomes
from attachd.core.measure import UNMEASURED, Measure
from attachd.core.paths import escape
from attachd.core.protocols import (
    Change,
    Clock,
    Destination,
    Files,
    Ledger,
    OpenFile,
    Place,
    Receipt,
    Ticket,
    Upload,
)
from attachd.core.settings import RetryPolicy
from attachd.errors import (
    AttachdError,
    FileChanged,
    FileError,
    FileGone,
    FileUnreadable,
    LedgerError,
    NotRegular,
    StopRequested,
    Trouble,
)
from attachd.model import Delivery, ErrorInfo, ErrorKind, Severity, State
from attachd.pipeline.background import LARGE, in_background
from attachd.pipeline.body import HashingBody
from attachd.pipeline.measured import count_attached, count_attempt
from attachd.pipeline.patience import until_written

log = structlog.get_logger("attachd")


class Asked(Enum):
    """What an attempt tells about the destination, for its gate."""

    ANSWERED = "answered"  # it did its work, or refused only this delivery
    STRUCK = "struck"  # trouble that may be the destination's
    UNASKED = "unasked"  # the attempt ended before the destination was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one attempt went. `trouble` is given where the destination was the cause."""

    delivery_id: int
    asked: Asked
    trouble: Trouble | None = None


class LostAnswer(AttachdError):
    """The answer to a call that must not be repeated blindly did not come."""

    def __init__(self, call: str, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.call = call
        self.trouble = trouble


class Worker:
    """Takes deliveries of one destination through their calls. Shared by its threads, has no state.

    `waits` has the seconds for which a missing target is looked for again, by rule; `look` asks a folder to
    look at a path again, `in_place` whether a folder is there and the same as ever; `attached`
    is told when one may have been attached; `cut` is set when a stop cannot wait any longer.
    """

    def __init__(  # noqa: PLR0913 - the parts it joins, given by keyword
        self,
        *,
        destination: Destination,
        ledger: Ledger,
        files: Files,
        clock: Clock,
        run: str,
        retry: RetryPolicy,
        waits: Mapping[str, float],
        look: Callable[[int, str], None],
        in_place: Callable[[int], bool],
        attached: Callable[[], None],
        cut: Event,
        measure: Measure = UNMEASURED,
    ) -> None:
        self._destination = destination
        self._ledger = ledger
        self._files = files
        self._clock = clock
        self._run = run
        self._retry = retry
        self._waits = waits
        self._look = look
        self._in_place = in_place
        self._attached = attached
        self._cut = cut
        self._measure = measure

    def attempt(self, delivery: Delivery, *, probe: bool = False) -> Attempt:
        """Make one attempt and write how it ended. `probe`: it goes through a closed gate.

        While the ledger cannot be written, how the attempt ended is kept until it can.

        Raises:
            LedgerError: it still cannot be written, and the service cannot wait any longer.
        """
        try:
            if delivery.signs.size < LARGE:
                return self._attempt(delivery, probe=probe)
            return in_background(lambda: self._attempt(delivery, probe=probe))
        except LedgerError as error:  # before a call that needed its intent: nothing was asked for
            return self._ended(delivery, self._untried(delivery, error.message))
        except MemoryError:  # the next start goes on, with more memory: nothing is known about the file
            raise
        except Exception as error:  # one file that meets a bug must not stop the others
            log.exception("delivery_failed_by_a_bug", delivery=delivery.id, path=escape(delivery.path))
            return self._ended(delivery, self._bug(error), Asked.ANSWERED)

    def _attempt(self, delivery: Delivery, *, probe: bool) -> Attempt:
        refusal = self._not_admitted(delivery)
        if refusal is not None:
            return self._ended(delivery, refusal)
        try:
            ended = self._made(delivery, self._deliver(delivery))
        except LostAnswer as lost:
            change = outcomes.in_doubt(lost.trouble, lost.call, at=self._clock.now(), by=self._run)
            ended = self._ended(delivery, change, Asked.STRUCK, lost.trouble)
        except Trouble as trouble:
            ended = self._troubled(delivery, trouble, probe=probe)
        except FileError as error:
            ended = self._ended(delivery, self._without_file(delivery, error))
        except StopRequested:
            ended = self._ended(delivery, self._untried(delivery, "the service stopped"))
        return ended

    def _not_admitted(self, delivery: Delivery) -> Change | None:
        """Hold what is too large. It says nothing about the destination, which was not asked."""
        if "put" in delivery.receipts:
            return None
        try:
            self._destination.admit(delivery.signs.size)
        except Trouble as trouble:
            return outcomes.held(trouble.info, at=self._clock.now(), by=self._run)
        return None

    def _made(self, delivery: Delivery, receipts: Mapping[str, Receipt] | None) -> Attempt:
        if receipts is None:  # it follows its elder, or the row is not ours any more
            return self._ended(delivery, None)
        calls = self._destination.final_calls(delivery.target)
        note = outcomes.note_of(calls, receipts)
        remote_id = receipts[calls[-1]]["remote_id"]
        change = outcomes.attached(remote_id, at=self._clock.now(), by=self._run, note=note)
        return self._ended(delivery, change, Asked.ANSWERED)

    def _deliver(self, delivery: Delivery) -> Mapping[str, Receipt] | None:
        """Make the calls that are left; give all receipts, None where there is nothing to do for us."""
        receipts = dict(delivery.receipts)
        if "put" in receipts and delivery.sha256:
            if not self._goes_first(delivery, delivery.sha256):
                return None
            upload = Upload.of(delivery, delivery.sha256)
        else:
            with self._files.open(delivery.folder, delivery.path, delivery.signs) as file:
                sha256 = delivery.sha256 or file.sha256()
                if not self._goes_first(delivery, sha256):
                    return None
                upload = Upload.of(delivery, sha256)
                receipts |= self._send(delivery, upload, file)
        self._last_look(delivery)
        return self._finish(delivery, upload, receipts)

    def _goes_first(self, delivery: Delivery, sha256: str) -> bool:
        place = self._ledger.identify(delivery, sha256, self._clock.now(), self._run)
        return place is Place.FIRST

    def _send(self, delivery: Delivery, upload: Upload, file: OpenFile) -> Mapping[str, Receipt]:
        file.rewind()
        upload = replace(upload, facts=self._destination.describe(upload, file))
        try:
            return self._send_once(delivery, upload, file)
        except Trouble as trouble:
            if not trouble.fresh_url:
                raise
            log.info("upload_url_renewed", delivery=delivery.id, why=trouble.message)
            return self._send_once(delivery, upload, file)

    def _send_once(self, delivery: Delivery, upload: Upload, file: OpenFile) -> Mapping[str, Receipt]:
        self._ledger.begin_call(delivery, "open")
        ticket: Ticket = self._destination.open(upload)
        receipts = dict(ticket.receipts)
        if "put" not in receipts:
            self._ledger.begin_call(delivery, "put")
            file.rewind()
            body = HashingBody(file, self._cut)
            receipt = self._destination.put(ticket, upload, body)
            if body.sha256_hex() != upload.sha256:
                raise FileChanged("the file changed while it was sent")
            receipts["put"] = receipt
        # `put` last: with it in the ledger no bytes are sent any more, so all else must stand there before.
        for call in sorted(receipts, key=lambda call: call == "put"):
            self._ledger.record_receipt(delivery, call, receipts[call])
        return receipts

    def _last_look(self, delivery: Delivery) -> None:
        try:
            self._files.look_again(delivery.folder, delivery.path, delivery.signs)
        except (FileGone, FileUnreadable):
            # The bytes in storage are whole and were hashed: a file that is gone by now is still a proof.
            log.info("file_gone_after_upload", delivery=delivery.id, path=escape(delivery.path))

    def _finish(
        self, delivery: Delivery, upload: Upload, receipts: dict[str, Receipt]
    ) -> Mapping[str, Receipt] | None:
        calls = self._destination.final_calls(upload.target)
        for call in calls:
            if call in receipts:
                continue
            if self._cut.is_set():
                raise StopRequested("the service stops")
            if not self._ledger.record_intent(delivery, call):
                return None
            receipts[call] = self._complete(call, upload, receipts)
            if call != calls[-1]:
                self._keep(delivery, call, receipts[call])
        return receipts

    def _keep(self, delivery: Delivery, call: str, receipt: Receipt) -> None:
        """Make an answer durable before the next call: without it, its intent stays open."""
        try:
            until_written(lambda: self._ledger.record_answer(delivery, call, receipt), self._cut)
        except LedgerError as error:
            lost = Trouble(ErrorKind.UNKNOWN_OUTCOME, Severity.UNKNOWN, error.message, hint=error.hint)
            raise LostAnswer(call, lost) from error

    def _complete(self, call: str, upload: Upload, receipts: Mapping[str, Receipt]) -> Receipt:
        try:
            return self._destination.complete(call, upload, receipts)
        except Trouble as trouble:
            if trouble.severity is Severity.UNKNOWN:
                raise LostAnswer(call, trouble) from trouble
            raise
        except StopRequested:  # raised before the call only: nothing was sent
            raise
        except Exception as error:
            log.exception("call_failed_by_a_bug", delivery=upload.delivery_id, call=call)
            message = f"attachd itself failed while it waited: {type(error).__name__}"
            lost = Trouble(ErrorKind.UNKNOWN_OUTCOME, Severity.UNKNOWN, message)
            raise LostAnswer(call, lost) from error

    def _troubled(self, delivery: Delivery, trouble: Trouble, *, probe: bool) -> Attempt:
        change = outcomes.after_trouble(
            delivery,
            trouble,
            self._retry,
            at=self._clock.now(),
            by=self._run,
            share=random.random(),  # noqa: S311 - jitter, no secret
            probe=probe,
            wait=self._waits.get(delivery.rule, 0.0),
        )
        asked = Asked.ANSWERED if trouble.severity is Severity.LASTING else Asked.STRUCK
        return self._ended(delivery, change, asked, trouble)

    def _ended(
        self,
        delivery: Delivery,
        change: Change | None,
        asked: Asked = Asked.UNASKED,
        trouble: Trouble | None = None,
    ) -> Attempt:
        if change is not None and until_written(lambda: self._ledger.change(delivery, change), self._cut):
            _tell(delivery, change)
            count_attached(self._measure, delivery, change)
        count_attempt(self._measure, delivery, change)
        if change is None or change.to is State.DONE:  # attached, by its elder or by itself
            self._attached()
        return Attempt(delivery_id=delivery.id, asked=asked, trouble=trouble)

    def _without_file(self, delivery: Delivery, error: FileError) -> Change:
        if self._cut.is_set():  # a share that hangs was given up for the stop: it is not asked once more
            return self._untried(delivery, "the service stopped")
        if isinstance(error, FileGone | NotRegular):  # something else took its place: the file is gone
            return self._absent(delivery)
        if isinstance(error, FileUnreadable):
            return self._unreadable(delivery, error)
        return self._changed(delivery, error)

    def _absent(self, delivery: Delivery) -> Change:
        if self._in_place(delivery.folder_id):
            self._look(delivery.folder_id, delivery.path)  # when it comes back, it is news
            return outcomes.vanished(at=self._clock.now(), by=self._run)
        return self._folder_out()

    def _folder_out(self) -> Change:
        return outcomes.folder_out(self._retry, at=self._clock.now(), by=self._run)

    def _changed(self, delivery: Delivery, error: FileError) -> Change:
        self._look(delivery.folder_id, delivery.path)
        if self._ledger.newer_version_exists(delivery):
            return outcomes.superseded(at=self._clock.now(), by=self._run)
        hint = "attachd looks at it again and goes on once nobody writes it any more"
        return self._later(delivery, ErrorKind.CHANGED, str(error), hint)

    def _unreadable(self, delivery: Delivery, error: Exception) -> Change:
        if not self._in_place(delivery.folder_id):
            return self._folder_out()
        hint = "make the file readable for the user that attachd runs as; attachd tries again by itself"
        return self._later(delivery, ErrorKind.UNREADABLE, str(error), hint)

    def _later(self, delivery: Delivery, kind: ErrorKind, message: str, hint: str) -> Change:
        trouble = Trouble(kind, Severity.PASSING, message, hint=hint)
        share = random.random()  # noqa: S311 - jitter, no secret
        return outcomes.retry_later(
            delivery, trouble, self._retry, at=self._clock.now(), by=self._run, share=share
        )

    def _untried(self, delivery: Delivery, detail: str) -> Change:
        return outcomes.put_back(at=self._clock.now(), by=self._run, detail=detail, error=delivery.error)

    def _bug(self, error: Exception) -> Change:
        at, by = self._clock.now(), self._run
        message = f"attachd itself failed: {type(error).__name__}"
        hint = "a bug: the log has the details; attachd retry ID tries again"
        info = ErrorInfo(kind=ErrorKind.REJECTED, message=message, hint=hint)
        return outcomes.failed_by_a_bug(info, at=at, by=by)


def _tell(delivery: Delivery, change: Change) -> None:
    fields: dict[str, object] = {
        "delivery": delivery.id,
        "path": escape(delivery.path),
        "rule": delivery.rule,
        "destination": delivery.destination,
        "target": dict(delivery.target),
    }
    if change.error:
        fields |= {"kind": str(change.error.kind), "why": change.error.message}
    if change.remote_id:
        fields |= {"remote_id": change.remote_id}
    event = f"delivery_{change.to}"
    match change.to:
        case State.DONE:
            log.info("attached", **fields)
        case State.HELD:
            log.warning("delivery_held", **fields)
        case State.DOUBTFUL:
            log.warning("delivery_doubtful", **fields)
        case State.VANISHED:
            log.warning("delivery_vanished", **fields)
        case _:
            log.info(event, **fields)
