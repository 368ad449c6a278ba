from dataclasses import replace

import pytest

from attachd.core.protocols import Change
from attachd.errors import InvariantBroken
from attachd.model import ErrorInfo, ErrorKind, State, Withheld


class TestClaims:
    """What any ledger promises about handing out work."""

    def test_oldest_goes_first_and_the_limit_holds(self, desk):
        """Claims follow the order in which files became ready, per destination."""
        ids = [desk.drop(f"{number}.jpg") for number in range(4)]
        elsewhere = desk.drop("g.pdf", to="glue")
        assert list(desk.claim(limit=3)) == ids[:3]
        assert list(desk.claim(limit=3)) == ids[3:]
        assert list(desk.claim(to="glue")) == [elsewhere]
        assert desk.claim() == {}

    def test_claim_gives_the_whole_delivery(self, desk):
        """A worker gets all it needs, and the run it works for."""
        signs = desk.signs(123)
        (delivery_id,) = desk.record("st-3/42/a.jpg", desk.plan(filename="st-3-a.jpg"), signs=signs)
        got = desk.claim()[delivery_id]
        assert (got.folder, got.path, got.version, got.signs) == ("/srv/drop", "st-3/42/a.jpg", 1, signs)
        assert (got.rule, got.destination, got.target) == ("photos", "ion", {"run_step": "42"})
        assert (got.filename, got.dedupe, got.state, got.run) == ("st-3-a.jpg", True, State.ACTIVE, "run 1")
        assert (got.attempts, got.receipts, got.intent, got.error) == (0, {}, None, None)

    def test_excepted_folders_wait(self, desk):
        """A folder that is out keeps its work until it is back."""
        other = desk.ledger.open_folder("/srv/other", "nfs4", desk.now())
        (out,) = desk.record("a.jpg", desk.plan(), folder=other)
        here = desk.drop("b.jpg")
        claimed = desk.ledger.claim(
            "ion", desk.run, desk.now(), 9, withheld=Withheld(folders=frozenset({other.id}))
        )
        assert [each.id for each in claimed] == [here]
        assert list(desk.claim()) == [out]

    def test_due_delivery_is_ready_again_in_time(self, desk, reports):
        """Before its time a waiting delivery is left alone; then it is claimed, and both moves are told."""
        delivery = desk.dropped("a.jpg")
        due = desk.later(30)
        assert desk.move(delivery, State.WAITING, next_attempt_at=due, counts=True, waits=28.5)
        assert desk.ledger.next_due("ion") == due
        assert desk.ledger.next_due("glue") is None
        assert desk.claim() == {}
        (again,) = desk.ledger.claim("ion", "run 1", due, 9)
        assert (again.attempts, again.waited, again.error) == (1, 28.5, desk.network)
        assert desk.ledger.next_due("ion") is None
        moves = [(row.before, row.after) for row in reports.history(delivery.id)][-2:]
        assert moves == [("waiting", "ready"), ("ready", "active")]

    def test_due_delivery_of_a_folder_that_is_out_is_asked_for_once(self, desk):
        """Its time passes without a claim loop being told again and again that something is due."""
        delivery = desk.dropped("a.jpg")
        assert desk.move(delivery, State.WAITING, next_attempt_at=desk.later(1))
        late, out = desk.later(99), Withheld(folders=frozenset({desk.folder.id}))
        assert desk.ledger.claim("ion", desk.run, late, 9, withheld=out) == []
        assert desk.ledger.next_due("ion") is None


