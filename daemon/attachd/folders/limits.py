"""The kernel's limits of inotify (inotify(7), user_namespaces(7)), and what they should be."""

from pathlib import Path

_OF_THE_MACHINE = Path("/proc/sys/fs/inotify/max_user_watches")
_OF_THE_NAMESPACE = Path("/proc/sys/user/max_inotify_watches")

RECOMMENDED = 1_048_576
"""Watches that systemd/ sets for a machine of its own; each takes about a kilobyte of the kernel's memory."""


def max_user_watches() -> int | None:
    """Give how many directories one user may watch at once; None where the system does not say."""
    found = [limit for limit in (_read(_OF_THE_MACHINE), _read(_OF_THE_NAMESPACE)) if limit is not None]
    return min(found, default=None)


def wanted(directories: int, now: int | None = None) -> int:
    """Give the limit to set for so many directories: room for as many again, and a round number.

    It is more than the one of `now`, which is reached: other programs of the user may need the most of it.
    """
    limit = RECOMMENDED
    while limit < 2 * directories or limit <= (now or 0):
        limit *= 2
    return limit


def _read(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
