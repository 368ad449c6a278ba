from dataclasses import replace

import pytest

from attachd.model import State


class TestRetry:
    """A person asks for another try."""

    def test_all_takes_what_is_held_and_waiting(self, desk, reports):
        """Nothing else is touched; the give-up clock starts again, the attempts are remembered."""
        done, waiting, held = (desk.dropped(f"{name}.jpg", target=name) for name in ("a", "b", "c"))
        assert desk.move(done, State.DONE)
        assert desk.move(waiting, State.WAITING, waits=500.0, counts=True)
        desk.hold(held)
        outcome = desk.ledger.retry(None, desk.now(), "retry")
        assert (outcome.retried, outcome.refused, outcome.unknown) == ([waiting.id, held.id], {}, [])
        again = desk.claim()
        assert set(again) == {waiting.id, held.id}
        assert (again[waiting.id].waited, again[waiting.id].attempts) == (0.0, 1)
        assert [row.by for row in reports.history(held.id) if row.before == "held"] == ["retry"]

    def test_unanswered_call_is_reconciled_again(self, desk, state, reports):
        """A held delivery with an open intent is asked about, never sent again blindly."""
        delivery = desk.dropped("a.jpg")
        desk.doubt(delivery)
        (doubtful,) = desk.ledger.doubtful("ion")
        assert desk.move(doubtful, State.HELD)
        outcome = desk.ledger.retry([delivery.id], desk.now(), "retry")
        assert outcome.retried == [delivery.id]
        assert state(delivery.id) == "doubtful"
        assert reports.entry(delivery.id).error == desk.network

    def test_what_cannot_go_again_is_named_with_the_reason(self, desk):
        """Every refused id has words, every unknown id is told."""
        done, active = desk.dropped("a.jpg"), desk.dropped("b.jpg")
        assert desk.move(done, State.DONE)
        ready = desk.drop("c.jpg")
        outcome = desk.ledger.retry([done.id, active.id, ready, 999, ready], desk.now(), "retry")
        assert outcome.retried == []
        assert outcome.unknown == [999]
        assert set(outcome.refused) == {done.id, active.id, ready}
        assert "attached already" in outcome.refused[done.id]

    def test_dismissed_delivery_goes_again_when_named(self, desk, state):
        """A person may think better of it; `--all` leaves it alone."""
        delivery = desk.dropped("a.jpg")
        desk.hold(delivery)
        (entry,) = desk.ledger.retry(None, desk.now(), "retry").retried
        delivery = desk.claim()[entry]
        desk.hold(delivery)
        assert desk.move(replace(delivery, state=State.HELD, run=None), State.DISMISSED)
        assert desk.ledger.retry(None, desk.now(), "retry").retried == []
        assert desk.ledger.retry([delivery.id], desk.now(), "retry").retried == [delivery.id]
        assert state(delivery.id) == "ready"

    @pytest.mark.parametrize("elder_to", [State.HELD, State.WAITING])
    def test_follower_sends_its_elder(self, desk, state, elder_to):
        """Retrying a follower is pointless while its elder is not done: the elder goes, and that is said."""
        elder, follower = desk.pair()
        assert desk.move(elder, elder_to)
        outcome = desk.ledger.retry([follower.id], desk.now(), "retry")
        assert outcome.retried == [elder.id]
        assert outcome.behind == {follower.id: elder.id}
        assert state(elder.id) == "ready"

    def test_elder_and_follower_together_are_one_retry(self, desk):
        """Where both are named, the elder goes once and is not called refused."""
        elder, follower = desk.pair()
        desk.hold(elder)
        outcome = desk.ledger.retry([follower.id, elder.id], desk.now(), "retry")
        assert outcome.retried == [elder.id]
        assert (outcome.behind, outcome.refused) == ({follower.id: elder.id}, {})

    def test_follower_of_an_elder_under_way_is_told_to_wait(self, desk):
        """Nothing moves where the elder is being delivered right now."""
        elder, follower = desk.pair()
        outcome = desk.ledger.retry([follower.id], desk.now(), "retry")
        assert outcome.retried == []
        assert outcome.behind == {follower.id: elder.id}