class TestCalls:
    """What a worker notes while it has a delivery."""

    def test_receipts_come_back_with_the_next_claim(self, desk, reports):
        """What a finished call returned outlives the worker."""
        delivery = desk.dropped("a.jpg")
        desk.ledger.begin_call(delivery, "open")
        desk.ledger.begin_call(delivery, "put")
        desk.ledger.record_receipt(delivery, "put", {"s3_key": 'k"ey', "s3_etag": "e"})
        assert desk.move(delivery, State.READY)
        assert desk.claim()[delivery.id].receipts == {"put": {"s3_key": 'k"ey', "s3_etag": "e"}}
        assert reports.entry(delivery.id).call == "put"

    def test_forgotten_receipts_are_gone(self, desk):
        """A delivery that starts over knows nothing of earlier calls."""
        delivery = desk.dropped("a.jpg")
        desk.ledger.record_receipt(delivery, "put", {"s3_key": "k"})
        assert desk.move(delivery, State.READY, forget_receipts=True)
        assert desk.claim()[delivery.id].receipts == {}

    def test_receipt_answers_the_intent_of_its_call(self, desk):
        """Once `create` is answered, `message` may be announced, and a crash between them leaves no doubt."""
        delivery = desk.dropped("a.jpg")
        assert desk.ledger.record_intent(delivery, "create")
        desk.ledger.record_receipt(delivery, "create", {"file_id": "f"})
        assert desk.ledger.recover("run 2", desk.now()) == {State.READY: 1, State.DOUBTFUL: 0}

    def test_receipt_of_a_reconciled_call_is_kept(self, desk):
        """A doubtful delivery keeps its intent until it moves on, and then goes on from there."""
        delivery = desk.dropped("a.jpg")
        desk.doubt(delivery, "create")
        (doubtful,) = desk.ledger.doubtful("ion")
        desk.ledger.record_receipt(doubtful, "create", {"file_id": "f"})
        assert desk.move(doubtful, State.READY, close_intent=True)
        again = desk.claim()[delivery.id]
        assert (again.receipts, again.intent) == ({"create": {"file_id": "f"}}, None)

    def test_an_answer_that_was_kept_is_durable_and_closes_its_intent(self, desk):
        """Once an answer is kept, whoever takes over knows it and repeats nothing."""
        delivery = desk.dropped("a.jpg")
        assert desk.ledger.record_intent(delivery, "create")
        desk.ledger.record_answer(delivery, "create", {"file_id": "f"})
        assert desk.ledger.recover("run 2", desk.now()) == {State.READY: 1, State.DOUBTFUL: 0}
        again = desk.claim(run="run 2")[delivery.id]
        assert (again.receipts, again.intent) == ({"create": {"file_id": "f"}}, None)

    def test_intent_is_refused_to_who_has_the_delivery_no_more(self, desk):
        """A worker that was overtaken must not make the call."""
        delivery = desk.dropped("a.jpg")
        assert not desk.ledger.record_intent(replace(delivery, run="run 0"), "register")
        assert desk.move(delivery, State.READY)
        assert not desk.ledger.record_intent(delivery, "register")


