import pytest

from attachd.core.protocols import Place
from attachd.model import ErrorInfo, ErrorKind, State

NOT_THERE = ErrorInfo(kind=ErrorKind.NO_TARGET_YET, message="no unit AB1234 yet", hint="wait")


def look_again(desk, delivery, *, seconds=60.0):
    """Let a delivery wait for its target."""
    assert desk.move(
        delivery,
        State.WAITING,
        error=NOT_THERE,
        looks=seconds,
        next_attempt_at=desk.later(seconds),
    )


def again(desk, delivery):
    """Claim a delivery whose time has come."""
    desk.seconds += 3600
    return desk.claim()[delivery.id]


def test_the_clock_of_looking_adds_up_beside_that_of_giving_up(desk):
    """Each pause is remembered over claims, and neither an attempt nor other waiting is touched."""
    delivery = desk.dropped("a.jpg")
    look_again(desk, delivery, seconds=30.0)
    delivery = again(desk, delivery)
    look_again(desk, delivery, seconds=45.5)
    delivery = again(desk, delivery)
    assert (delivery.looked, delivery.waited, delivery.attempts) == (75.5, 0.0, 0)


@pytest.mark.parametrize("by", ["retry", "drop"])
def test_a_held_delivery_that_goes_again_has_its_whole_wait(desk, by):
    """A person's retry, and dropping the file again, start the clock of `wait` anew."""
    delivery = desk.dropped("a.jpg")
    look_again(desk, delivery)
    delivery = again(desk, delivery)
    desk.identify(delivery)
    desk.hold(delivery)
    if by == "retry":
        desk.ledger.retry([delivery.id], desk.now(), "retry")
    else:
        desk.ledger.same_bytes(desk.folder.id, "a.jpg", desk.signs(), "ab" * 32, desk.now())
    assert desk.claim()[delivery.id].looked == 0.0


def counted(reports, at):
    return [(count.destination, count.state, count.count) for count in reports.looked_for(at)]


def test_what_waits_for_its_target_is_counted_until_it_is_due(desk, reports):
    """Other waiting ones, and those that are looked for again by then, are not among them."""
    missing, troubled = (desk.dropped(f"{name}.jpg", target=name) for name in "ab")
    look_again(desk, missing)
    assert desk.move(troubled, State.WAITING)
    assert counted(reports, desk.now()) == [("ion", "waiting", 1)]
    assert counted(reports, desk.later(100)) == []


def test_followers_count_with_their_elder(desk, reports):
    """A follower stands still as long as the target of its elder is not there."""
    elder, follower = desk.dropped("a.jpg"), desk.dropped("b.jpg")
    assert desk.identify(elder) is Place.FIRST
    assert desk.identify(follower) is Place.FOLLOWS
    assert counted(reports, desk.now()) == []
    look_again(desk, elder)
    assert counted(reports, desk.now()) == [("ion", "waiting", 2)]
