"""Tells on which file system a path lies, by /proc/self/mountinfo.

The mount of what is open is found by its id, which /proc/self/fdinfo gives, and not by comparing paths: a
mount over another one, or over a parent, would deceive that. Source: proc_pid_fdinfo(5). Where a path leads
is told before anything is opened (`where`), so that nothing is opened that may never answer.
"""

import os
from dataclasses import replace
from pathlib import Path

from attachd.core.mounts import TABLE, UNKNOWN, Mount, Place, find_mount, is_network, place_of

__all__ = [
    "UNKNOWN",
    "Mount",
    "filesystem_of",
    "find_mount",
    "is_network",
    "mount_id_of",
    "mount_of",
    "where",
]


def where(path: str) -> Place:
    """Find out where a path leads without a system call on a network file system."""
    return place_of(path, _table(), _link)


def filesystem_of(path: str) -> str:
    """Name the type of file system a path lies on, or would lie on; `unknown` where nobody can tell.

    A path on a network file system is not touched.

    Raises:
        OSError: no part of the path can be opened.
    """
    place = where(path)
    if place.network is not None:
        return place.mount.filesystem
    while True:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            parent = str(Path(path).parent)
            if parent == path:
                raise
            path = parent
            continue
        try:
            return mount_of(descriptor).filesystem
        finally:
            os.close(descriptor)


def mount_of(descriptor: int) -> Mount:
    """Find the mount that an open file or directory belongs to.

    Raises:
        OSError: /proc is not there, or a local file system does not answer for itself.
    """
    mount = find_mount(_table(), mount_id_of(descriptor))
    if is_network(mount.filesystem):  # a server would be asked, and most say nothing
        return mount
    return replace(mount, volume=os.fstatvfs(descriptor).f_fsid)


def mount_id_of(descriptor: int) -> int:
    """Give the id of the mount that an open file or directory belongs to, 0 where the system does not say."""
    facts = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    for line in facts.splitlines():
        name, _, value = line.partition(":")
        if name == "mnt_id":
            return int(value)
    return 0


def _table() -> str:
    return Path(TABLE).read_text(encoding="utf-8", errors="surrogateescape")


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 - a path in fsdecode form
    except OSError:  # no link, or nothing is there
        return None
