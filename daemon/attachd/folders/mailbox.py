"""What other threads tell a folder's thread: hints, wishes for a scan, and to stop."""

from itertools import islice
from threading import Condition


class Mailbox:
    """A bounded set of hints and two flags. Any thread may put; only the folder's thread takes and waits.

    When the set is full a hint is dropped and a scan is wanted instead.

    Args:
        capacity: hints that are kept at most.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._changed = Condition()
        self._directories: dict[str, bool] = {}
        self._hints: dict[str, bool] = {}
        self._scan_wanted = False
        self._hints_lost = 0
        self._stopping = False

    @property
    def has_post(self) -> bool:
        """Say whether hints or the wish for a scan wait to be taken."""
        return self._has_hints or self._scan_wanted

    @property
    def _has_hints(self) -> bool:
        return bool(self._hints or self._directories)

    @property
    def is_stopping(self) -> bool:
        """Say whether the folder's thread was asked to end."""
        return self._stopping

    def put(self, path: str, *, doubted: bool = False, is_directory: bool = False) -> None:
        """Leave a hint: look at this path, relative to the folder.

        Args:
            path: a file or a directory, "" for the folder itself.
            doubted: what was reported of this path before does not count any more.
            is_directory: it goes before all files, because nothing may ever tell of what it holds.
        """
        with self._changed:
            hints = self._directories if is_directory else self._hints
            if len(self._hints) + len(self._directories) >= self._capacity and path not in hints:
                self._hints_lost += 1
                self._scan_wanted = True
            else:
                hints[path] = doubted or hints.get(path, False)
            self._changed.notify()

    def lose_hints(self) -> None:
        """Note that hints were lost on their way: a scan has to find what they would have told."""
        with self._changed:
            self._hints_lost += 1
            self._scan_wanted = True
            self._changed.notify()

    def want_scan(self) -> None:
        """Ask for a scan as soon as possible."""
        with self._changed:
            self._scan_wanted = True
            self._changed.notify()

    def stop(self) -> None:
        """Ask the folder's thread to end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def take_hints(self, limit: int) -> list[tuple[str, bool]]:
        """Take at most `limit` hints, directories and oldest first: each path, and if it is `doubted`."""
        with self._changed:
            every = ((kind, path) for kind in (self._directories, self._hints) for path in kind)
            taken = list(islice(every, max(limit, 0)))
            return [(path, kind.pop(path)) for kind, path in taken]

    def take_scan_wanted(self) -> bool:
        """Say whether a scan is wanted, once."""
        with self._changed:
            wanted, self._scan_wanted = self._scan_wanted, False
            return wanted

    def take_hints_lost(self) -> int:
        """Say how often hints were lost since the last call: one by one, or an unknown number at once."""
        with self._changed:
            lost, self._hints_lost = self._hints_lost, 0
            return lost

    def clear(self) -> None:
        """Forget all hints and wishes: a scan follows in any case."""
        with self._changed:
            self._directories.clear()
            self._hints.clear()
            self._scan_wanted = False

    def wait(self, timeout: float, *, for_hints: bool, for_wishes: bool) -> None:
        """Wait until something was put, at most `timeout` seconds.

        Args:
            timeout: seconds.
            for_hints: False while there is no room for hints, so that those which wait do not wake us.
            for_wishes: False while a scan is under way.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._stopping or (for_wishes and self._scan_wanted) or (for_hints and self._has_hints)
                ),
                timeout,
            )
