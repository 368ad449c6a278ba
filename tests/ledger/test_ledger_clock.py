"""The wall clock is put back, forward, and back again: nothing waits for a time that will not come."""

import threading
from datetime import timedelta

import pytest

from attachd.core.afters import LONGEST_PAUSE, AfterKind, AfterState, PlannedAfter
from attachd.core.retrying import SLACK, latest_end, longest_pause
from attachd.core.settings import DestinationSettings, RetryPolicy, SecretRef
from attachd.model import State, Withheld
from attachd.pipeline.deliver import Asked, Attempt
from attachd.pipeline.dispatch import Dispatcher

YEAR = 366 * 86_400
POLICY = RetryPolicy(first=2.0, cap=900.0)
LIMIT = 30.0


def claim(desk, limit=100):
    at = desk.now()
    latest = latest_end(at, longest_pause(POLICY))
    return {each.id: each for each in desk.ledger.claim("ion", desk.run, at, limit, latest=latest)}


@pytest.mark.parametrize("back", [YEAR, POLICY.cap + SLACK + 10])
def test_what_waits_beyond_any_pause_is_due(desk, reports, back):
    """After the clock was put back, a pause that would now take longer than any is over, and that is told."""
    delivery = desk.dropped("a.jpg")
    due = desk.later(POLICY.cap)
    assert desk.move(delivery, State.WAITING, next_attempt_at=due, waits=POLICY.cap, counts=True)
    desk.seconds -= back
    again = claim(desk)[delivery.id]
    assert (again.attempts, again.waited) == (1, POLICY.cap)
    assert "the clock was put back" in [row.detail for row in reports.history(delivery.id)][-2]


def test_a_clock_that_is_put_right_by_a_little_changes_nothing(desk):
    """The longest pause that is asked for stays as long, though the clock goes back by some seconds."""
    delivery = desk.dropped("a.jpg")
    assert desk.move(delivery, State.WAITING, next_attempt_at=desk.later(POLICY.cap))
    desk.seconds -= int(SLACK) - 5
    assert claim(desk) == {}
    desk.seconds += int(SLACK + POLICY.cap)
    assert list(claim(desk)) == [delivery.id]


def test_the_clocks_of_giving_up_and_looking_do_not_jump(desk):
    """A year forward and back adds nothing to what a delivery has waited or looked for."""
    delivery = desk.dropped("a.jpg")
    assert desk.move(delivery, State.WAITING, waits=20.0, looks=30.0)
    desk.seconds += YEAR
    (there,) = claim(desk).values()
    assert desk.move(there, State.WAITING, waits=20.0, looks=30.0)
    desk.seconds -= YEAR
    (back,) = claim(desk).values()
    assert (back.waited, back.looked) == (40.0, 60.0)


def test_a_failing_probe_goes_behind_what_was_there_before_the_jump(desk):
    """Those that became ready in the future keep their turn: one poison file is not the probe for ever."""
    ids = [desk.drop(f"{number}.jpg", target=str(number)) for number in range(3)]
    desk.seconds -= YEAR
    probed = []
    for _ in range(4):
        (probe,) = claim(desk, limit=1).values()
        probed.append(probe.id)
        assert desk.move(probe, State.READY)
    assert probed == [*ids, ids[0]]


def test_after_actions_do_not_wait_for_a_time_that_will_not_come(desk):
    """What was postponed, or became due, before the clock was put back is due at once."""
    desk.record("a.jpg", desk.plan(), after=PlannedAfter(rule="photos", kind=AfterKind.DELETE))
    (delivery,) = desk.claim().values()
    assert desk.move(delivery, State.DONE)
    book, here = desk.ledger.afters, [desk.folder.id]
    desk.seconds -= YEAR
    action = book.due(here, desk.now())
    assert action.state is AfterState.PLANNED
    assert (book.left(here, desk.now()).now, book.left(here, desk.now()).later) == (True, False)
    book.postpone(action, "busy", desk.later(LONGEST_PAUSE), desk.now())
    assert book.due(here, desk.now()) is None
    assert book.left(here, desk.now()).later
    desk.seconds -= YEAR
    assert book.due(here, desk.now()).id == action.id


class JumpyClock:
    """A wall clock that somebody puts back, beside one that only goes forward."""

    def __init__(self, desk):
        self.desk = desk
        self.ticks = 0.0

    def now(self):
        return self.desk.now()

    def monotonic(self):
        self.ticks += 1.0
        return self.ticks


class Attempts:
    """A worker that is told of and does nothing but say so."""

    def __init__(self):
        self.made = []
        self.one = threading.Event()

    def attempt(self, delivery, *, probe=False):
        self.made.append(delivery.id)
        self.one.set()
        return Attempt(delivery_id=delivery.id, asked=Asked.ANSWERED)

    def settle(self, delivery):
        return True


def test_the_dispatcher_goes_on_after_the_clock_was_put_back(desk):
    """A running service tries what waits without a restart, a year before its time."""
    delivery = desk.dropped("a.jpg")
    assert desk.move(delivery, State.WAITING, next_attempt_at=desk.later(POLICY.cap))
    desk.seconds -= YEAR
    worker = Attempts()
    dispatcher = Dispatcher(
        settings=DestinationSettings(
            name="ion", kind="ion", url="", token=SecretRef(source="plain", value=""), workers=1, retry=POLICY
        ),
        ledger=desk.ledger,
        worker=worker,
        reconciler=worker,
        clock=JumpyClock(desk),
        run=desk.run,
        withheld=Withheld,
    )
    dispatcher.start()
    try:
        assert worker.one.wait(LIMIT)
    finally:
        dispatcher.stop_claiming()
        for thread in dispatcher._threads:
            thread.join(LIMIT)
    assert worker.made == [delivery.id]
    assert dispatcher.failure is None


def test_latest_end_is_beyond_every_pause(desk):
    """No pause that an attempt asks for ends later than what counts as put off."""
    now = desk.now()
    assert longest_pause(RetryPolicy(first=60.0, cap=5.0)) == 60.0
    assert latest_end(now, 900.0) == now + timedelta(seconds=900 + SLACK)
