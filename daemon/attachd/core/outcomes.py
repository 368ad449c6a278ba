"""What becomes of a delivery after an attempt: trouble in, a move of the state table out. Pure.

One function per way an attempt can end. The worker writes the `Change`, the ledger checks that it is legal.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from attachd.core.protocols import Answer, Change, Receipt, Reconciled
from attachd.core.retrying import GiveUp, decide_look, decide_retry
from attachd.core.settings import OnDoubt, RetryPolicy
from attachd.errors import Trouble
from attachd.model import Delivery, ErrorInfo, ErrorKind, Severity, State

_MAY_COME = frozenset({ErrorKind.NO_TARGET_YET, ErrorKind.UNKNOWN_TARGET})

MOST_BLIND_ATTEMPTS = 5
"""With `on_doubt: retry`, the attempts after which nothing is repeated blindly: each may be a double."""


def attached(remote_id: str, *, at: datetime, by: str, note: str = "") -> Change:
    """Every call went through; `note` says what was special about it."""
    return Change(
        to=State.DONE,
        at=at,
        by=by,
        detail=note or "attached",
        remote_id=remote_id,
        counts=True,
        close_intent=True,
    )


def note_of(calls: Sequence[str], receipts: Mapping[str, Receipt]) -> str:
    """Give what the receipts of these calls have to tell people, in the order of the calls."""
    notes = (receipts.get(call, {}).get("note", "") for call in calls)
    return "; ".join(note for note in notes if note)


def put_back(*, at: datetime, by: str, detail: str, error: ErrorInfo | None = None) -> Change:
    """The attempt ended before it said anything about the delivery: no attempt is counted.

    `error` is what stands in the row from now on: for one that was put back untried, what stood there before.
    """
    return Change(to=State.READY, at=at, by=by, detail=detail, error=error, close_intent=True)


def folder_out(policy: RetryPolicy, *, at: datetime, by: str) -> Change:
    """The delivery's folder is not there: nothing is known about the file, and no attempt is counted."""
    error = ErrorInfo(
        kind=ErrorKind.UNREADABLE,
        message="its folder is not there at the moment",
        hint="`attachd status` says what is wrong with the folder; attachd goes on once it is back",
    )
    return Change(
        to=State.WAITING,
        at=at,
        by=by,
        detail="its folder is out",
        error=error,
        next_attempt_at=at + timedelta(seconds=policy.first),
    )


def vanished(*, at: datetime, by: str) -> Change:
    """The file was gone before its bytes were sent."""
    error = ErrorInfo(
        kind=ErrorKind.UNREADABLE,
        message="the file was gone before it was delivered",
        hint="drop it again to have it attached, or dismiss it if it is not needed",
    )
    return Change(to=State.VANISHED, at=at, by=by, detail="the file is gone", error=error)


def superseded(*, at: datetime, by: str) -> Change:
    """Newer bytes are at the path: their own delivery takes over."""
    return Change(to=State.SUPERSEDED, at=at, by=by, detail="newer bytes came while it was under way")


def held(error: ErrorInfo, *, at: datetime, by: str, forget: bool = False) -> Change:
    """Only a person can help."""
    return Change(
        to=State.HELD,
        at=at,
        by=by,
        detail=error.message,
        error=error,
        counts=True,
        close_intent=True,
        forget_receipts=forget,
    )


def failed_by_a_bug(error: ErrorInfo, *, at: datetime, by: str) -> Change:
    """We failed ourselves. An intent that may be open stays open: nobody knows what was sent."""
    return Change(to=State.HELD, at=at, by=by, detail=error.message, error=error, counts=True)


def retry_later(
    delivery: Delivery,
    trouble: Trouble,
    policy: RetryPolicy,
    *,
    at: datetime,
    by: str,
    share: float,
    forget: bool = False,
) -> Change:
    """Passing trouble: wait with jitter, or give up when the delivery has waited long enough.

    `share` is a random number from [0, 1); `forget` drops what earlier calls returned.
    """
    decision = decide_retry(
        policy,
        attempts=delivery.attempts + 1,
        waited=delivery.waited,
        share=share,
        asked=trouble.retry_after,
    )
    if isinstance(decision, GiveUp):
        return held(_given_up(trouble, decision.waited), at=at, by=by, forget=forget)
    return Change(
        to=State.WAITING,
        at=at,
        by=by,
        detail=trouble.message,
        error=trouble.info,
        next_attempt_at=at + timedelta(seconds=decision.seconds),
        counts=True,
        waits=decision.seconds,
        close_intent=True,
        forget_receipts=forget,
    )


