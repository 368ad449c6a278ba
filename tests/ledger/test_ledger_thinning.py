from datetime import timedelta

from attachd.core.protocols import Place
from attachd.ledger import thinning
from attachd.ledger.persons import Word
from attachd.model import State


def attach(desk, path, **plan):
    """Bring a file to its end and give its delivery as it was claimed."""
    delivery = desk.dropped(path, **plan)
    desk.identify(delivery)
    assert desk.ledger.record_intent(delivery, "register")
    desk.ledger.record_answer(delivery, "register", {"remote_id": "900"})
    assert desk.move(delivery, State.DONE)
    return delivery


def thin(desk, seconds=0.0):
    """Thin all that ended this long ago and give how many batches it took."""
    batches = 0
    while desk.ledger.thin(desk.later(1) - timedelta(seconds=seconds)):
        batches += 1
    return batches


def test_of_what_ended_only_the_last_step_stays(desk, reports):
    """History shrinks to the row that says how and when it ended; the delivery itself loses nothing."""
    delivery = attach(desk, "a.jpg")
    before, steps = reports.entry(delivery.id), reports.history(delivery.id)
    assert len(steps) == 3
    assert thin(desk) == 1
    assert reports.entry(delivery.id) == before
    assert reports.history(delivery.id) == steps[-1:]


def test_what_is_young_or_under_way_keeps_its_history(desk, reports):
    """Only what ended, and only what ended long ago, is thinned."""
    young = attach(desk, "young.jpg", target="1")
    held = desk.dropped("held.jpg", target="2")
    desk.hold(held)
    assert thin(desk, seconds=3600) == 0
    thin(desk)
    assert len(reports.history(young.id)) == 1
    assert len(reports.history(held.id)) == 3


def test_a_thinned_ledger_uploads_nothing_again(desk, reports):
    """The file is known, its bytes have an elder, and its versions are counted, as before."""
    delivery = attach(desk, "a.jpg")
    known = desk.ledger.known(desk.folder.id, "")
    thin(desk)
    assert desk.ledger.known(desk.folder.id, "") == known
    assert desk.record("a.jpg", desk.plan(), signs=delivery.signs) == []
    assert desk.ledger.same_bytes(desk.folder.id, "a.jpg", desk.signs(), "ab" * 32, desk.now())
    assert desk.claim() == {}
    copy = desk.dropped("copy.jpg")
    assert desk.identify(copy) is Place.ATTACHED
    assert reports.entry(copy.id).state == State.DUPLICATE
    (recorded,) = reports.recorded("/srv/drop", "a.jpg")
    (proof,) = recorded.proofs
    assert proof.delivery.remote_id == "900"
    assert proof.delivery.receipts["register"] == {"remote_id": "900"}


def test_a_second_pass_goes_on_where_the_first_ended(desk, reports, monkeypatch):
    """What was thinned is not looked at again, in batches of any size, and what ends later is met."""
    monkeypatch.setattr(thinning, "BATCH", 2)
    first = [attach(desk, f"{number}.jpg", target=str(number)) for number in range(5)]
    assert thin(desk) == 3
    assert thin(desk) == 0
    last = attach(desk, "last.jpg", target="last")
    assert thin(desk) == 1
    assert {len(reports.history(each.id)) for each in (*first, last)} == {1}


def test_a_dismissed_one_that_goes_again_is_thinned_again(desk, reports):
    """A delivery that leaves its end and comes to another one is met a second time."""
    delivery = desk.dropped("a.jpg")
    desk.hold(delivery)
    desk.ledger.dismiss([delivery.id], Word(at=desk.now(), by="dismiss (anna)"))
    thin(desk)
    assert len(reports.history(delivery.id)) == 1
    desk.ledger.retry([delivery.id], desk.now(), "retry (anna)")
    (again,) = desk.claim().values()
    desk.identify(again)
    assert desk.move(again, State.DONE)
    assert len(reports.history(delivery.id)) == 4
    thin(desk)
    assert [step.after for step in reports.history(delivery.id)] == [State.DONE]
