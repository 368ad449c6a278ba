"""When to try again: full jitter, a cap, and an end. Pure: the random number is an argument.

Full jitter (a uniform share of the exponential step) keeps many waiting deliveries from coming back in
step with each other: "Exponential Backoff And Jitter", AWS Architecture Blog.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from attachd.core.settings import RetryPolicy

SLACK = 60.0
"""Seconds by which a wall clock may be put right without anybody being tried early for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAfter:
    """Try again after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The delivery has waited longer than `retry.give_up_after`; a person decides."""

    waited: float


def decide_retry(
    policy: RetryPolicy, *, attempts: int, waited: float, share: float, asked: float | None = None
) -> RetryAfter | GiveUp:
    """Decide when a delivery that met passing trouble is tried again.

    Args:
        policy: the destination's retry settings.
        attempts: attempts made so far, this one included: at least 1.
        waited: seconds of delay spent on this delivery so far.
        share: a random number from [0, 1).
        asked: seconds the other side asked us to wait (`Retry-After`), which is honoured up to the cap.
    """
    step = min(policy.cap, policy.first * 2.0 ** min(attempts - 1, 32))
    seconds = max(step * share, min(asked or 0.0, policy.cap), min(policy.first, step) / 2)
    if waited + seconds > policy.give_up_after:
        return GiveUp(waited=waited)
    return RetryAfter(seconds=seconds)


def decide_look(policy: RetryPolicy, *, looked: float, wait: float, share: float) -> float | None:
    """Decide in how many seconds a target that is not there yet is looked for again; None: no more.

    The pauses grow with the time spent, from `retry.first` to `retry.cap`, half of each at random; the last
    one ends with `wait`.

    Args:
        policy: the destination's retry settings.
        looked: seconds of pauses spent so far on looking for it.
        wait: the rule's `wait`, in seconds.
        share: a random number from [0, 1).
    """
    left = wait - looked
    if left <= 0:
        return None
    step = min(policy.cap, max(policy.first, looked))
    return min(left, step * (1 + share) / 2)


def longest_pause(policy: RetryPolicy) -> float:
    """Give the longest pause, in seconds, that any outcome of an attempt asks for."""
    return max(policy.first, policy.cap)


def latest_end(now: datetime, longest: float) -> datetime:
    """Give the wall-clock time after which no pause of at most `longest` seconds ends that has begun by now.

    A time beyond it was reckoned with a clock that has been put back since. Whoever waits for it is due at
    once: to be tried a little early harms nobody, to wait for a year does. That needs no memory of a jump,
    so it also holds for one while the service was stopped.
    """
    return now + timedelta(seconds=longest + SLACK)
