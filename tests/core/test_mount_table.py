import pytest

from attachd.core.mounts import find_mount, is_network, place_of

TABLE = """\
20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
30 20 8:2 / /srv rw - xfs /dev/sdb1 rw
40 30 0:50 / /srv/share rw - cifs //server/share rw
50 40 0:51 / /srv/share/deep rw - nfs4 server:/deep rw
"""
LINKS = {"/in": "/srv/share/in", "/near": "../srv/drop"}


@pytest.mark.parametrize(
    ("path", "leads_to", "filesystem", "network"),
    [
        ("/srv/drop", "/srv/drop", "xfs", None),
        ("/near/x", "/srv/drop/x", "xfs", None),
        ("/in", "/srv/share/in", "cifs", "cifs"),
        ("/srv/share/a/./b/../c", "/srv/share/a/c", "cifs", "cifs"),
        ("/srv/share/deep/a", "/srv/share/deep/a", "nfs4", "cifs"),
        ("/srv/share/../../..", "/", "ext4", None),
        ("/", "/", "ext4", None),
    ],
)
def test_a_path_is_followed_to_where_a_network_begins(path, leads_to, filesystem, network):
    """From there on it is taken as it is spelled: nobody asks a server that may not answer."""
    asked = []

    def link(place):
        asked.append(place)
        return LINKS.get(place)

    place = place_of(path, TABLE, link)
    assert (place.path, place.mount.filesystem) == (leads_to, filesystem)
    assert (place.network and place.network.filesystem) == network
    assert not any(each.startswith("/srv/share/") for each in asked)


def test_a_local_disk_behind_fuse_is_no_network():
    """Others are: sshfs, rclone and what mounts itself when it is touched."""
    assert not is_network("fuseblk")
    assert not is_network("ext4")
    assert is_network("fuse.sshfs")
    assert is_network("autofs")


def test_a_mount_is_found_by_its_number():
    """Part of a number is another one; what is not listed is unknown."""
    assert find_mount(TABLE, 30).filesystem == "xfs"
    assert find_mount(TABLE, 3).filesystem == find_mount("", 30).filesystem == "unknown"