class TestChanges:
    """Moves by compare-and-set."""

    def test_done_keeps_the_remote_id_and_clears_the_error(self, desk, reports):
        """A delivery that is attached says as what, and nothing is wrong with it."""
        delivery = desk.dropped("a.jpg")
        assert desk.move(delivery, State.READY, error=desk.network)
        delivery = desk.claim()[delivery.id]
        assert desk.ledger.record_intent(delivery, "register")
        assert desk.move(delivery, State.DONE, remote_id="77", counts=True, detail="attached")
        entry = reports.entry(delivery.id)
        assert (entry.state, entry.remote_id, entry.error, entry.attempts) == ("done", "77", None, 1)
        last = reports.history(delivery.id)[-1]
        assert (last.after, last.call, last.detail, last.by) == ("done", "register", "attached", "run 1")

    def test_done_without_a_remote_id_is_refused(self, desk):
        """Nothing is called attached that has no id at the destination."""
        delivery = desk.dropped("a.jpg")
        with pytest.raises(InvariantBroken, match="remote id"):
            desk.move(delivery, State.DONE, remote_id=None)

    def test_second_change_comes_too_late(self, desk, state):
        """Of two changes from the same state one wins, and the other is told."""
        delivery = desk.dropped("a.jpg")
        desk.hold(delivery)
        held = replace(delivery, state=State.HELD, run=None)
        assert desk.move(held, State.DISMISSED)
        assert not desk.move(held, State.READY)
        assert state(delivery.id) == "dismissed"

    def test_other_run_cannot_change_an_active_delivery(self, desk, state):
        """A worker of a run that was given up finds out before it spoils anything."""
        delivery = desk.dropped("a.jpg")
        assert not desk.move(replace(delivery, run="run 0"), State.READY)
        assert state(delivery.id) == "active"

    def test_illegal_move_is_a_bug(self, desk):
        """The state table is asked before the database is."""
        delivery = desk.dropped("a.jpg")
        with pytest.raises(InvariantBroken, match="from active to dismissed"):
            desk.move(delivery, State.DISMISSED)

    def test_trouble_without_words_is_a_bug(self, desk, state):
        """A held delivery without an error would leave a person alone; nothing of it is written."""
        delivery = desk.dropped("a.jpg")
        with pytest.raises(InvariantBroken, match="trouble_has_an_error"):
            desk.ledger.change(delivery, Change(to=State.HELD, at=desk.now(), by="run 1"))
        assert state(delivery.id) == "active"

    def test_error_tells_the_history_why(self, desk, reports):
        """Without a detail the history line carries the error's message."""
        delivery = desk.dropped("a.jpg")
        desk.hold(delivery)
        assert reports.history(delivery.id)[-1].detail == "no such run step"

    def test_words_that_are_no_text_can_be_kept(self, desk, reports):
        """What a server or a file name says in broken characters does not break the ledger."""
        delivery = desk.dropped("a.jpg")
        desk.ledger.record_receipt(delivery, "put", {"s3_etag": "\ud800"})
        broken = ErrorInfo(kind=ErrorKind.REJECTED, message="bad \udcff name", hint="rename \udcff")
        assert desk.move(delivery, State.HELD, error=broken, detail="\ud83d")
        error = reports.entry(delivery.id).error
        assert (error.message, error.hint) == (r"bad \udcff name", r"rename \udcff")
        desk.ledger.retry([delivery.id], desk.now(), "retry")
        assert desk.claim()[delivery.id].receipts == {"put": {"s3_etag": "\ud800"}}

    def test_unanswered_call_is_asked_about(self, desk):
        """A doubtful delivery is listed for its destination with its intent."""
        delivery = desk.dropped("a.jpg")
        desk.doubt(delivery)
        (doubtful,) = desk.ledger.doubtful("ion")
        assert (doubtful.id, doubtful.intent, doubtful.run) == (delivery.id, "register", None)
        assert desk.ledger.doubtful("glue") == []

    def test_doubt_without_an_intent_is_a_bug(self, desk):
        """Doubt says which call it is about."""
        delivery = desk.dropped("a.jpg")
        with pytest.raises(InvariantBroken, match="doubtful_has_an_intent"):
            desk.move(delivery, State.DOUBTFUL)

    @pytest.mark.parametrize("to", [State.READY, State.WAITING, State.SUPERSEDED, State.VANISHED])
    def test_open_intent_is_never_lost(self, desk, to):
        """No move may let a call be repeated, or forgotten, while its answer is missing."""
        delivery = desk.dropped("a.jpg")
        assert desk.ledger.record_intent(delivery, "register")
        with pytest.raises(InvariantBroken, match="open_intent"):
            desk.move(delivery, to)
        assert desk.move(delivery, to, close_intent=True)


class TestRecovery:
    """What a start finds of the run before it."""

    def test_other_runs_are_taken_over(self, desk, state, reports):
        """Without an intent the delivery is ready; with one nobody knows, and that is said."""
        plain, asked = desk.drop("a.jpg"), desk.drop("b.jpg")
        claimed = desk.claim()
        assert desk.ledger.record_intent(claimed[asked], "register")
        desk.drop("mine.jpg")
        (mine,) = desk.claim(run="run 2")
        assert desk.ledger.recover("run 2", desk.now()) == {State.READY: 1, State.DOUBTFUL: 1}
        assert [state(each) for each in (plain, asked, mine)] == ["ready", "doubtful", "active"]
        error = reports.entry(asked).error
        assert error.kind is ErrorKind.UNKNOWN_OUTCOME
        assert error.message == "the service stopped while the answer to `register` was awaited"
        assert reports.history(asked)[-1].by == "recover"
        assert desk.ledger.recover("run 2", desk.now()) == {State.READY: 0, State.DOUBTFUL: 0}

    def test_runs_are_numbered(self, ledger, desk):
        """Each start has a name of its own."""
        assert ledger.begin_run(11, "here", desk.now()) == "run 1"
        assert ledger.begin_run(12, "here", desk.now()) == "run 2"
