"""Network file systems, which may cease to answer: every look at one is left to processes of their own.

A folder that has one mounted somewhere below it is left to them as a whole: its walk ends where that hangs.

A call on a server that hangs blocks in the kernel, and a process that is in it cannot be killed. So attachd
itself makes no system call on a network file system, not even to ask what it is: /proc/self/mountinfo says
that. A process that does not answer is given up without waiting for its end. While a share hangs, every
request is refused at once, but for a fresh try now and then.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import Popen, TimeoutExpired

from attachd.folders import mounts
from attachd.folders.share_channel import Channel, ShareSilent

SILENCE = 60.0
"""Seconds without an answer after which a share is taken to hang."""

IN_DOUBT = 5.0
"""Seconds without an answer after which people are told, and nobody else begins to wait."""

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds between two tries whether a share answers again; each pause is twice as long as the last."""

IDLE = 2
"""Processes of one share that are kept while they have nothing to do."""

MOST_LEFT = 8
"""Processes of one share that do not end: then it is tried only when one did, or it is mounted anew."""

_END = 1.0
"""Seconds that killed processes get to end, where it is waited for at all."""

_UNDYING: list[Popen[bytes]] = []


@dataclass(slots=True)
class _Hang:
    """When a share that hangs is tried again: at a time, when a process ended, or when it is mounted anew."""

    words: str
    again_at: float
    pause: float
    left: int
    mount: int


class Share:
    """The processes that touch one place on a network. For any thread.

    Attributes:
        keeper: the thread whose waiting decides whether it hangs; None: anybody's. A single file that does
            not come, as from a tape, is no hang of the folder that it lies in.
    """

    def __init__(self, path: str, silence: float) -> None:
        self._path = path
        self._silence = silence
        self._lock = threading.Lock()
        self._idle: list[Channel] = []
        self._used: dict[Channel, int] = {}
        self._left: list[Popen[bytes]] = []
        self._hang: _Hang | None = None
        self._is_closed = False
        self.keeper: int | None = None

    @contextmanager
    def channel(self) -> Iterator[Channel]:
        """Have a process to talk to; it is kept for the next unless something went wrong.

        Raises:
            ShareSilent: the share hangs, or is in doubt.
            ShareLost: no process can be started.
        """
        channel = self._begin()
        try:
            yield channel
        except ShareSilent as error:
            self._went_silent(str(error))
            raise
        else:
            self._answered(channel)
        finally:
            self._end(channel)

    def doubt(self) -> str:
        """Say what speaks against it at this moment, in words, or ""."""
        with self._lock:
            waits, left = self._waits(), self._count_left() if self._hang else 0
        if left:
            count = "one process that asked it hangs" if left == 1 else f"{left} processes that asked it hang"
            return f"{count} with it"
        return f"the server has not answered for {waits:.0f} seconds" if waits > IN_DOUBT else ""

    def give_up(self, *, all_of_them: bool) -> None:
        """Let whoever waits for an answer go on without it: the keeper alone, or everybody."""
        with self._lock:
            for channel, thread in self._used.items():
                if all_of_them or thread == self.keeper:
                    channel.give_up()

    def close(self) -> None:
        """Let everybody go on, end what has nothing to do, and wait a moment for those that were killed."""
        self.give_up(all_of_them=True)
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for channel in idle:
            self._bury(channel)
        with self._lock:
            left, self._left = self._left, []
        _await_end(left)

    def _begin(self) -> Channel:
        is_keeper = self.keeper in {None, threading.get_ident()}
        with self._lock:
            if self._hang is not None and not (is_keeper and self._may_try(self._hang)):
                raise ShareSilent(self._hang.words)
            if not is_keeper and (waits := self._waits()) > IN_DOUBT:
                raise ShareSilent(f"the server has not answered for {waits:.0f} seconds")
            channel = self._idle.pop() if self._idle else Channel(self._silence)
            self._used[channel] = threading.get_ident()
            return channel

    def _may_try(self, hang: _Hang) -> bool:
        left = self._count_left()
        if left < hang.left or _mount_at(self._path) != hang.mount:
            return True
        return left < MOST_LEFT and time.monotonic() >= hang.again_at

    def _waits(self) -> float:
        now = time.monotonic()
        since = [each.waits_since for each, thread in self._used.items() if self.keeper in {None, thread}]
        return max((now - at for at in since if at is not None), default=0.0)

    def _went_silent(self, words: str) -> None:
        if self.keeper not in {None, threading.get_ident()}:
            return
        with self._lock:
            for channel in self._used:
                channel.give_up()
            pause = min(self._hang.pause * 2, LONGEST_PAUSE) if self._hang else FIRST_PAUSE
            left = self._count_left() + 1  # with the one that is about to be killed
            again_at = time.monotonic() + pause
            mount = _mount_at(self._path)
            self._hang = _Hang(words=words, again_at=again_at, pause=pause, left=left, mount=mount)

    def _answered(self, channel: Channel) -> None:
        with self._lock:
            if channel.is_sound and self.keeper in {None, threading.get_ident()}:
                self._hang = None

    def _end(self, channel: Channel) -> None:
        with self._lock:
            del self._used[channel]
            if channel.is_sound and len(self._idle) < IDLE and not self._is_closed:
                self._idle.append(channel)
                return
        self._bury(channel)

    def _bury(self, channel: Channel) -> None:
        waits_for_us = channel.is_sound
        channel.end()
        if waits_for_us or self._is_closed:
            _await_end([channel.process])
        else:
            with self._lock:
                self._left.append(channel.process)

    def _count_left(self) -> int:
        self._left = [process for process in self._left if process.poll() is None]
        return len(self._left)


def _await_end(processes: list[Popen[bytes]]) -> None:
    """Wait a moment for killed processes; what hangs in the kernel ends when that lets it go."""
    deadline = time.monotonic() + _END
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except TimeoutExpired:
            _UNDYING.append(process)


def _mount_at(path: str) -> int:
    far = mounts.where(path).far
    return far.id if far else 0


class Shares:
    """Which folders lie on a network, and their processes: one for each run of the program, `SHARES`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shares: dict[str, Share | None] = {}
        self.silence = SILENCE

    def of(self, path: str) -> Share | None:
        """Give what touches a folder for us; None where we may do it ourselves."""
        try:
            return self._shares[path]
        except KeyError:
            return self.look(path)

    def known(self, path: str) -> Share | None:
        """Give what touches a folder for us, if it was ever asked for."""
        return self._shares.get(path)

    def look(self, path: str, *, is_share: bool = False) -> Share | None:
        """Find out anew, from the table of mounts, whether a folder lies on a network; give what touches it.

        Args:
            path: absolute.
            is_share: one was or should be mounted there: it may come at any moment.
        """
        is_far = is_share or mounts.where(path).far is not None
        with self._lock:
            known = self._shares.get(path)
            if not is_far:
                self._shares[path] = None
                if known is not None:
                    known.close()
                return None
            share = known or Share(path, self.silence)
            self._shares[path] = share
            return share

    def close(self) -> None:
        """Let everybody go on who waits, end all processes that can be ended, and forget every folder."""
        with self._lock:
            shares, self._shares = self._shares, {}
        for share in shares.values():
            if share is not None:
                share.close()


SHARES = Shares()
