from hypothesis import given
from hypothesis import strategies as st

from attachd.core.retrying import GiveUp, RetryAfter, decide_retry
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
