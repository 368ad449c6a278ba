"""What is mounted somewhere below a folder: a disk gets its watches, a share makes a far one of all of it."""

import os
import subprocess

import pytest

from attachd.core import mounts as core_mounts
from attachd.core.mounts import Mount, is_share, place_of
from attachd.folders.root import judge

TABLE = """\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 8:2 / /srv/in/disk rw - ext4 /dev/sdb1 rw
3 1 0:40 / /srv/in/a/share rw - nfs4 nas:/in rw
4 1 0:41 / /srv/innings rw - fuse.sshfs host:/x rw
"""


@pytest.fixture
def mount(root):
    """Mount a file system in memory below the folder; after the test there is none."""
    point = root / "sub"
    point.mkdir()

    def over(filesystem="tmpfs"):
        command = ["mount", "-t", filesystem, filesystem, point]
        done = subprocess.run(command, check=False, capture_output=True, timeout=60)
        if done.returncode:
            assert not os.environ.get("CI"), done.stderr
            pytest.skip(f"nothing can be mounted here: {done.stderr!r}")

    yield over
    subprocess.run(["umount", "-l", point], check=False, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("path", "below", "far"),
    [
        ("/srv/in", ["/srv/in/disk", "/srv/in/a/share"], "/srv/in/a/share"),
        ("/srv/in/disk", [], None),
        ("/srv/in/a", ["/srv/in/a/share"], "/srv/in/a/share"),
        ("/srv/in/a/share/x", [], "/srv/in/a/share"),
        ("/", ["/srv/in/disk", "/srv/in/a/share", "/srv/innings"], "/srv/in/a/share"),
    ],
)
def test_the_table_tells_what_a_walk_would_meet(path, below, far):
    """A share on the way or below; names that merely begin alike do not count."""
    place = place_of(path, TABLE, lambda _: None)
    assert [each.point for each in place.below] == below
    assert (place.far.point if place.far else None) == far


def test_what_is_mounted_below_is_watched_and_scanned(root, watch, intake, mount, until):
    """No watch that was set before reaches into it."""
    folder = watch()
    until(lambda: folder.health().is_idle and folder.health().watches == 2)
    mount()
    (root / "sub" / "dir").mkdir()
    (root / "sub" / "dir" / "first").touch()
    until(lambda: intake.paths == ["sub/dir/first"])
    until(lambda: folder.health().watches == 3)
    (root / "sub" / "dir" / "second").touch()
    until(lambda: intake.paths == ["sub/dir/first", "sub/dir/second"])
    assert intake.files[-1].found_by_hint


def test_a_folder_with_a_share_below_is_left_to_processes(root, watch, intake, mount, until, monkeypatch):
    """Its walk ends where the share hangs; once that is gone, the folder is watched as before."""
    folder = watch(rescan=0.1)
    until(lambda: folder.health().is_idle)
    assert folder.health().watch == "events"
    monkeypatch.setattr(core_mounts, "_NETWORK", {"ramfs"})
    mount("ramfs")
    until(lambda: folder.health().watch == "scan")
    assert "a network file system is mounted below it" in folder.health().detail
    assert folder.health().healthy
    (root / "sub" / "there").touch()
    until(lambda: intake.paths == ["sub/there"])
    subprocess.run(["umount", "-l", root / "sub"], check=True, timeout=60)
    until(lambda: folder.health().watch == "events" and not folder.health().detail)


def test_a_disk_behind_an_automount_is_the_folder():
    """`autofs` was all that could be told of the place before it was touched for the first time."""
    disk = Mount(id=7, filesystem="ext4", point="/media/in", source="/dev/sdb1", part="/")
    assert judge(disk, None, "autofs") == ""
    assert "a plain directory (ext4)" in judge(disk, None, "nfs4")
    assert is_share("nfs4")
    assert not is_share("autofs")
