from datetime import timedelta

import pytest
from tests.core.deliveries import NOW, delivery

from attachd.core import outcomes
from attachd.core.protocols import Answer, Change, Reconciled
from attachd.core.settings import OnDoubt, RetryPolicy
from attachd.errors import Trouble
from attachd.model import ErrorInfo, ErrorKind, Severity, State

POLICY = RetryPolicy(first=2, cap=60, give_up_after=100)


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
    ("answer", "on_doubt", "calls", "state"),
    [
        (Answer.TOOK_EFFECT, OnDoubt.HOLD, ["register"], State.DONE),
        (Answer.TOOK_EFFECT, OnDoubt.HOLD, ["register", "message"], State.READY),
        (Answer.DID_NOT, OnDoubt.HOLD, ["register"], State.READY),
        (Answer.CANNOT_TELL, OnDoubt.HOLD, ["register"], State.HELD),
        (Answer.CANNOT_TELL, OnDoubt.RETRY, ["register"], State.READY),
    ],
)
def test_doubt_is_settled_by_what_the_destination_says(answer, on_doubt, calls, state):
    """Only a clear answer, or a person's standing order, leads out of doubt by itself."""
    asked = Reconciled(answer=answer, receipt={"remote_id": "7"} if answer is Answer.TOOK_EFFECT else {})
    doubtful = delivery(state=State.DOUBTFUL, intent="register")
    change = outcomes.after_asking(doubtful, asked, on_doubt, calls=calls, at=NOW, by="run 1")
    assert change.to is state
    assert change.close_intent is (state is not State.HELD)


def test_what_the_calls_have_to_tell_stands_in_the_history():
    """The notes of all calls are the detail of the row, in the order of the calls."""
    calls = ("create", "message")
    receipts = {"put": {"note": "no final call"}, "message": {"note": "two"}, "create": {"note": "one"}}
    assert outcomes.note_of(calls, receipts) == "one; two"
    assert outcomes.note_of(calls, {"create": {"remote_id": "7"}}) == ""
    assert outcomes.attached("7", at=NOW, by="run 1", note="one; two").detail == "one; two"
    assert outcomes.attached("7", at=NOW, by="run 1").detail == "attached"


def test_a_call_that_had_taken_effect_tells_the_notes_too():
    """What an earlier call had to tell is not lost because the last one was settled by asking."""
    doubtful = delivery(state=State.DOUBTFUL, intent="message", receipts={"create": {"note": "reused"}})
    asked = Reconciled(answer=Answer.TOOK_EFFECT, receipt={"remote_id": "7"})
    change = outcomes.after_asking(
        doubtful, asked, OnDoubt.HOLD, calls=("create", "message"), at=NOW, by="run 1"
    )
    assert change.detail == "`message` had taken effect; reused"