def look_again(
    delivery: Delivery,
    trouble: Trouble,
    policy: RetryPolicy,
    *,
    wait: float,
    at: datetime,
    by: str,
    share: float,
) -> Change:
    """The target is not there yet: look for it again until the rule's `wait` is over, then hold.

    It is no fault of the destination and no failed attempt: neither is counted, nor is the time towards
    giving up.
    """
    pause = decide_look(policy, looked=delivery.looked, wait=wait, share=share)
    if pause is None:
        return held(trouble.info, at=at, by=by, forget=trouble.restart)
    error = ErrorInfo(
        kind=ErrorKind.NO_TARGET_YET,
        message=trouble.message,
        hint=f"nothing to do while it may still come: attachd looks for it again, for {_span(wait)} in all",
    )
    return Change(
        to=State.WAITING,
        at=at,
        by=by,
        detail=trouble.message,
        error=error,
        next_attempt_at=at + timedelta(seconds=pause),
        looks=pause,
        close_intent=True,
        forget_receipts=trouble.restart,
    )


def in_doubt(trouble: Trouble, call: str, *, at: datetime, by: str) -> Change:
    """The answer to a call that must not be repeated blindly was lost: its intent stays open."""
    error = ErrorInfo(
        kind=ErrorKind.UNKNOWN_OUTCOME,
        message=f"the answer to `{call}` was lost: {trouble.message}",
        hint=trouble.hint,
    )
    return Change(to=State.DOUBTFUL, at=at, by=by, detail=error.message, error=error, counts=True)


def after_trouble(  # noqa: PLR0913 - the facts it decides by, given by keyword
    delivery: Delivery,
    trouble: Trouble,
    policy: RetryPolicy,
    *,
    at: datetime,
    by: str,
    share: float,
    probe: bool,
    wait: float = 0.0,
) -> Change:
    """Decide by the severity of a trouble that leaves no doubt. `probe`: it went through a closed gate.

    A target that is not there is looked for again until the rule's `wait` (seconds) is over.
    A registration that storage contradicts (`trouble.restart`) starts over from `open` once: a second
    contradiction in a row is held.
    """
    passing = trouble.severity in (Severity.PASSING, Severity.UNKNOWN)
    if trouble.severity is Severity.REFUSED or (probe and passing):
        return put_back(at=at, by=by, detail=trouble.message, error=trouble.info)
    again = trouble.restart and (delivery.error is None or delivery.error.kind is not trouble.kind)
    if passing or again:
        return retry_later(delivery, trouble, policy, at=at, by=by, share=share, forget=trouble.restart)
    if trouble.kind in _MAY_COME:
        return look_again(delivery, trouble, policy, wait=wait, at=at, by=by, share=share)
    return held(trouble.info, at=at, by=by, forget=trouble.restart)


def after_asking(
    delivery: Delivery,
    outcome: Reconciled,
    on_doubt: OnDoubt,
    *,
    calls: Sequence[str],
    at: datetime,
    by: str,
) -> Change:
    """Decide about a doubtful delivery once the destination has been asked.

    `calls` are the final calls of its target: where the lost answer was that of the last one, a call that
    took effect means the delivery is attached; else it goes on with the next call.
    """
    call = delivery.intent or "call"
    if outcome.answer is Answer.TOOK_EFFECT and call == calls[-1]:
        note = note_of(calls, {**delivery.receipts, call: outcome.receipt})
        return Change(
            to=State.DONE,
            at=at,
            by=by,
            detail=f"`{call}` had taken effect{f'; {note}' if note else ''}",
            remote_id=outcome.receipt["remote_id"],
            close_intent=True,
        )
    if outcome.answer is Answer.TOOK_EFFECT:
        return put_back(at=at, by=by, detail=f"`{call}` had taken effect, the next call may start")
    if outcome.answer is Answer.DID_NOT:
        return put_back(at=at, by=by, detail=f"`{call}` had not taken effect, it is made again")
    if on_doubt is OnDoubt.RETRY and delivery.attempts < MOST_BLIND_ATTEMPTS:
        return put_back(at=at, by=by, detail=f"`{call}` is made again, as `on_doubt: retry` says")
    message = delivery.error.message if delivery.error else f"the answer to `{call}` was lost"
    error = ErrorInfo(kind=ErrorKind.UNKNOWN_OUTCOME, message=message, hint=outcome.hint)
    return Change(to=State.HELD, at=at, by=by, detail="the destination cannot tell", error=error)


def _span(seconds: float) -> str:
    length, unit = next((each for each in ((3600, "h"), (60, "min")) if seconds >= each[0]), (1, "s"))
    return f"{round(seconds / length, 1):g} {unit}"


def _given_up(trouble: Trouble, waited: float) -> ErrorInfo:
    return ErrorInfo(
        kind=ErrorKind.GIVEN_UP,
        message=f"given up after {waited / 3600:.1f} hours of waiting; last trouble: {trouble.message}",
        hint=trouble.hint or "when the cause is gone: attachd retry ID",
    )
