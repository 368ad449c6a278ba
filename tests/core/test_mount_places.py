import pytest

from attachd.core.mounts import is_network, place_of

TABLE = """\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 0:40 / /mnt/share rw - nfs4 nas:/in rw
3 2 8:2 / /mnt/share/disk rw - ext4 /dev/sdb1 rw
4 1 0:41 / /auto rw - autofs auto rw
5 1 0:42 / /mnt/twice rw - tmpfs tmpfs rw
6 5 0:43 / /mnt/twice rw - fuse.sshfs host:/x rw
"""
LINKS = {
    "/in": "/mnt/share/drop",
    "/here": "srv/data",
    "/srv/up": "../here",
    "/round": "round",
    "/mnt/share/link": "/srv",
}


def find(path):
    asked = []

    def link(at):
        asked.append(at)
        return LINKS.get(at)

    return place_of(path, TABLE, link), asked


@pytest.mark.parametrize(
    ("path", "real", "filesystem", "network"),
    [
        ("/srv/x", "/srv/x", "ext4", None),
        ("/", "/", "ext4", None),
        ("/srv//./a/../b", "/srv/b", "ext4", None),
        ("/here/x", "/srv/data/x", "ext4", None),
        ("/srv/up/x", "/srv/data/x", "ext4", None),
        ("/mnt/share", "/mnt/share", "nfs4", "nfs4"),
        ("/mnt/sharex", "/mnt/sharex", "ext4", None),
        ("/in/a", "/mnt/share/drop/a", "nfs4", "nfs4"),
        ("/mnt/share/link/./x//y/../z", "/mnt/share/link/x/z", "nfs4", "nfs4"),
        ("/mnt/share/disk/x", "/mnt/share/disk/x", "ext4", "nfs4"),
        ("/auto/x", "/auto/x", "autofs", "autofs"),
        ("/mnt/twice/x", "/mnt/twice/x", "fuse.sshfs", "fuse.sshfs"),
    ],
)
def test_where_a_path_leads_is_told_by_the_table(path, real, filesystem, network):
    """Links are followed on local disks; what lies behind a network mount on the way is on the network."""
    place, _ = find(path)
    assert (place.path, place.mount.filesystem) == (real, filesystem)
    assert (place.network.filesystem if place.network else None) == network


@pytest.mark.parametrize("path", ["/mnt/share/a/b", "/in/a", "/auto/x", "/mnt/share/disk/x"])
def test_nothing_on_a_network_is_asked_for(path):
    """Not even the mount point itself: a look at it may never return."""
    _, asked = find(path)
    assert not [each for each in asked if each.startswith(("/mnt/share", "/auto"))]


def test_a_link_to_itself_ends():
    """As the system does, links are followed forty times at most."""
    place, asked = find("/round/x")
    assert place.path == "/round/x"
    assert len(asked) <= 42


def test_a_path_that_leaves_the_network_is_still_on_the_way_through_it():
    """`..` behind a share is what it says only where no link is."""
    assert find("/mnt/share/../../srv")[0].path == "/srv"


def test_without_a_table_nothing_is_on_a_network():
    """A system without /proc has no network file systems that could be told."""
    place = place_of("/srv/x", "", lambda _: None)
    assert (place.path, place.mount.id, place.network) == ("/srv/x", 0, None)


def test_the_root_of_a_users_container_is_local():
    """fuse-overlayfs is a disk of this machine, although it is a FUSE."""
    assert not is_network("fuse.fuse-overlayfs")
    assert is_network("autofs")
