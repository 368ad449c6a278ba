"""Keeps the watch for events alive as long as its folder is there, with growing pauses between attempts."""

import math

import structlog

from attachd.core.paths import escape
from attachd.core.protocols import Clock
from attachd.core.settings import Watch
from attachd.folders import limits, reach
from attachd.folders.events import FolderEvents
from attachd.folders.mailbox import Mailbox
from attachd.folders.mounts import Mount, is_network, where

PAUSE_CAP = 300.0
"""Seconds between attempts to set the watch, at most."""

RENEWAL_PAUSE = 10.0
"""Between two renewals of the watches after overflows: so many times what setting them takes."""

_OTHERS_WRITE = "a network file system tells nothing of what other hosts write"
_SHARE_BELOW = "a network file system is mounted below it, and may cease to answer"

log = structlog.get_logger("attachd")


class Lookout:
    """The watch of one folder and its repair. Owned by the folder's thread.

    Args:
        root: the folder, absolute.
        wanted: what rules.yaml says; `auto` takes events on local file systems.
        mailbox: where hints go.
        clock: both clocks.
        first_pause: seconds until the first repair; each further pause is twice as long.
    """

    def __init__(
        self, root: str, wanted: Watch, mailbox: Mailbox, clock: Clock, *, first_pause: float
    ) -> None:
        self._root = root
        self._wanted = wanted
        self._mailbox = mailbox
        self._clock = clock
        self._first_pause = first_pause
        self._events = FolderEvents(root, mailbox)
        self._trouble = ""
        self._pause = first_pause
        self._again_at = math.inf
        self._renew_at = -math.inf
        self._limit: int | None = None
        self._told = False
        self._mounted: tuple[Mount, ...] = ()

    @property
    def word(self) -> str:
        """Say how the folder is watched at this moment: `events` or `scan`."""
        return "events" if self._events.is_on else "scan"

    @property
    def is_on(self) -> bool:
        """Say whether events bring hints."""
        return self._events.is_on

    @property
    def sees_all(self) -> bool:
        """Say whether events bring hints from every directory of the folder."""
        return self._events.is_on and not self._events.refused and not self._events.overflowed

    @property
    def detail(self) -> str:
        """Say what is wrong with the watch, in words, or ""."""
        if self._trouble:
            return f"no events, only scans: {self._trouble}"
        if self._events.refused:
            set_now = "" if self._limit is None else f" is {self._limit} and"
            wanted = limits.wanted(self.watches + self._events.refused, self._limit)
            return (
                f"{self._events.refused} directories bring no events and are only scanned:"
                f" fs.inotify.max_user_watches{set_now} should be {wanted} (sysctl), for all users' watches"
            )
        return ""

    @property
    def watches(self) -> int:
        """Count the directories that bring events."""
        return self._events.watches

    @property
    def limit(self) -> int | None:
        """Give the kernel's limit of watches as of the last time that they were set, or None."""
        return self._limit

    def begin(self, filesystem: str) -> None:
        """Set the watch, where events are wanted on this file system; the caller has ended an older one."""
        is_wanted = self._wanted is Watch.EVENTS or (
            self._wanted is Watch.AUTO and not is_network(filesystem)
        )
        if is_wanted and reach.is_far(self._root):
            place = where(self._root)
            self._trouble = _SHARE_BELOW if place.far and not place.network else _OTHERS_WRITE
            is_wanted = False
        self._pause = self._first_pause
        self._again_at = -math.inf if is_wanted else math.inf
        self.tend()

    def tend(self) -> bool:
        """Look after the watch and set it anew when its time has come; True where it was lost."""
        fault = self._events.fault() if self._events.is_on else ""
        if self._events.refused and not fault:
            fault = self._tend_limit()
        if fault:
            log.warning("watch_lost", folder=escape(self._root), why=fault)
            self._trouble = fault
            self._events.stop()
            self._mailbox.want_scan()
        if not self._events.is_on and self._clock.monotonic() >= self._again_at:
            self._set()
        elif self._events.overflowed and self._clock.monotonic() >= self._renew_at:
            self._pause = self._first_pause
            self._renew()
        elif self._events.is_on and self._mounted != where(self._root).below:
            self._renew()  # no watch reaches into what was mounted since
        elif self._events.opened and self._clock.monotonic() >= self._again_at:
            self._renew()
        return bool(fault)

    def _tend_limit(self) -> str:
        """Tell once that the limit of watches is too low; give "the limit was raised" when it was, or ""."""
        if not self._told:
            log.warning("watch_limit_reached", folder=escape(self._root), why=self.detail)
            self._told = True
        now = limits.max_user_watches()
        if now is None or self._limit is None or now <= self._limit:
            return ""
        self._again_at = -math.inf
        return f"the limit of watches was raised to {now}"

    def end(self) -> bool:
        """Take the watch away and attempt nothing until `begin`; say whether it was there."""
        was_on = self._events.is_on
        self._events.stop()
        self._trouble = ""
        self._again_at = math.inf
        return was_on

    def _renew(self) -> None:
        """Set the watches anew: what was closed to us, mounted, or made while events were lost, has none."""
        self._events.stop()
        self._set()
        if not self._events.opened:  # else it is refused all the same, and the next time is put off
            self._pause = self._first_pause

    def _set(self) -> None:
        began, limit = self._clock.monotonic(), limits.max_user_watches()
        self._told = self._told and limit == self._limit
        self._limit = limit
        self._mounted = where(self._root).below
        self._trouble = self._events.start()
        now = self._clock.monotonic()
        self._renew_at = now + RENEWAL_PAUSE * (now - began)
        self._again_at = now + self._pause
        self._pause = min(self._pause * 2, PAUSE_CAP)
        if self._events.is_on:
            self._mailbox.want_scan()
