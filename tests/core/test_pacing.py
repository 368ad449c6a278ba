from hypothesis import given
from hypothesis import strategies as st

from attachd.core.pacing import full, take

AMOUNTS = st.lists(st.tuples(st.floats(0, 3), st.floats(0.01, 5)), min_size=1, max_size=50)


def test_calls_are_spaced_evenly():
    """With room for one, each taker waits a step longer than the one before."""
    bucket = full(rate=2.0, room=1.0, now=100.0)
    waits = []
    for _ in range(4):
        bucket, seconds = take(bucket, 1.0, 100.0)
        waits.append(seconds)
    assert waits == [0.0, 0.5, 1.0, 1.5]


def test_a_rest_fills_no_more_than_the_room():
    """However long nobody came, only what the bucket holds goes in one go."""
    bucket = full(rate=10.0, room=5.0, now=0.0)
    bucket, _ = take(bucket, 5.0, 0.0)
    bucket, seconds = take(bucket, 5.0, 3600.0)
    assert seconds == 0.0
    _, seconds = take(bucket, 5.0, 3600.0)
    assert seconds == 0.5


def test_more_than_the_room_is_owed():
    """An amount that never fits is given all the same, after its time."""
    bucket, seconds = take(full(rate=10.0, room=1.0, now=0.0), 21.0, 0.0)
    assert seconds == 2.0
    assert take(bucket, 1.0, 2.0)[1] == 0.1


@given(AMOUNTS)
def test_the_rate_holds_whatever_is_taken(takes):
    """Nothing goes sooner than the rate and the room allow, counted from the start."""
    bucket, now, total = full(rate=2.0, room=1.0, now=0.0), 0.0, 0.0
    for pause, amount in takes:
        now += pause
        bucket, seconds = take(bucket, amount, now)
        total += amount
        assert total <= 1.0 + 2.0 * (now + seconds) + 1e-6
