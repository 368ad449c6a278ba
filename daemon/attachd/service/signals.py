"""Signals as facts: handlers only count, the main loop reads. The first stop drains, a second one cuts."""

import select
import signal
import socket
from types import FrameType, TracebackType
from typing import Self


class Signals:
    """Catches SIGTERM, SIGINT and SIGHUP while its context is open. Owner: the main thread.

    `stops` and `reloads` count what came. The wake-up descriptor (signal(2) by Python's `set_wakeup_fd`)
    ends a wait at once, without a lock that a handler could meet taken.
    """

    def __init__(self) -> None:
        self.stops = 0
        self.reloads = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        """Install the handlers."""
        self._read, self._write = socket.socketpair()
        self._read.settimeout(0)
        self._write.settimeout(0)
        self._wakeup_before = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._stop)
        self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._reload)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the handlers of before back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() gave, it takes back
        signal.set_wakeup_fd(self._wakeup_before)
        self._read.close()
        self._write.close()

    def wait(self, seconds: float) -> None:
        """Wait until a signal comes, at most `seconds`."""
        ready, _, _ = select.select([self._read], [], [], seconds)
        if ready:
            self._read.recv(4096)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stops += 1

    def _reload(self, _number: int, _frame: FrameType | None) -> None:
        self.reloads += 1
