"""Counts what the rooms tell of their work, in plain Python: without the page nothing more is needed.

The counts belong to one run and outlive every reload, so that a counter falls at a restart only.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

QUICK = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds in seconds: of one call, from a GraphQL answer to a large file on a slow line."""

SLOW = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Upper bounds in seconds: of waiting, from nothing to do to a destination that was down for a day."""

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """How durations are spread: how many were at most each bound, the last one for all; their sum."""

    bounds: tuple[float, ...]
    below: tuple[int, ...]
    total: float


@dataclass(slots=True)
class _Spread:
    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def frozen(self) -> Distribution:
        below, so_far = [], 0
        for count in self.counts:
            so_far += count
            below.append(so_far)
        return Distribution(bounds=self.bounds, below=tuple(below), total=self.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All counts at one moment, by their labels.

    Attributes:
        found: files taken, by folder and by what told of them first, `hint` or `scan`.
        dropped: losses of hints, by folder.
        attempts: by destination, outcome and kind.
        sent: bytes, by destination.
        settling: by folder.
        queueing: by destination.
        calls: by destination, call and outcome.
        whole: by destination.
    """

    found: Mapping[Labels, float] = field(default_factory=dict)
    dropped: Mapping[Labels, float] = field(default_factory=dict)
    attempts: Mapping[Labels, float] = field(default_factory=dict)
    sent: Mapping[Labels, float] = field(default_factory=dict)
    settling: Mapping[Labels, Distribution] = field(default_factory=dict)
    queueing: Mapping[Labels, Distribution] = field(default_factory=dict)
    calls: Mapping[Labels, Distribution] = field(default_factory=dict)
    whole: Mapping[Labels, Distribution] = field(default_factory=dict)


class Measures:
    """Keeps the promises of `core.measure.Measure`. Any thread may tell or ask; one lock guards it all."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: Counter[Labels] = Counter()
        self._dropped: Counter[Labels] = Counter()
        self._attempts: Counter[Labels] = Counter()
        self._sent: Counter[Labels] = Counter()
        self._settling: dict[Labels, _Spread] = {}
        self._queueing: dict[Labels, _Spread] = {}
        self._calls: dict[Labels, _Spread] = {}
        self._whole: dict[Labels, _Spread] = {}

    def settled(self, folder_id: int, seconds: float, *, by_hint: bool) -> None:
        """Count a file that was taken."""
        with self._lock:
            self._found[str(folder_id), "hint" if by_hint else "scan"] += 1
            _add(self._settling, (str(folder_id),), seconds, SLOW)

    def hints_dropped(self, folder_id: int, count: int) -> None:
        """Count hints that were lost."""
        with self._lock:
            self._dropped[(str(folder_id),)] += count

    def claimed(self, destination: str, seconds: float) -> None:
        """Count how long a delivery was ready."""
        with self._lock:
            _add(self._queueing, (destination,), seconds, SLOW)

    def called(self, destination: str, call: str, outcome: str, seconds: float) -> None:
        """Count a remote call."""
        with self._lock:
            _add(self._calls, (destination, call, outcome), seconds, QUICK)

    def sent(self, destination: str, size: int) -> None:
        """Count bytes."""
        with self._lock:
            self._sent[(destination,)] += size

    def attempted(self, destination: str, outcome: str, kind: str) -> None:
        """Count an attempt."""
        with self._lock:
            self._attempts[destination, outcome, kind] += 1

    def attached(self, destination: str, seconds: float) -> None:
        """Count a whole delivery."""
        with self._lock:
            _add(self._whole, (destination,), seconds, SLOW)

    def taken(self) -> Measured:
        """Give all counts as they are now."""
        with self._lock:
            return Measured(
                found=dict(self._found),
                dropped=dict(self._dropped),
                attempts=dict(self._attempts),
                sent=dict(self._sent),
                settling=_frozen(self._settling),
                queueing=_frozen(self._queueing),
                calls=_frozen(self._calls),
                whole=_frozen(self._whole),
            )


def _add(spreads: dict[Labels, _Spread], labels: Labels, seconds: float, bounds: tuple[float, ...]) -> None:
    spread = spreads.get(labels)
    if spread is None:
        spread = spreads[labels] = _Spread(bounds)
    spread.add(max(0.0, seconds))


def _frozen(spreads: Mapping[Labels, _Spread]) -> dict[Labels, Distribution]:
    return {labels: spread.frozen() for labels, spread in spreads.items()}
