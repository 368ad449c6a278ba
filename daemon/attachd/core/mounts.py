"""Reads the table of mounts (/proc/self/mountinfo) as text: which file system lies where. Pure.

What a path leads to is told without a system call on a network file system, because such a call may never
return. Source: proc_pid_mountinfo(5).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

UNKNOWN = "unknown"
"""Stands for a file system that mountinfo does not list (it was mounted outside our namespace)."""

TABLE = "/proc/self/mountinfo"
"""Where the table is to be had; its text is decoded with `surrogateescape`."""

_NETWORK = frozenset(
    {
        "9p", "acfs", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "davfs", "davfs2", "drvfs", "fuse",
        "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2",
        "vboxsf", "virtiofs", "vmhgfs",
    }
)  # fmt: skip
_NETWORK_FAMILIES = ("nfs", "smb", "fuse.")
_LOCAL = frozenset({"fuse.fuse-overlayfs"})  # the root of a container that belongs to a plain user
_MOST_LINKS = 40  # as the kernel has it, path_resolution(7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mount.

    Attributes:
        id: no other mount has it while this one lasts.
        filesystem: the type, as `ext4` or `nfs4`.
        point: where it is mounted.
        source: what is mounted: a device, a share, or a word such as `tmpfs`.
        part: which directory of the source is mounted, "/" for all of it.
        volume: what the file system itself says it is (`f_fsid` of statvfs(3)); 0 where it does not say.
    """

    id: int
    filesystem: str = UNKNOWN
    point: str = ""
    source: str = ""
    part: str = ""
    volume: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a path leads.

    Attributes:
        path: absolute, without links and `..` as far as that can be told without touching a network.
        mount: the mount that it lies on.
        network: the first network mount on the way, which may be another one; None: it is all local.
        below: what is mounted somewhere below it.
    """

    path: str
    mount: Mount
    network: Mount | None
    below: tuple[Mount, ...] = ()

    @property
    def far(self) -> Mount | None:
        """Give a network mount that whoever walks all of it meets, on the way or below; None: it is local."""
        below = (mount for mount in self.below if is_network(mount.filesystem))
        return self.network or next(below, None)


def is_network(filesystem: str) -> bool:
    """Say whether other hosts can write there, which no event tells us, and whether it may cease to answer.

    FUSE counts as one (sshfs, rclone …) except `fuseblk`, a local disk. `autofs` mounts one when touched.
    """
    return filesystem in _NETWORK or (filesystem.startswith(_NETWORK_FAMILIES) and filesystem not in _LOCAL)


def is_share(filesystem: str) -> bool:
    """Say whether it is a network file system itself; `autofs` may mount a local disk when touched."""
    return is_network(filesystem) and filesystem != "autofs"


def find_mount(table: str, mount_id: int) -> Mount:
    """Look a mount up in the text of the table; one that is not listed has an `unknown` file system."""
    return next(_mounts(table, f"{mount_id} "), Mount(id=mount_id))


def place_of(path: str, table: str, link: Callable[[str], str | None]) -> Place:
    """Find out where a path leads; where a network file system begins, the rest is taken as it is spelled.

    Args:
        path: absolute.
        table: the text of the table of mounts.
        link: gives what a symbolic link says, None for anything else; asked of local paths alone.
    """
    points = {mount.point: mount for mount in _mounts(table)}  # of several at a point the last is on top
    real = _resolve(path, points, link)
    mounts = [points[each] for each in _upwards(real) if each in points]
    far = [mount for mount in mounts if is_network(mount.filesystem)]
    inside = real.rstrip("/") + "/"
    return Place(
        path=real,
        mount=mounts[0] if mounts else Mount(id=0),
        network=far[-1] if far else None,
        below=tuple(mount for point, mount in points.items() if point.startswith(inside) and point != "/"),
    )


def _resolve(path: str, points: dict[str, Mount], link: Callable[[str], str | None]) -> str:
    left = path.split("/")[::-1]
    done, links = "", 0
    while left:
        here = points.get(done or "/")
        if here is not None and is_network(here.filesystem):
            return _spelled(done, left[::-1])
        name = left.pop()
        if name in {"", ".", ".."}:
            done = done.rpartition("/")[0] if name == ".." else done
            continue
        target = link(f"{done}/{name}") if links < _MOST_LINKS and f"{done}/{name}" not in points else None
        if target is None:
            done = f"{done}/{name}"
            continue
        links += 1
        left += target.split("/")[::-1]
        done = "" if target.startswith("/") else done
    return done or "/"


def _spelled(done: str, names: list[str]) -> str:
    parts = done.split("/")
    for name in names:
        if name == "..":
            del parts[max(1, len(parts) - 1) :]
        elif name not in {"", "."}:
            parts.append(name)
    return "/".join(parts) or "/"


def _upwards(path: str) -> Iterator[str]:
    while path != "/":
        yield path
        path = path.rpartition("/")[0] or "/"
    yield path


def _mounts(table: str, beginning: str = "") -> Iterator[Mount]:
    """Give the mounts, of lines `ID PARENT MAJOR:MINOR PART POINT OPTIONS [MORE…] - TYPE SOURCE OPTIONS`."""
    for line in table.split("\n"):
        if not line or not line.startswith(beginning):
            continue
        before_dash, _, after_dash = line.partition(" - ")
        number, _, _, part, point, *_ = before_dash.split(" ")
        filesystem, source, *_ = after_dash.split(" ")
        yield Mount(
            id=int(number),
            filesystem=filesystem,
            point=_plain(point),
            source=_plain(source),
            part=_plain(part),
        )


def _plain(field: str) -> str:
    """Undo the octal numbers that stand for blanks, tabs, newlines and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
