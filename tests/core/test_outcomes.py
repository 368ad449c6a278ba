from datetime import UTC, datetime

import pytest

from attachd.core import outcomes
from attachd.core.protocols import Answer, Reconciled
from attachd.core.settings import OnDoubt, RetryPolicy
from attachd.errors import Trouble
from attachd.model import Delivery, ErrorInfo, ErrorKind, Severity, Signs, State

NOW = datetime(2026, 11, 21, tzinfo=UTC)
POLICY = RetryPolicy(first=2, cap=60, give_up_after=100)


def delivery(**changes):
    values = {
        "id": 1,
        "folder_id": 1,
        "folder": "/srv/in",
        "path": "a.png",
        "version": 1,
        "signs": Signs(size=1, mtime_ns=1, ctime_ns=1),
        "sha256": "aa",
        "rule": "photos",
        "destination": "ion",
        "target": {"run_step": "1"},
        "filename": "a.png",
        "dedupe": True,
        "state": State.ACTIVE,
        "run": "run 1",
        "call": "put",
        "attempts": 0,
        "waited": 0.0,
        "next_attempt_at": None,
        "receipts": {},
        "intent": None,
        "elder_id": None,
        "remote_id": None,
        "error": None,
        "first_seen": NOW,
        "updated_at": NOW,
    }
    return Delivery(**(values | changes))


def trouble(severity, kind=ErrorKind.SERVER, **more):
    return Trouble(kind, severity, "it did not work", **more)


def after(what, *, of=None, probe=False):
    return outcomes.after_trouble(of or delivery(), what, POLICY, at=NOW, by="run 1", share=0.5, probe=probe)


def test_passing_trouble_waits_and_counts():
    """A passing failure costs one attempt and is tried again later."""
    change = after(trouble(Severity.PASSING))
    assert (change.to, change.counts) == (State.WAITING, True)
    assert change.next_attempt_at is not None
    assert change.next_attempt_at > NOW


def test_passing_trouble_of_a_probe_costs_nothing():
    """A long outage burns no attempts: what goes through a closed gate is put back."""
    change = after(trouble(Severity.PASSING), probe=True)
    assert (change.to, change.counts, change.waits) == (State.READY, False, 0.0)


def test_a_refusal_costs_nothing():
    """A wrong token is not the delivery's fault."""
    change = after(trouble(Severity.REFUSED, ErrorKind.AUTH))
    assert (change.to, change.counts) == (State.READY, False)


def test_lasting_trouble_is_held():
    """Only a person can help, and is told how."""
    change = after(trouble(Severity.LASTING, ErrorKind.PERMISSION, hint="ask the administrator"))
    assert change.to is State.HELD
    assert change.error == ErrorInfo(
        kind=ErrorKind.PERMISSION, message="it did not work", hint="ask the administrator"
    )


def test_a_lost_answer_leaves_the_intent_open():
    """Doubt keeps the announced call on record."""
    change = outcomes.in_doubt(trouble(Severity.UNKNOWN), "register", at=NOW, by="run 1")
    assert (change.to, change.close_intent) == (State.DOUBTFUL, False)
    assert change.error is not None
    assert change.error.kind is ErrorKind.UNKNOWN_OUTCOME


def test_it_is_given_up_when_it_waited_long_enough():
    """After give_up_after of waiting a person decides, and sees the last trouble."""
    change = after(trouble(Severity.PASSING), of=delivery(attempts=9, waited=99.9))
    assert change.to is State.HELD
    assert change.error is not None
    assert change.error.kind is ErrorKind.GIVEN_UP
    assert "it did not work" in change.error.message


def test_a_contradicted_upload_starts_over_once():
    """The first time the upload is made anew, the second time in a row a person looks."""
    contradicted = trouble(Severity.LASTING, ErrorKind.INTEGRITY, restart=True)
    first = after(contradicted)
    assert (first.to, first.forget_receipts) == (State.WAITING, True)
    second = after(contradicted, of=delivery(error=contradicted.info))
    assert (second.to, second.forget_receipts) == (State.HELD, True)


@pytest.mark.parametrize(
    ("answer", "on_doubt", "last", "state"),
    [
        (Answer.TOOK_EFFECT, OnDoubt.HOLD, True, State.DONE),
        (Answer.TOOK_EFFECT, OnDoubt.HOLD, False, State.READY),
        (Answer.DID_NOT, OnDoubt.HOLD, True, State.READY),
        (Answer.CANNOT_TELL, OnDoubt.HOLD, True, State.HELD),
        (Answer.CANNOT_TELL, OnDoubt.RETRY, True, State.READY),
    ],
)
def test_doubt_is_settled_by_what_the_destination_says(answer, on_doubt, last, state):
    """Only a clear answer, or a person's standing order, leads out of doubt by itself."""
    asked = Reconciled(answer=answer, receipt={"remote_id": "7"} if answer is Answer.TOOK_EFFECT else {})
    doubtful = delivery(state=State.DOUBTFUL, intent="register")
    change = outcomes.after_asking(doubtful, asked, on_doubt, last=last, at=NOW, by="run 1")
    assert change.to is state
    assert change.close_intent is (state is not State.HELD)
