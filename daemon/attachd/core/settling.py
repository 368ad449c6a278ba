"""Decides when nobody is writing a file any more. Pure: what was seen and the time are arguments.

Theory of operation. Only the quiet time between our own looks counts: a close proves nothing (a server
closes for its dead client), a steady size proves nothing (Windows sets the full length first), and the age
of a modification time proves nothing (copies bring old ones, cameras have wrong clocks). So a file is
complete when its signs stayed the same for `settle` seconds of monotonic time. Files with holes, and
files whose modification time is 0 (what an interrupted `rsync --partial` leaves), wait much longer.
"""

import heapq
from dataclasses import dataclass, replace
from enum import Enum

from attachd.core.wholeness import Lack
from attachd.errors import InvariantBroken
from attachd.model import Signs

BLOCK = 512
"""Bytes in the unit of `st_blocks`, stat(2)."""

SECOND = 1_000_000_000
"""Nanoseconds."""

LONG_WAIT_FACTOR = 10
LONG_WAIT_FLOOR = 30.0
"""Seconds that a suspicious file waits at least."""

SHORTEST_LOOK, LONGEST_LOOK = 0.2, 30.0
"""Seconds between looks at a quiet file that is not whole: they grow with the time that it is quiet."""


class Settling(Enum):
    """How far a file has come."""

    WAIT = "wait"  # look again when it is due
    SETTLED = "settled"  # complete
    PARKED = "parked"  # quiet for long, and still shows that it is not complete


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one look at a file led to; `reason` says what is unusual about it, or is empty.

    `hint`: what a person can do about a file that is parked.
    `waited`: for how many seconds the file was waited for in all, where it is no longer.
    `quiet`: for how many of them nothing changed.
    """

    settling: Settling
    reason: str = ""
    hint: str = ""
    waited: float = 0.0
    quiet: float = 0.0


_WAIT = Verdict(settling=Settling.WAIT)
_SETTLED = Verdict(settling=Settling.SETTLED)


@dataclass(slots=True)
class _Waiting:
    signs: Signs
    began: float  # when it was first seen
    since: float  # when these signs were first seen, or the last event came
    ticket: int  # the one place in the queue that still counts


class Settler:
    """The files of one folder that are being waited for. Owned by that folder's thread.

    Args:
        settle: seconds without a change that make a file complete.
        capacity: files that may wait at once; when it is reached, the caller looks at no new ones.
    """

    def __init__(self, settle: float, capacity: int = 10_000) -> None:
        self._settle = settle
        self._long_wait = max(settle * LONG_WAIT_FACTOR, LONG_WAIT_FLOOR)
        self._capacity = capacity
        self._waiting: dict[str, _Waiting] = {}
        self._queue: list[tuple[float, int, str]] = []
        self._tickets = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, path: str) -> bool:
        return path in self._waiting

    @property
    def room(self) -> int:
        """Say how many more files may be waited for."""
        return self._capacity - len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Say whether no new file may be observed now."""
        return self.room <= 0

    @property
    def next_due(self) -> float | None:
        """Give the time of the next look, or None while nothing waits. It may be early, never late."""
        return self._queue[0][0] if self._waiting else None

    def observe(self, path: str, signs: Signs, now: float) -> Verdict:
        """Take in one look at a file; a file that is settled or parked is forgotten.

        Raises:
            InvariantBroken: a new file was observed although `is_full`.
        """
        waiting = self._waiting.get(path)
        if waiting is None:
            return self._begin(path, signs, now)
        if _differs(waiting.signs, signs):
            waiting.since = now
        waiting.signs = signs
        if now < waiting.since + self._needed(signs):
            return _WAIT
        self.forget(path)
        return replace(self._judge(signs), waited=now - waiting.began, quiet=now - waiting.since)

    def put_off(self, path: str, signs: Signs, verdict: Verdict, lack: Lack, now: float) -> Verdict:
        """Wait on for a file that settled and is not whole, or decide that it was waited for long enough.

        It is not waited for where that would keep new files from being looked at: a parked one goes on by
        itself as well.

        Args:
            path: of the file.
            signs: of the look that led to the verdict.
            verdict: of the `observe` before, which said `SETTLED`.
            lack: what is missing.
            now: the time of that `observe`.
        """
        if verdict.quiet >= lack.patience or len(self._waiting) >= self._capacity // 2:
            settling = Settling.SETTLED if lack.accepted else Settling.PARKED
            return replace(verdict, settling=settling, reason=lack.reason, hint=lack.hint)
        waiting = _Waiting(signs=signs, began=now - verdict.waited, since=now - verdict.quiet, ticket=0)
        self._waiting[path] = waiting
        pause = max(self._settle, SHORTEST_LOOK, min(verdict.quiet / 4, LONGEST_LOOK))
        self._enqueue(path, waiting, now + min(pause, max(lack.patience - verdict.quiet, 0.0)))
        return _WAIT

    @property
    def long_wait(self) -> float:
        """Give the seconds for which a suspicious file is waited for."""
        return self._long_wait

    def touched(self, path: str, now: float) -> None:
        """Start the wait anew: an event told of the file."""
        waiting = self._waiting.get(path)
        if waiting is not None:
            waiting.since = now

    def due(self, now: float) -> list[str]:
        """Give the files to be looked at now; each comes again later unless it is forgotten by then."""
        paths = []
        again = []
        while self._queue and self._queue[0][0] <= now:
            _, ticket, path = heapq.heappop(self._queue)
            waiting = self._waiting.get(path)
            if waiting is None or waiting.ticket != ticket:
                continue
            look_at = waiting.since + self._settle
            if look_at <= now:
                paths.append(path)
            again.append((path, waiting, look_at if look_at > now else now + self._settle))
        for path, waiting, at in again:
            self._enqueue(path, waiting, at)
        return paths

    def forget(self, path: str) -> None:
        """Stop waiting for a file; unknown ones are fine."""
        self._waiting.pop(path, None)

    def _begin(self, path: str, signs: Signs, now: float) -> Verdict:
        if self.is_full:
            raise InvariantBroken(f"more than {self._capacity} files are being waited for")
        waiting = self._waiting[path] = _Waiting(signs=signs, began=now, since=now, ticket=0)
        self._enqueue(path, waiting, now + self._settle)
        return _WAIT

    def _enqueue(self, path: str, waiting: _Waiting, at: float) -> None:
        self._tickets += 1
        waiting.ticket = self._tickets
        heapq.heappush(self._queue, (at, waiting.ticket, path))

    def _needed(self, signs: Signs) -> float:
        return self._long_wait if has_holes(signs) or is_leftover(signs) else self._settle

    def _judge(self, signs: Signs) -> Verdict:
        if is_leftover(signs):
            reason = (
                f"its modification time is 0, as an interrupted rsync leaves it, and nothing changed for"
                f" {self._long_wait:g} seconds"
            )
            hint = "Run the transfer again to its end, or `touch` the file if it is whole; it then goes on."
            return Verdict(settling=Settling.PARKED, reason=reason, hint=hint)
        if has_holes(signs):
            reason = (
                f"it has holes, and nothing changed for {self._long_wait:g} seconds: taken as a sparse file"
            )
            return Verdict(settling=Settling.SETTLED, reason=reason)
        return _SETTLED


def is_leftover(signs: Signs) -> bool:
    """Say whether it is of the first second of 1970: an interrupted rsync leaves that."""
    return 0 <= signs.mtime_ns < SECOND


def has_holes(signs: Signs) -> bool:
    """Say whether fewer bytes are on the disk than the file is long."""
    return signs.blocks * BLOCK < signs.size


def _differs(before: Signs, after: Signs) -> bool:
    """Compare two looks; while there are holes, blocks that appear show a writer too (mmap)."""
    return before != after or (has_holes(before) and before.blocks != after.blocks)
