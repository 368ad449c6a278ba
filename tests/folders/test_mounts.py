import os
from pathlib import Path

import pytest

from attachd.folders.mounts import UNKNOWN, Mount, filesystem_of, find_mount, is_network, mount_of

MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
31 27 0:40 / /mnt/in\040box\134 rw,relatime shared:7 master:2 - nfs4 nas:/scan\040ner rw,vers=4.2
33 27 8:1 /part /srv rw - ext4 /dev/sda1 rw
"""


def test_a_line_of_mountinfo_is_read_with_its_octal_numbers():
    """Optional fields do not shift the type, and blanks and backslashes come out as they are."""
    assert find_mount(MOUNTINFO, 31) == Mount(
        id=31, filesystem="nfs4", point="/mnt/in box\\", source="nas:/scan ner", part="/"
    )
    assert find_mount(MOUNTINFO, 33).part == "/part"


def test_a_mount_that_is_not_listed_is_unknown():
    """An id must be equal, not only begin alike."""
    assert find_mount(MOUNTINFO, 3) == Mount(id=3, filesystem=UNKNOWN)


def test_a_path_that_does_not_exist_yet_lies_where_its_nearest_parent_lies(tmp_path):
    """The file system of a ledger can be told before the ledger is made."""
    assert filesystem_of(str(tmp_path / "no" / "such" / "file")) == filesystem_of(str(tmp_path))
    assert filesystem_of("/proc/self/no-such-thing") == "proc"


def test_a_file_is_no_parent(tmp_path):
    """A path below a file is answered by the directory that holds the file."""
    (tmp_path / "file").touch()
    assert filesystem_of(str(tmp_path / "file" / "below")) == filesystem_of(str(tmp_path))


def test_the_mount_of_an_open_directory_is_found_by_its_id():
    """The kernel's own id leads to the right line of the real table."""
    descriptor = os.open("/proc", os.O_RDONLY)
    try:
        mount = mount_of(descriptor)
    finally:
        os.close(descriptor)
    assert (mount.filesystem, mount.point) == ("proc", "/proc")
    assert f"\n{mount.id} " in "\n" + Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize(
    "filesystem",
    ["nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "fuse.rclone", "9p", "ceph", "virtiofs"],
)
def test_where_other_hosts_write_is_a_network(filesystem):
    """No event tells of what another host writes there."""
    assert is_network(filesystem)


@pytest.mark.parametrize(
    "filesystem", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "fuseblk", "fusectl", UNKNOWN]
)
def test_local_disks_are_no_network(filesystem):
    """`fuseblk` (NTFS on a local disk) is the one FUSE type that is local."""
    assert not is_network(filesystem)
