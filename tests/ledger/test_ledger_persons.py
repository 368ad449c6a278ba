from datetime import UTC, datetime

import pytest

from attachd.core.protocols import Place
from attachd.ledger.persons import Word
from attachd.model import State

AT = datetime(2026, 5, 1, tzinfo=UTC)
ANNA = Word(at=AT, by="test (anna)", reason="the part was scrapped")


def last(reports, delivery_id):
    return reports.history(delivery_id)[-1]


class TestDismiss:
    def test_held_waiting_and_vanished_are_not_needed_any_more(self, desk, state, reports):
        """The three that may be dismissed are, with who and why in history, and count as no problem."""
        held, waiting, gone = (desk.drop(f"{name}.jpg", filename=name) for name in "abc")
        claimed = desk.claim()
        desk.hold(claimed[held])
        assert desk.move(claimed[waiting], State.WAITING)
        assert desk.move(claimed[gone], State.VANISHED)
        outcome = desk.ledger.dismiss([held, waiting, gone], ANNA)
        assert list(outcome.done) == [held, waiting, gone]
        assert {state(each) for each in (held, waiting, gone)} == {"dismissed"}
        said = last(reports, held)
        assert (said.by, said.detail) == ("test (anna)", "not needed: the part was scrapped")
        assert [(each.state, each.count) for each in reports.counts()] == [("dismissed", 3)]

    def test_every_other_state_is_refused_with_its_reason(self, desk, state):
        """Done, active, ready, doubtful, dismissed: each has words, and nothing moves."""
        done, doubt, active = (desk.dropped(f"{name}.jpg", filename=name) for name in "abc")
        assert desk.move(done, State.DONE)
        desk.doubt(doubt)
        ready = desk.drop("d.jpg")
        outcome = desk.ledger.dismiss([done.id, doubt.id, active.id, ready, 99], ANNA)
        assert outcome.done == {}
        assert set(outcome.refused) == {done.id, doubt.id, active.id, ready}
        assert all(outcome.refused.values())
        assert outcome.unknown == [99]
        assert [state(each.id) for each in (done, doubt, active)] == ["done", "doubtful", "active"]

    def test_the_next_one_takes_over(self, desk, state):
        """Dismissing a held elder lets its follower go in its place."""
        elder, follower = desk.pair()
        desk.hold(elder)
        assert elder.id in desk.ledger.dismiss([elder.id], ANNA).done
        assert state(follower.id) == "ready"

    def test_an_elder_in_doubt_is_not_dismissed_over_its_followers(self, desk, state):
        """What may be attached already would be sent a second time by its follower: resolve it first."""
        elder, follower = desk.pair()
        desk.doubt(elder)
        assert desk.move(desk.ledger.doubtful("ion")[0], State.HELD)
        assert "attachd resolve" in desk.ledger.dismiss([elder.id], ANNA).refused[elder.id]
        assert (state(elder.id), state(follower.id)) == ("held", "held")


