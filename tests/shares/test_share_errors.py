"""A share that answers with errors instead of files: each is told by its name, and is over by itself."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

SERVER = Path(__file__).with_name("erring_server.py")


class ErringShare:
    """A directory shown by a server of ours, which answers with an error while it is told to."""

    def __init__(self, place):
        self.directory, self.mount_point = place / "srv", place / "share"
        self._mood = place / "mood"
        self.directory.mkdir()
        self._mood.touch()
        self._server = None

    @property
    def is_mounted(self):
        return f" {self.mount_point} " in Path("/proc/self/mountinfo").read_text()

    def mount(self):
        self.mount_point.mkdir(exist_ok=True)
        command = [sys.executable, SERVER, self.directory, self.mount_point, self._mood]
        self._server = subprocess.Popen(command)

    def fail(self, number):
        """Answer every request with this error; 0: with what was asked for."""
        fresh = self._mood.with_suffix(".new")
        fresh.write_text(str(number))
        fresh.replace(self._mood)

    def kill(self):
        """End the server, so that the kernel answers ENOTCONN for it."""
        self._server.kill()
        self._server.wait(60)

    def move_to(self, point):
        """Mount it elsewhere."""
        self.kill()
        self.unmount()
        self.mount_point = point
        self.mount()

    def unmount(self):
        while self.is_mounted:
            subprocess.run(["umount", "-l", self.mount_point], check=False, timeout=60)


@pytest.fixture
def erring(tmp_path, bench_on):
    """Mount a share that can be told to fail, and give it with a service on it."""
    if os.geteuid() or not Path("/dev/fuse").exists():
        assert not os.environ.get("CI"), "a file system of our own needs root and /dev/fuse"
        pytest.skip("a file system of our own needs root and /dev/fuse")
    share = ErringShare(tmp_path)
    share.mount()
    try:
        bench = bench_on(share)
        bench.wait_until(lambda: share.is_mounted, "mounted")
        yield share, bench
    finally:
        share.kill()
        share.unmount()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ESTALE, "stale file handle (ESTALE)"),
        (errno.EACCES, "permission denied (EACCES)"),
        (errno.EIO, "input/output error (EIO)"),
        (errno.EHOSTDOWN, "host is down (EHOSTDOWN)"),
    ],
    ids=lambda value: errno.errorcode.get(value, ""),
)
def test_an_error_of_a_share_is_told_and_passes(erring, number, words):
    """Met while a file is on its way: nothing vanishes, is held or doubled, and nobody else waits."""
    share, bench = erring
    process = bench.start_well()
    usual = bench.seconds_until_attached("local", "usual")
    bench.write("share", "large", os.urandom(8_000_000))
    bench.wait_until(lambda: bench.simulator.call_counts["put"] == 3, "the PUT of large is under way")
    share.fail(number)
    bench.wait_until(bench.says("share", words))
    bench.write("share", "meanwhile")
    assert bench.seconds_until_attached("local", "local") < usual + 5.0  # shares the line with the large one
    assert bench.folder("local")["healthy"]
    assert {"done", *bench.states()} <= {"done", "active", "ready", "waiting"}
    share.fail(0)
    bench.end_well(process)


def test_numbers_that_change_make_no_other_folder(erring):
    """What FUSE says of a directory's number is no sign that it was made anew: scans go on to their end."""
    _, bench = erring
    process = bench.start_well()
    scanned_at = bench.folder("share")["last_scan_at"]
    bench.wait_until(lambda: (bench.folder("share")["last_scan_at"] or "") > (scanned_at or ""), "scanned")
    assert bench.stop(process) == 0
    assert "folder_out" not in bench.log()
    assert "folder_back" not in bench.log()


def test_a_dead_mount_is_told_and_what_is_mounted_then_is_the_folder(erring):
    """The server is killed: neither the dead mount nor the empty directory below it is the folder."""
    share, bench = erring
    process = bench.start_well()
    share.kill()
    bench.wait_until(bench.says("share", "transport endpoint is not connected (ENOTCONN)"))
    bench.write("share", "meanwhile")
    share.unmount()
    bench.wait_until(bench.says("share", "a plain directory"))
    share.mount()
    bench.end_well(process)


def test_a_share_that_is_mounted_elsewhere_is_taken_up_again(erring):
    """The folder is a link to the share: where it leads to another mount point, it is the same share."""
    share, bench = erring
    link = share.mount_point
    share.move_to(link.with_name("one"))
    link.rmdir()
    link.symlink_to("one")
    bench.wait_until(lambda: share.is_mounted, "one")
    process = bench.start_well()
    share.move_to(link.with_name("two"))
    bench.wait_until(bench.says("share", "a plain directory"))
    bench.write("share", "meanwhile")
    link.unlink()
    link.symlink_to("two")
    bench.end_well(process)


def test_a_killed_sshfs_is_told_and_heals(bench):
    """It leaves a dead mount behind, over which it is mounted anew; three times while files come."""
    process = bench.start_well()
    usual = bench.seconds_until_attached("local", "usual")
    for number in range(3):
        bench.share.kill_mount()
        bench.wait_until(bench.says("share", "transport endpoint is not connected (ENOTCONN)"))
        bench.write("share", f"meanwhile-{number}")
        assert bench.seconds_until_attached("local", f"local-{number}") < usual + 2.0
        bench.share.unmount()
        bench.share.mount()
        bench.wait_until(lambda number=number: f"meanwhile-{number}" in bench.names())
    bench.end_well(process)
