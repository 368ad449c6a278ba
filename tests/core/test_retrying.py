from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from attachd.core.retrying import GiveUp, RetryAfter, decide_look, decide_retry, latest_end, longest_pause
from attachd.core.settings import RetryPolicy

POLICY = RetryPolicy(first=2, cap=900, give_up_after=3600)


@given(st.integers(1, 200), st.floats(0, 0.999), st.floats(0, 1e5))
def test_every_delay_is_bounded(attempts, share, asked):
    """No delay is longer than the cap, and none is so short that it hammers."""
    decision = decide_retry(POLICY, attempts=attempts, waited=0, share=share, asked=asked)
    assert isinstance(decision, RetryAfter)
    assert 1 <= decision.seconds <= 900


def test_the_step_doubles_from_try_to_try():
    """The longest delay grows with the attempts."""
    delays = [decide_retry(POLICY, attempts=n, waited=0, share=0.99).seconds for n in (1, 2, 3)]
    assert delays == [2 * 0.99, 4 * 0.99, 8 * 0.99]


def test_what_the_other_side_asks_is_honoured():
    """Retry-After lengthens a delay, up to the cap."""
    assert decide_retry(POLICY, attempts=1, waited=0, share=0, asked=120).seconds == 120
    assert decide_retry(POLICY, attempts=1, waited=0, share=0, asked=12_000).seconds == 900


def test_it_ends():
    """A delivery that has waited longer than give_up_after is given up."""
    assert decide_retry(POLICY, attempts=9, waited=3600, share=0.5) == GiveUp(waited=3600)


def test_the_last_second_still_counts():
    """A pause that ends just when it would be given up is taken."""
    policy = RetryPolicy(first=2, cap=2, give_up_after=10)
    assert decide_retry(policy, attempts=1, waited=8.0, share=0.999, asked=2.0) == RetryAfter(seconds=2.0)
    assert decide_retry(policy, attempts=1, waited=8.1, share=0.999, asked=2.0) == GiveUp(waited=8.1)


def test_short_settings_are_taken_at_their_word():
    """Nobody asked for a pause, and there is none but the policy's own."""
    policy = RetryPolicy(first=0.5, cap=900, give_up_after=3600)
    assert decide_retry(policy, attempts=1, waited=0, share=0.0) == RetryAfter(seconds=0.25)
    assert decide_look(policy, looked=0.0, wait=0.5, share=0.999) is not None


def test_a_time_that_only_a_clock_put_back_explains_is_found():
    """No pause that has begun by now ends later than the longest one, and a minute of slack."""
    assert longest_pause(POLICY) == 900
    assert longest_pause(RetryPolicy(first=30, cap=10, give_up_after=3600)) == 30
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert latest_end(now, 900) == now + timedelta(seconds=960)
