import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from attachd.core.mounts import Mount
from attachd.core.settings import RequireMount
from attachd.folders import mounts, reach
from attachd.folders.root import Identity, Root, identify, is_moved, judge

PLAIN = Mount(id=1, filesystem="ext4", point="/", source="/dev/sda1", part="/")
SHARE = Mount(id=2, filesystem="nfs4", point="/mnt/in", source="nas:/in", part="/")
DISK = Mount(id=3, filesystem="ext4", point="/mnt/in", source="/dev/sdb1", part="/", volume=7)


@pytest.mark.parametrize(
    ("now", "before", "seen_on", "require", "words"),
    [
        (PLAIN, None, "ext4", RequireMount.TRUE, "nothing is mounted there"),
        (DISK, None, "ext4", RequireMount.TRUE, ""),
        (SHARE, PLAIN, "ext4", RequireMount.TRUE, ""),
        (PLAIN, None, "nfs4", RequireMount.FALSE, ""),
        (PLAIN, SHARE, "nfs4", RequireMount.FALSE, ""),
        (PLAIN, None, "nfs4", RequireMount.AUTO, "a plain directory"),
        (SHARE, PLAIN, "ext4", RequireMount.AUTO, ""),
        (DISK, PLAIN, "ext4", RequireMount.AUTO, ""),
        (PLAIN, DISK, "ext4", RequireMount.AUTO, "lay on what was mounted at /mnt/in"),
    ],
)
def test_what_is_required_decides_what_is_the_folder(now, before, seen_on, require, words):
    """`auto` knows shares from before, `true` wants any mount, `false` takes what is there."""
    found = judge(now, before, seen_on, require)
    assert words in found
    assert bool(words) == bool(found)


@pytest.mark.parametrize(("volume", "same"), [(7, True), (8, False), (0, False)])
def test_a_disk_is_known_by_what_it_says_it_is(volume, same):
    """Under another device's name it is the same disk, if its file system says so."""
    other = Mount(id=9, filesystem="ext4", point="/mnt/in", source="/dev/sdc1", part="/", volume=volume)
    assert (judge(other, DISK, "ext4") == "") is same


@pytest.mark.parametrize(
    ("before", "changes", "same"),
    [
        (DISK, {"point": "/media/in", "source": "/dev/sdc1"}, True),
        (DISK, {}, False),
        (DISK, {"point": "/media/in", "volume": 8}, False),
        (DISK, {"point": "/media/in", "volume": 0}, False),
        (DISK, {"point": "/media/in", "part": "/below"}, False),
        (SHARE, {"point": "/media/in"}, True),
        (SHARE, {"point": "/media/in", "source": "nas:/out"}, False),
    ],
)
def test_what_is_mounted_elsewhere_is_known_by_its_disk_or_share(before, changes, same):
    """Another disk, another part of it, or one that does not say which it is, is not the folder."""
    was = Identity(mount=before, device=1, inode=2)
    assert is_moved(Identity(mount=replace(before, **changes), device=9, inode=2), was) is same


def test_a_folder_that_lies_on_the_same_disk_elsewhere_is_new_and_not_out():
    """Its watches are set anew; on another disk there it would be out."""
    moved = replace(DISK, point="/media/in")
    found = iter([DISK, moved, replace(DISK, volume=8)])
    folder = Root("/in", "ext4", look=lambda _: Identity(mount=next(found), device=1, inode=2))
    assert [folder.check().is_new for _ in range(2)] == [True, True]
    assert "lay on what was mounted at /media/in" in folder.check().problem


def test_a_directory_on_a_network_is_known_by_its_mount_alone(root, monkeypatch):
    """The numbers that FUSE gives it are no sign of another one."""
    monkeypatch.setattr(mounts, "mount_of", lambda _: SHARE)
    assert identify(str(root)) == Identity(mount=SHARE, device=0, inode=0)


def test_an_empty_mount_point_on_the_same_disk_is_not_the_folder():
    """A disk may be mounted on a directory of itself."""
    was = Identity(mount=DISK, device=1, inode=2)
    assert not is_moved(Identity(mount=replace(DISK, point="/"), device=1, inode=40), was)


@pytest.fixture
def mount(root):
    """Mount something over the folder; it is gone after the test."""
    if os.geteuid():
        assert not os.environ.get("CI"), "mounting needs root"
        pytest.skip("mounting needs root")

    def over(*arguments):
        done = subprocess.run(["mount", *arguments, root], check=False, capture_output=True, timeout=60)
        if done.returncode:
            assert not os.environ.get("CI"), done.stderr
            pytest.skip(f"nothing can be mounted here: {done.stderr!r}")

    yield over
    while f" {root} " in Path("/proc/self/mountinfo").read_text():
        subprocess.run(["umount", "-l", root], check=True, timeout=60)


def unmount(root):
    subprocess.run(["umount", root], check=True, timeout=60)


def test_a_required_mount_is_waited_for(root, mount, watch, intake, until):
    """What lies in the plain directory is left alone; what is mounted is taken up, and missed again."""
    (root / "below").touch()
    folder = watch(require_mount=RequireMount.TRUE, rescan=0.05)
    until(lambda: "nothing is mounted there" in folder.health().detail)
    mount("-t", "tmpfs", "tmpfs")
    (root / "a").touch()
    until(lambda: intake.paths == ["a"] and folder.health().healthy)
    unmount(root)
    until(lambda: folder.health().is_out)
    assert (intake.paths, intake.gone_paths) == (["a"], [])


def test_a_disk_under_another_device_name_is_the_folder(root, mount, watch, intake, until, tmp_path):
    """Unplugged and plugged in again, it is recognised by its file system; another disk is not."""
    images = [tmp_path / name for name in ("disk", "other")]
    for image in images:
        with image.open("wb") as file:
            file.truncate(16 * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, timeout=60)
    mount("-o", "loop", str(images[0]))
    (root / "a").touch()
    folder = watch(rescan=0.05)
    until(lambda: intake.paths == ["a"] and folder.health().is_idle)
    unmount(root)
    until(lambda: folder.health().is_out)
    mount("-o", "loop", str(images[1]))
    until(lambda: "is mounted there now instead of" in folder.health().detail, 20.0)
    unmount(root)
    taken = subprocess.run(["losetup", "-f", "--show", images[1]], check=True, capture_output=True, text=True)
    try:
        mount("-o", "loop", str(images[0]))
        (root / "b").touch()
        until(lambda: intake.paths == ["a", "b"] and folder.health().healthy)
    finally:
        subprocess.run(["losetup", "-d", taken.stdout.strip()], check=True, timeout=60)
    assert intake.gone_paths == []


def test_a_share_seen_for_the_first_time_is_remembered(root, watch, ledger, until, monkeypatch):
    """A folder that was a plain directory is one that needs its mount from then on."""
    monkeypatch.setattr(reach, "identify", _as_a_share(reach.identify))
    folder = watch()
    until(lambda: folder.health().healthy and folder.health().is_idle)
    assert ledger.filesystem == "nfs4"


def _as_a_share(identify):
    def instead(path):
        found = identify(path)
        mount = Mount(id=found.mount.id, filesystem="nfs4", point="/mnt", source="nas:/in", part="/")
        return type(found)(mount=mount, device=found.device, inode=found.inode)

    return instead