class TestWholeRows:
    """What each end of an attempt writes, field by field: whatever is not named here stays as it was."""

    stamp = {"at": NOW, "by": "run 1"}  # noqa: RUF012 - a constant

    def info(self, kind, message="it did not work", hint=""):
        return ErrorInfo(kind=kind, message=message, hint=hint)

    def test_attached(self):
        """The remote id is kept, the attempt counts and the call is answered."""
        assert outcomes.attached("7", **self.stamp) == Change(
            to=State.DONE,
            detail="attached",
            remote_id="7",
            counts=True,
            close_intent=True,
            **self.stamp,
        )

    def test_put_back(self):
        """Nothing counts; the error that stood there stays."""
        error = self.info(ErrorKind.AUTH)
        assert outcomes.put_back(**self.stamp, detail="the service stops", error=error) == Change(
            to=State.READY, detail="the service stops", error=error, close_intent=True, **self.stamp
        )

    def test_folder_out(self):
        """It is asked for again after the shortest pause, and nothing counts."""
        error = self.info(
            ErrorKind.UNREADABLE,
            "its folder is not there at the moment",
            "`attachd status` says what is wrong with the folder; attachd goes on once it is back",
        )
        assert outcomes.folder_out(POLICY, **self.stamp) == Change(
            to=State.WAITING,
            detail="its folder is out",
            error=error,
            next_attempt_at=NOW + timedelta(seconds=2),
            **self.stamp,
        )

    def test_vanished(self):
        """It says what a person can do, and counts nothing."""
        error = self.info(
            ErrorKind.UNREADABLE,
            "the file was gone before it was delivered",
            "drop it again to have it attached, or dismiss it if it is not needed",
        )
        assert outcomes.vanished(**self.stamp) == Change(
            to=State.VANISHED, detail="the file is gone", error=error, **self.stamp
        )

    def test_superseded(self):
        """No error is left, for nothing is wrong."""
        assert outcomes.superseded(**self.stamp) == Change(
            to=State.SUPERSEDED, detail="newer bytes came while it was under way", **self.stamp
        )

    def test_failed_by_a_bug(self):
        """The intent stays open."""
        error = self.info(ErrorKind.INTEGRITY)
        assert outcomes.failed_by_a_bug(error, **self.stamp) == Change(
            to=State.HELD, detail="it did not work", error=error, counts=True, **self.stamp
        )

    @pytest.mark.parametrize("restart", [False, True])
    def test_passing_trouble(self, restart):
        """The pause is told to the give-up clock; receipts go only where they are contradicted."""
        what = trouble(Severity.PASSING, hint="wait", restart=restart)
        assert after(what) == Change(
            to=State.WAITING,
            detail="it did not work",
            error=self.info(ErrorKind.SERVER, hint="wait"),
            next_attempt_at=NOW + timedelta(seconds=1),
            counts=True,
            waits=1.0,
            close_intent=True,
            forget_receipts=restart,
            **self.stamp,
        )

    def test_the_pause_is_by_attempts_and_by_what_was_asked(self):
        """The third attempt waits for longer than the first, and `Retry-After` is honoured."""
        assert after(trouble(Severity.PASSING), of=delivery(attempts=2)).waits == 4.0
        assert after(trouble(Severity.PASSING, retry_after=30.0)).waits == 30.0

    @pytest.mark.parametrize(
        ("what", "probe"), [(trouble(Severity.PASSING), True), (trouble(Severity.REFUSED), False)]
    )
    def test_not_the_deliverys_fault(self, what, probe):
        """It is ready again at once, with what was wrong."""
        assert after(what, probe=probe) == Change(
            to=State.READY,
            detail="it did not work",
            error=self.info(ErrorKind.SERVER),
            close_intent=True,
            **self.stamp,
        )

    @pytest.mark.parametrize("restart", [False, True])
    def test_lasting_trouble(self, restart):
        """It counts, and the call is answered."""
        what = trouble(Severity.LASTING, hint="ask", restart=restart)
        assert after(what, of=delivery(error=what.info)) == Change(
            to=State.HELD,
            detail="it did not work",
            error=self.info(ErrorKind.SERVER, hint="ask"),
            counts=True,
            close_intent=True,
            forget_receipts=restart,
            **self.stamp,
        )

    @pytest.mark.parametrize(
        ("hint", "shown"), [("", "when the cause is gone: attachd retry ID"), ("wait", "wait")]
    )
    def test_given_up(self, hint, shown):
        """It says for how long it was tried and how it goes on."""
        change = after(
            trouble(Severity.PASSING, hint=hint, restart=True), of=delivery(attempts=9, waited=9000.0)
        )
        message = "given up after 2.5 hours of waiting; last trouble: it did not work"
        assert change == Change(
            to=State.HELD,
            detail=message,
            error=self.info(ErrorKind.GIVEN_UP, message, shown),
            counts=True,
            close_intent=True,
            forget_receipts=True,
            **self.stamp,
        )

    @pytest.mark.parametrize(
        ("wait", "span"),
        [
            (59.0, "59 s"),
            (60.0, "1 min"),
            (3575.0, "59.6 min"),
            (3600.0, "1 h"),
            (37800.0, "10.5 h"),
            (7.2e6, "2000 h"),
        ],
    )
    @pytest.mark.parametrize("restart", [False, True])
    def test_a_target_that_is_not_there_yet(self, wait, span, restart):
        """The pause counts towards `wait` alone, and the hint says how long that is."""
        what = trouble(Severity.LASTING, ErrorKind.UNKNOWN_TARGET, restart=restart)
        looking = delivery(looked=10.0, error=what.info)
        change = outcomes.after_trouble(
            looking, what, POLICY, wait=wait, share=0.5, probe=False, **self.stamp
        )
        hint = f"nothing to do while it may still come: attachd looks for it again, for {span} in all"
        assert change == Change(
            to=State.WAITING,
            detail="it did not work",
            error=self.info(ErrorKind.NO_TARGET_YET, hint=hint),
            next_attempt_at=NOW + timedelta(seconds=7.5),
            looks=7.5,
            close_intent=True,
            forget_receipts=restart,
            **self.stamp,
        )

    @pytest.mark.parametrize("restart", [False, True])
    def test_a_target_that_nobody_waits_for(self, restart):
        """A rule without `wait` has it held at once."""
        what = trouble(Severity.LASTING, ErrorKind.UNKNOWN_TARGET, restart=restart)
        change = after(what, of=delivery(error=what.info))
        assert change == outcomes.held(what.info, forget=restart, **self.stamp)

    def test_receipts_are_kept_unless_they_are_contradicted(self):
        """Whoever does not say otherwise goes on from where it stopped."""
        what = trouble(Severity.PASSING)
        assert not outcomes.held(what.info, **self.stamp).forget_receipts
        change = outcomes.retry_later(delivery(), what, POLICY, share=0.5, **self.stamp)
        assert not change.forget_receipts

    def test_in_doubt(self):
        """The call's name and what went wrong stand in the row."""
        message = "the answer to `register` was lost: it did not work"
        change = outcomes.in_doubt(trouble(Severity.UNKNOWN, hint="look"), "register", **self.stamp)
        assert change == Change(
            to=State.DOUBTFUL,
            detail=message,
            error=self.info(ErrorKind.UNKNOWN_OUTCOME, message, "look"),
            counts=True,
            **self.stamp,
        )


