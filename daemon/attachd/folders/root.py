"""Tells whether a folder is there, and still the one it was: folders lie.

A share that is not mounted leaves an empty local directory in its place. Taking that for the folder would
look like the loss of every file in it, so it counts as an outage, in which nothing vanishes.
"""

import os
from dataclasses import dataclass

from attachd.core.paths import escape
from attachd.folders import mounts, walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a folder is recognised by."""

    mount: mounts.Mount
    device: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RootCheck:
    """What a look at the folder showed.

    Attributes:
        problem: why the folder is out, in words, or "".
        is_new: it is there and was not before, or is a directory or mount of its own since the last look:
            watches set earlier see nothing of it.
    """

    problem: str = ""
    is_new: bool = False


class Root:
    """One folder's own directory. Checked by the folder's thread; any thread may ask for `problem`.

    Args:
        path: absolute.
        seen_on: the file system it was first seen on, as the ledger remembers it.
    """

    def __init__(self, path: str, seen_on: str) -> None:
        self.path = path
        self._seen_on = seen_on
        self._identity: Identity | None = None
        self._is_out = True

    @property
    def filesystem(self) -> str:
        """Name the file system: the one of the last look, or else the remembered one."""
        return self._identity.mount.filesystem if self._identity else self._seen_on

    def check(self) -> RootCheck:
        """Look at the folder and remember what it is."""
        identity, problem = self._look()
        if identity is None or problem:
            self._is_out = True
            return RootCheck(problem=problem)
        is_new = self._is_out or identity != self._identity
        self._identity, self._is_out = identity, False
        return RootCheck(is_new=is_new)

    def problem(self) -> str:
        """Say why the folder is out at this moment, or ""; remembers nothing."""
        return self._look()[1]

    def _look(self) -> tuple[Identity | None, str]:
        try:
            identity = identify(self.path)
        except walk.RootOut as error:
            return None, str(error)
        before = self._identity.mount if self._identity else None
        return identity, judge(identity.mount, before, self._seen_on)


def identify(path: str) -> Identity:
    """Find out what a folder is at this moment.

    Raises:
        RootOut: it cannot be opened.
    """
    descriptor = walk.open_root(path)
    try:
        facts, mount = os.fstat(descriptor), mounts.mount_of(descriptor)
    except OSError as error:
        raise walk.RootOut(f"the folder itself cannot be looked at: {walk.in_words(error)}") from error
    finally:
        os.close(descriptor)
    return Identity(mount=mount, device=facts.st_dev, inode=facts.st_ino)


def judge(now: mounts.Mount, before: mounts.Mount | None, seen_on: str) -> str:
    """Say why what lies at the folder's path is not the folder, or "".

    What is unmounted and mounted again is the same, although its id is another one.

    Args:
        now: the mount that the path leads to.
        before: the one that it led to when it was first seen in this run.
        seen_on: the file system the folder was first seen on in any run.
    """
    expected = before.filesystem if before else seen_on
    if mounts.is_network(expected) and not mounts.is_network(now.filesystem):
        return (
            f"a plain directory ({now.filesystem}) stands where a share ({expected}) was; "
            "it is taken up again when the share is mounted"
        )
    if before is None:
        return ""
    here, there = escape(now.point), escape(before.point)
    if here != there:
        return f"it lies on what is mounted at {here} now, and lay on what was mounted at {there}"
    if (now.filesystem, now.source, now.part) != (before.filesystem, before.source, before.part):
        source = f"{escape(now.source)} ({now.filesystem})"
        return f"{source} is mounted there now instead of {escape(before.source)}"
    return ""
