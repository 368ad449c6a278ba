"""Tells on which file system a path lies. The only reader of /proc/self/mountinfo.

The mount is found by its id, which /proc/self/fdinfo gives for an open directory, and not by comparing
paths: a mount over another one, or over a parent, would deceive that. Sources: proc_pid_fdinfo(5) and
proc_pid_mountinfo(5).
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

UNKNOWN = "unknown"
"""Stands for a file system that mountinfo does not list (it was mounted outside our namespace)."""

_NETWORK = frozenset(
    {
        "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "davfs2", "drvfs", "fuse", "gfs2",
        "glusterfs", "gpfs", "lustre", "ncpfs", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "vboxsf",
        "virtiofs", "vmhgfs",
    }
)  # fmt: skip
_NETWORK_FAMILIES = ("nfs", "smb", "fuse.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mount.

    Attributes:
        id: no other mount has it while this one lasts.
        filesystem: the type, as `ext4` or `nfs4`.
        point: where it is mounted.
        source: what is mounted: a device, a share, or a word such as `tmpfs`.
        part: which directory of the source is mounted, "/" for all of it.
    """

    id: int
    filesystem: str = UNKNOWN
    point: str = ""
    source: str = ""
    part: str = ""


def filesystem_of(path: str) -> str:
    """Name the type of file system a path lies on, or would lie on; `unknown` where nobody can tell.

    Raises:
        OSError: no part of the path can be opened.
    """
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
        OSError: /proc is not there.
    """
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    return find_mount(table, mount_id_of(descriptor))


def mount_id_of(descriptor: int) -> int:
    """Give the id of the mount that an open file or directory belongs to, 0 where the system does not say."""
    facts = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    for line in facts.splitlines():
        name, _, value = line.partition(":")
        if name == "mnt_id":
            return int(value)
    return 0


def find_mount(mountinfo: str, mount_id: int) -> Mount:
    """Look a mount up in the text of mountinfo; one that is not listed has an `unknown` file system.

    A line is `ID PARENT MAJOR:MINOR PART POINT OPTIONS [OPTIONAL…] - TYPE SOURCE OPTIONS`.
    """
    for line in mountinfo.split("\n"):
        if line.startswith(f"{mount_id} "):
            before_dash, _, after_dash = line.partition(" - ")
            _, _, _, part, point, *_ = before_dash.split(" ")
            filesystem, source, *_ = after_dash.split(" ")
            return Mount(
                id=mount_id,
                filesystem=filesystem,
                point=_plain(point),
                source=_plain(source),
                part=_plain(part),
            )
    return Mount(id=mount_id)


def _plain(field: str) -> str:
    """Undo the octal numbers that stand for blanks, tabs, newlines and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def is_network(filesystem: str) -> bool:
    """Say whether other hosts can write there, which no event tells us.

    FUSE counts as one (sshfs, rclone …) except `fuseblk`, a local disk.
    """
    return filesystem in _NETWORK or filesystem.startswith(_NETWORK_FAMILIES)