class TestAskedAbout:
    """What is written once the destination was asked about a lost answer."""

    stamp = TestWholeRows.stamp

    def ask(self, answer, on_doubt=OnDoubt.HOLD, *, intent="register", last="register", **of):
        receipt = {"remote_id": "7"} if answer is Answer.TOOK_EFFECT else {}
        return outcomes.after_asking(
            delivery(state=State.DOUBTFUL, intent=intent, **of),
            Reconciled(answer=answer, receipt=receipt, hint="look there"),
            on_doubt,
            calls=("create", last),
            **self.stamp,
        )

    def ready(self, detail):
        return Change(to=State.READY, detail=detail, close_intent=True, **self.stamp)

    def test_the_last_call_took_effect(self):
        """It is attached, by the id that the destination gave; the attempt was counted before."""
        assert self.ask(Answer.TOOK_EFFECT) == Change(
            to=State.DONE,
            detail="`register` had taken effect",
            remote_id="7",
            close_intent=True,
            **self.stamp,
        )

    def test_it_goes_on(self):
        """After an earlier call with the next one, and with the same where it had not arrived."""
        went = self.ask(Answer.TOOK_EFFECT, intent="create")
        assert went == self.ready("`create` had taken effect, the next call may start")
        assert self.ask(Answer.DID_NOT) == self.ready("`register` had not taken effect, it is made again")

    @pytest.mark.parametrize(("attempts", "to"), [(4, State.READY), (5, State.HELD)])
    def test_a_standing_order_ends(self, attempts, to):
        """`on_doubt: retry` repeats a call blindly five times at most."""
        change = self.ask(Answer.CANNOT_TELL, OnDoubt.RETRY, attempts=attempts)
        assert change.to is to
        if to is State.READY:
            assert change == self.ready("`register` is made again, as `on_doubt: retry` says")

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (None, "the answer to `register` was lost"),
            (ErrorInfo(kind=ErrorKind.UNKNOWN_OUTCOME, message="no answer in time"), "no answer in time"),
        ],
    )
    def test_nobody_can_tell(self, error, message):
        """A person is told where to look, and the intent stays open."""
        info = ErrorInfo(kind=ErrorKind.UNKNOWN_OUTCOME, message=message, hint="look there")
        assert self.ask(Answer.CANNOT_TELL, error=error) == Change(
            to=State.HELD, detail="the destination cannot tell", error=info, **self.stamp
        )