class TestResolve:
    @pytest.fixture
    def doubted(self, desk):
        """A delivery whose registration was never answered, with a receipt of its bytes, and a follower."""
        elder, follower = desk.pair()
        desk.ledger.record_receipt(elder, "put", {"s3_key": "k", "entity_id": "7"})
        desk.doubt(elder)
        return elder, follower

    def test_attached_makes_it_done_and_its_followers_duplicates(self, desk, doubted, reports, state):
        """The remote id is kept, the intent closed, the follower needs nothing more."""
        elder, follower = doubted
        assert desk.ledger.resolve(elder.id, "4242", ANNA).done == {elder.id: "attached as 4242"}
        assert (reports.entry(elder.id).state, reports.entry(elder.id).remote_id) == ("done", "4242")
        assert state(follower.id) == "duplicate"
        assert "the part was scrapped" in last(reports, elder.id).detail

    def test_held_in_doubt_is_settled_as_well(self, desk, doubted, state):
        """Held because the destination could not tell: followers that were held find their place anew."""
        elder, follower = doubted
        assert desk.move(desk.ledger.doubtful("ion")[0], State.HELD)
        assert state(follower.id) == "held"
        desk.ledger.resolve(elder.id, "4242", ANNA)
        assert desk.identify(desk.claim()[follower.id]) is Place.ATTACHED
        assert (state(elder.id), state(follower.id)) == ("done", "duplicate")

    def test_not_attached_goes_again_with_the_bytes_it_has_sent(self, desk, doubted):
        """The intent is closed; the recorded put is kept, so that no bytes are sent twice."""
        elder, _follower = doubted
        assert desk.ledger.resolve(elder.id, None, ANNA).done == {elder.id: "goes again"}
        claimed = desk.claim()[elder.id]
        assert (claimed.intent, claimed.error) == (None, None)
        assert claimed.receipts["put"]["s3_key"] == "k"

    def test_followers_and_settled_ones_are_refused(self, desk, doubted, state):
        """A follower points to its elder; done, waiting and unknown ones are told apart."""
        elder, follower = doubted
        assert desk.move(desk.ledger.doubtful("ion")[0], State.HELD)
        refused = desk.ledger.resolve(follower.id, None, ANNA).refused
        assert f"delivery {elder.id}" in refused[follower.id]
        desk.ledger.resolve(elder.id, "4242", ANNA)
        assert "already" in desk.ledger.resolve(elder.id, "4243", ANNA).refused[elder.id]
        assert desk.ledger.resolve(99, None, ANNA).unknown == [99]
        assert state(elder.id) == "done"

    def test_dismissed_in_doubt_has_a_way_back(self, desk, state):
        """Retry will not repeat its call, but a person may say that it is not attached."""
        delivery = desk.dropped("a.jpg")
        desk.doubt(delivery)
        assert desk.move(desk.ledger.doubtful("ion")[0], State.HELD)
        assert delivery.id in desk.ledger.dismiss([delivery.id], ANNA).done
        assert "resolve" in desk.ledger.retry([delivery.id], AT, "retry").refused[delivery.id]
        assert delivery.id in desk.ledger.resolve(delivery.id, None, ANNA).done
        assert state(delivery.id) == "ready"


class TestSendAnew:
    def done(self, desk, name="a.jpg"):
        delivery = desk.dropped(name)
        desk.identify(delivery)
        assert desk.move(delivery, State.DONE)
        return delivery

    def test_a_new_delivery_of_the_same_file_goes_once_more(self, desk, reports):
        """It has the same file, rule, target and name, is nobody's duplicate, and the old one stays done."""
        old = self.done(desk)
        (said,) = desk.ledger.send_anew([old.id], ANNA).done.values()
        (new,) = desk.claim().values()
        assert str(new.id) in said
        same = ("path", "version", "rule", "destination", "target", "filename")
        assert [getattr(new, name) for name in same] == [getattr(old, name) for name in same]
        assert desk.identify(new) is Place.FIRST
        assert reports.entry(old.id).state == "done"
        birth = reports.history(new.id)[0]
        assert birth.by == "test (anna)"
        assert birth.detail == f"sent anew, as delivery {old.id} was: the part was scrapped"

    def test_the_exemption_is_for_once(self, desk):
        """The same bytes dropped later are duplicates as before."""
        old = self.done(desk)
        desk.ledger.send_anew([old.id], ANNA)
        (new,) = desk.claim().values()
        desk.identify(new)
        assert desk.move(new, State.DONE)
        assert desk.identify(desk.dropped("copy.jpg")) is Place.ATTACHED

    def test_twice_is_once_while_the_first_is_under_way(self, desk):
        """A second request names the delivery that is under way; ids given twice count once."""
        old = self.done(desk)
        assert len(desk.ledger.send_anew([old.id, old.id], ANNA).done) == 1
        assert "already" in desk.ledger.send_anew([old.id], ANNA).refused[old.id]
        assert len(desk.claim()) == 1

    def test_what_was_never_sent_or_is_gone_is_refused(self, desk):
        """A duplicate points to its elder; newer bytes have their own deliveries; held ones are retried."""
        old = self.done(desk)
        copy = desk.dropped("copy.jpg")
        desk.identify(copy)
        held = desk.dropped("b.jpg", target="43")
        desk.hold(held)
        refused = desk.ledger.send_anew([copy.id, held.id], ANNA).refused
        assert f"delivery {old.id}" in refused[copy.id]
        assert "without --again" in refused[held.id]
        desk.drop("a.jpg")
        assert "newer bytes" in desk.ledger.send_anew([old.id], ANNA).refused[old.id]
