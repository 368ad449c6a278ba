import os
import subprocess
from pathlib import Path

import pytest

from attachd.core.settings import Watch
from attachd.errors import LedgerError
from attachd.folders.mounts import Mount, filesystem_of
from attachd.folders.root import Root, judge

DISK = Mount(id=1, filesystem="ext4", point="/mnt/in", source="/dev/sdb1", part="/")
SHARE = Mount(id=2, filesystem="nfs4", point="/mnt/in", source="nas:/in", part="/")
PLAIN = Mount(id=3, filesystem="ext4", point="/", source="/dev/sda1", part="/")


@pytest.mark.parametrize(
    ("now", "before", "seen_on", "words"),
    [
        (PLAIN, None, "nfs4", "a plain directory (ext4) stands where a share (nfs4) was"),
        (PLAIN, SHARE, "nfs4", "a plain directory (ext4) stands where a share (nfs4) was"),
        (PLAIN, DISK, "ext4", "mounted at / now, and lay on what was mounted at /mnt/in"),
        (
            Mount(id=1, filesystem="ext4", point="/mnt/in", source="/dev/sdc1", part="/"),
            DISK,
            "ext4",
            "/dev/sdc1 (ext4) is mounted there now instead of /dev/sdb1",
        ),
    ],
)
def test_what_lies_at_the_path_may_not_be_the_folder(now, before, seen_on, words):
    """A missing share, a missing disk and another disk are outages, each with its reason."""
    assert words in judge(now, before, seen_on)


@pytest.mark.parametrize(
    ("now", "before", "seen_on"),
    [
        (PLAIN, None, "ext4"),
        (SHARE, None, "nfs4"),
        (SHARE, None, "ext4"),
        (SHARE, Mount(id=9, filesystem="nfs4", point="/mnt/in", source="nas:/in", part="/"), "nfs4"),
        (DISK, DISK, "xfs"),
    ],
)
def test_what_was_mounted_again_is_the_folder(now, before, seen_on):
    """A new mount id alone is no outage, and neither is a first look at a local disk."""
    assert judge(now, before, seen_on) == ""


def test_a_directory_made_anew_is_noticed(root):
    """Watches set on the old directory see nothing of the new one."""
    folder = Root(str(root), "ext4")
    assert folder.check().is_new
    assert not folder.check().is_new
    root.rename(root.with_name("old"))
    assert "ENOENT" in folder.check().problem
    assert "ENOENT" in folder.problem()
    root.mkdir()
    assert folder.check().is_new
    assert folder.problem() == ""


def test_a_missing_folder_is_out_until_it_comes(root, watch, intake, until):
    """Nothing crashes; when it appears it is watched and scanned at once."""
    root.rmdir()
    folder = watch()
    until(lambda: "ENOENT" in folder.health().detail)
    health = folder.health()
    assert (health.is_out, health.healthy, health.is_idle) == (True, False, False)
    assert not folder.is_in_place()
    root.mkdir()
    (root / "a").write_text("a")
    until(lambda: intake.paths == ["a"] and folder.health().is_idle)
    assert folder.health().healthy
    assert folder.is_in_place()
    (root / "b").write_text("b")
    until(lambda: intake.paths == ["a", "b"])
    assert folder.health().found_by_hint == 1


def test_nothing_vanishes_while_the_folder_is_out(root, watch, intake, until):
    """A folder that is away takes no file with it, and an empty one in the same place does."""
    (root / "a").write_text("a")
    folder = watch(rescan=0.05)
    until(lambda: folder.health().is_idle and intake.paths == ["a"])
    root.rename(root.with_name("away"))
    until(lambda: folder.health().is_out)
    folder.scan_now()
    until(lambda: not folder._mailbox.has_post)
    assert intake.gone_paths == []
    root.with_name("away").rename(root)
    until(lambda: folder.health().is_idle)
    assert (intake.paths, intake.gone_paths) == (["a"], [])
    (root / "a").unlink()
    root.rmdir()
    root.mkdir()
    until(lambda: intake.gone_paths == ["a"])


def test_a_folder_made_anew_is_watched_anew(root, watch, intake, until):
    """Removed and recreated between two looks, it brings events again."""
    folder = watch()
    until(lambda: folder.health().is_idle)
    for name in ("a", "b"):
        root.rename(root.with_name(f"old-{name}"))
        root.mkdir()
        (root / name).write_text(name)
        until(lambda name=name: name in intake.paths)
    until(lambda: folder.health().is_idle)
    (root / "c").write_text("c")
    until(lambda: "c" in intake.paths)
    assert folder.health().watch == "events"


def test_a_file_in_the_folders_place_is_an_outage(root, watch, until):
    """What is no directory is said to be none."""
    root.rmdir()
    root.write_text("a file")
    folder = watch()
    until(lambda: "not a directory (ENOTDIR)" in folder.health().detail)
    assert folder.health().is_out


def test_a_plain_directory_in_a_shares_place_is_out(root, watch, intake, until):
    """A folder once seen on a network file system is not its empty mount point."""
    (root / "a").write_text("a")
    folder = watch(filesystem="nfs4")
    until(lambda: "stands where a share (nfs4) was" in folder.health().detail)
    assert intake.files == []


def test_a_ledger_that_does_not_answer_holds_the_folder_until_it_does(root, watch, ledger, intake, until):
    """The folder says so, and goes on by itself."""
    ledger.fails = LedgerError("disk full")
    (root / "a").write_text("a")
    folder = watch()
    until(lambda: folder.health().detail == "the ledger does not answer: disk full")
    assert (folder.health().healthy, folder.health().is_out) == (False, False)
    ledger.fails = None
    until(lambda: folder.health().is_idle)
    assert intake.paths == ["a"]


@pytest.fixture
def mounted(root):
    """Bind another directory over the folder, and give what takes it away and puts it back."""
    content = root.with_name("content")
    content.mkdir()

    def bind():
        return subprocess.run(["mount", "--bind", content, root], check=False, capture_output=True)

    def unbind():
        subprocess.run(["umount", root], check=True)

    if os.geteuid() or bind().returncode:
        pytest.skip("mounting needs root and CAP_SYS_ADMIN")
    yield bind, unbind
    while f" {root} " in Path("/proc/self/mountinfo").read_text():
        unbind()


def test_an_unmounted_folder_is_out_and_is_taken_up_again(root, mounted, watch, intake, until):
    """The empty mount point has the same file system and device, and is not the folder."""
    bind, unbind = mounted
    (root / "a").write_text("a")
    folder = watch(rescan=0.05)
    until(lambda: folder.health().is_idle and intake.paths == ["a"])
    unbind()
    until(lambda: folder.health().is_out)
    assert "lay on what was mounted at" in folder.health().detail
    assert not folder.is_in_place()
    bind()
    until(lambda: folder.health().is_idle)
    assert (intake.paths, intake.gone_paths) == (["a"], [])
    (root / "b").write_text("b")
    until(lambda: "b" in intake.paths)


def test_the_file_system_decides_between_events_and_scan(root, watch, until):
    """`auto` watches a local folder for events; `events` and `scan` are obeyed."""
    assert filesystem_of(str(root)) != "nfs4"
    for wanted, shown in ((Watch.AUTO, "events"), (Watch.EVENTS, "events"), (Watch.SCAN, "scan")):
        folder = watch(watch=wanted)
        until(lambda folder=folder: folder.health().is_idle)
        assert folder.health().watch == shown
