"""How fast a destination is called: a token bucket as a value. Pure: the time is an argument.

Who takes from the bucket may take more than is in it: it owes the rest and waits until that has come in.
So nobody is starved by others who want less, and the rate holds whatever sizes are taken.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """What may be taken at once, and what is owed.

    Attributes:
        rate: units that come in each second.
        room: units it holds at most: what may be taken in one go after a rest.
        level: units that are in it at `at`; below zero: they are owed.
        at: monotonic seconds.
    """

    rate: float
    room: float
    level: float
    at: float


def full(rate: float, room: float, now: float) -> Bucket:
    """Make a full bucket."""
    return Bucket(rate=rate, room=room, level=room, at=now)


def take(bucket: Bucket, amount: float, now: float) -> tuple[Bucket, float]:
    """Take an amount; give the bucket after it and the seconds to wait before the amount may be used."""
    level = min(bucket.room, bucket.level + max(0.0, now - bucket.at) * bucket.rate) - amount
    return replace(bucket, level=level, at=max(now, bucket.at)), max(0.0, -level / bucket.rate)
