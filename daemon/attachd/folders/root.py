"""Tells whether a folder is there, and still the one it was: folders lie.

A share that is not mounted leaves an empty local directory in its place. Taking that for the folder would
look like the loss of every file in it, so it counts as an outage, in which nothing vanishes.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from attachd.core.afters import is_inside
from attachd.core.mounts import Mount, is_network, is_share
from attachd.core.paths import escape
from attachd.core.settings import RequireMount
from attachd.folders import mounts, walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a folder is recognised by.

    Attributes:
        mount: what it lies on.
        device: of the directory, as stat(2) has it; 0 on a network file system.
        inode: the same. Many FUSE file systems give a directory another number after they forgot the last,
            and no watch has to be set anew on a network.
    """

    mount: Mount
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
        seen_on: the file system it was seen on, as the ledger remembers it.
        require: what `require_mount` says.
        look: gives what the folder is at this moment, as `identify`.
    """

    def __init__(
        self,
        path: str,
        seen_on: str,
        require: RequireMount = RequireMount.AUTO,
        look: Callable[[str], Identity] | None = None,
    ) -> None:
        self.path = path
        self._seen_on = seen_on
        self._require = require
        self._identify = look or identify
        self._identity: Identity | None = None
        self._is_out = True

    @property
    def filesystem(self) -> str:
        """Name the file system: the one of the last look, or else the remembered one."""
        return self._identity.mount.filesystem if self._identity else self._seen_on

    @property
    def should_be_share(self) -> bool:
        """Say whether a network file system belongs here, whatever lies here at the moment."""
        return is_share(self.filesystem) and self._require is not RequireMount.FALSE

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
        """Say why the folder is out at this moment, or ""; remembers nothing.

        One that is another mount or directory than at the last check is out until the next.
        """
        identity, problem = self._look()
        if not problem and self._identity is not None and identity != self._identity:
            return "it was mounted or made anew at this moment"
        return problem

    def _look(self) -> tuple[Identity | None, str]:
        try:
            identity = self._identify(self.path)
        except walk.RootOut as error:
            return None, str(error)
        known = self._identity
        before = known.mount if known else None
        if known and is_moved(identity, known):
            before = identity.mount
        return identity, judge(identity.mount, before, self._seen_on, self._require)


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
    if is_network(mount.filesystem):
        return Identity(mount=mount, device=0, inode=0)
    return Identity(mount=mount, device=facts.st_dev, inode=facts.st_ino)


def judge(now: Mount, before: Mount | None, seen_on: str, require: RequireMount = RequireMount.AUTO) -> str:
    """Say why what lies at the folder's path is not the folder, or "".

    What is unmounted and mounted again is the same, although its id is another one. So is a disk that comes
    back under another device's name, where its file system says itself which one it is, and what is mounted
    on a directory that was plain when attachd began.

    Args:
        now: the mount that the path leads to.
        before: the one that it led to when it was last in place in this run.
        seen_on: the file system the folder was seen on in any run.
        require: what `require_mount` says.
    """
    if require is RequireMount.FALSE:
        return ""
    if require is RequireMount.TRUE and now.point == "/":
        return (
            f"nothing is mounted there (it lies on the {now.filesystem} of the root directory), as"
            " `require_mount` asks for; it is taken up when something is"
        )
    expected = before.filesystem if before else seen_on
    if is_share(expected) and not is_network(now.filesystem):
        return (
            f"a plain directory ({now.filesystem}) stands where a share ({expected}) was; "
            "it is taken up again when the share is mounted"
        )
    return "" if before is None else _other_mount(now, before)


def _other_mount(now: Mount, before: Mount) -> str:
    here, there = escape(now.point), escape(before.point)
    if is_inside(now.point, before.point) and here != there:
        return ""
    if here != there:
        return (
            f"it lies on what is mounted at {here} now, and lay on what was mounted at {there}; "
            "it is taken up again when that is back; if it is to stay there, start attachd anew"
        )
    if _is_another(now, before):
        source = f"{escape(now.source)} ({now.filesystem})"
        return (
            f"{source} is mounted there now instead of {escape(before.source)}; "
            "if that is right, start attachd anew"
        )
    return ""


def is_moved(now: Identity, before: Identity) -> bool:
    """Say whether it is surely the same folder of the same disk or share, mounted at another place.

    That of a disk needs its file system's word, as names of devices are given out anew, and the directory's.
    """
    if now.mount.point == before.mount.point or _is_another(now.mount, before.mount):
        return False
    is_same_volume = 0 != now.mount.volume == before.mount.volume
    return is_network(now.mount.filesystem) or (is_same_volume and now.inode == before.inode)


def _is_another(now: Mount, before: Mount) -> bool:
    if (now.filesystem, now.part) != (before.filesystem, before.part):
        return True
    are_disks = now.source.startswith("/") and before.source.startswith("/")
    if are_disks and now.volume and before.volume:  # device names are given out anew at every turn
        return now.volume != before.volume
    return now.source != before.source
