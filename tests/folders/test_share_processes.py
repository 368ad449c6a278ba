"""A folder that another process touches: the same answers, and none that is waited for in vain."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from attachd.core.settings import Watch
from attachd.errors import FileChanged, FileGone, FileUnreadable, NotRegular
from attachd.folders import reach, share_channel, shares, walk
from attachd.folders.root import Root
from attachd.folders.share_channel import ShareSilent
from attachd.model import Signs

SILENCE = 3.0

SLOW = """
import sys, time
from pathlib import Path
from attachd.folders.share_process import answer_all

class Sink:
    def write(self, block):
        while Path(sys.argv[1]).exists():
            time.sleep(0.01)
        sys.stdout.buffer.write(block)

    def flush(self):
        sys.stdout.buffer.flush()

answer_all(sys.stdin.buffer, Sink())
"""


@pytest.fixture
def hang(tmp_path, monkeypatch):
    """While this file exists, the processes of shares answer nothing; after a moment they are given up."""
    flag = tmp_path / "hang"
    monkeypatch.setattr(share_channel, "PROGRAM", (sys.executable, "-c", SLOW, str(flag)))
    monkeypatch.setattr(shares.SHARES, "silence", SILENCE)
    monkeypatch.setattr(shares, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(shares, "IN_DOUBT", 1.0)
    yield flag
    flag.unlink(missing_ok=True)


@pytest.fixture(params=["near", "far"])
def folder(root, request):
    """Give a folder that is touched by this process, and one that is touched by another."""
    shares.SHARES.look(str(root), is_share=request.param == "far")
    return str(root)


@pytest.fixture
def far(root, hang):
    """Give a folder that is touched by another process, which may hang."""
    reach.choose(str(root), is_share=True)
    return str(root)


@pytest.fixture
def far_watch(watch, hang, monkeypatch):
    """Watch `root` as if it were a share."""
    monkeypatch.setattr(Root, "should_be_share", True)
    return watch


def facts(found):
    return (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_blocks)


def test_looks_and_lists_are_the_same_from_both_sides(root, folder):
    """Names that are no text, sparse files and times before 1970 come through as they are."""
    (root / "a").write_text("hello")
    (root / "sub").mkdir()
    odd = os.fsdecode(b"\xff\n")
    (root / odd).touch()
    os.utime(root / odd, ns=(-5, -5))
    os.truncate(root / "a", 1 << 40)
    for name in ("a", "sub", odd, ""):
        assert facts(reach.look(folder, name)) == facts((root / name).lstat())
    with reach.listing(folder, "") as entries:
        found = {entry.name: facts(entry.stat(follow_symlinks=False)) for entry in entries}
    assert found == {each.name: facts(each.lstat()) for each in root.iterdir()}
    assert reach.identify(folder).inode == root.stat().st_ino


def test_a_directory_of_many_entries_comes_whole(root, folder):
    """It takes several answers."""
    for number in range(1300):
        (root / str(number)).touch()
    with reach.listing(folder, "") as entries:
        assert len({entry.name for entry in entries}) == 1300
    with reach.listing(folder, "") as entries:
        next(entries)
    assert reach.look(folder, "0").st_size == 0


def test_a_file_is_read_the_same_from_both_sides(root, folder):
    """From the start, from the middle, again, and to its hash."""
    content = os.urandom(3 * 1024 * 1024 + 1)
    (root / "a").write_bytes(content)
    signs = Signs.of((root / "a").lstat())
    with reach.open_settled(folder, "a", signs) as file:
        assert file.sha256() == hashlib.sha256(content).hexdigest()
        file.rewind()
        assert file.read(5) == content[:5]
        assert file.read_at(1000, 7) == content[1000:1007]
        assert file.read(5) == content[5:10]
        assert not file.has_hole()
    reach.look_again(folder, "a", signs)


def test_errors_are_the_same_from_both_sides(root, folder):
    """What is gone, changed, no file, or a folder that is not there has its own error."""
    (root / "a").write_text("a")
    (root / "link").symlink_to("a")
    signs = Signs.of((root / "a").lstat())
    for path, error in (("no", FileGone), ("link", NotRegular), ("../x", NotRegular)):
        with pytest.raises(error):
            reach.open_settled(folder, path, signs)
    (root / "a").write_text("aa")
    with pytest.raises(FileChanged):
        reach.open_settled(folder, "a", signs)
    with pytest.raises(FileChanged):
        reach.look_again(folder, "a", signs)
    with pytest.raises(FileGone), reach.listing(folder, "no") as entries:
        next(entries)
    (root / "a").unlink()
    (root / "link").unlink()
    root.rmdir()
    with pytest.raises(walk.RootOut, match="ENOENT"):
        reach.identify(folder)


def test_the_process_has_nothing_of_ours(far):
    """Two pipes and a sink for its errors: no ledger, no lock, no socket, and a session of its own."""
    with open(far + "/held", "w"), shares.SHARES.of(far).channel() as channel:  # noqa: PTH123
        channel.ask("identify", root=far)
        pid = channel.process.pid
        links = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
        assert len(links) == 3
        assert "/dev/null" in links
        assert os.getsid(pid) == pid


def test_it_ends_when_we_are_gone(tmp_path):
    """However we ended: nothing of it is left over."""
    program = (
        "import sys; from attachd.folders import shares\n"
        f"with shares.Share({str(tmp_path)!r}, 9).channel() as c:\n"
        f"  c.ask('identify', root={str(tmp_path)!r}); print(c.process.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as ours:
        pid = int(ours.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        ours.kill()
    end = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_one_that_dies_is_replaced(root, far):
    """Its request fails as the look at a folder that is out, and the next one is answered."""
    with shares.SHARES.of(far).channel() as channel:
        channel.process.send_signal(signal.SIGKILL)
        with pytest.raises(walk.RootOut, match="ended"):
            channel.ask("identify", root=far)
    assert reach.identify(far).inode == root.stat().st_ino


def test_a_file_that_does_not_come_is_no_hang_of_the_folder(root, far, hang):
    """Only the folder's own thread says that; a worker's request fails alone."""
    (root / "a").touch()
    signs = Signs.of((root / "a").lstat())
    failures = []

    def work():
        try:
            reach.open_settled(far, "a", signs)
        except FileUnreadable as error:
            failures.append(str(error))

    hang.touch()
    worker = threading.Thread(target=work)
    worker.start()
    worker.join(30)
    assert failures == ["hung: the server did not answer for 3 seconds"]
    hang.unlink()
    assert reach.identify(far).inode == root.stat().st_ino


def test_a_share_that_hangs_refuses_everybody_at_once(root, far, hang):
    """The folder's thread waits once; then nobody waits, until a try now and then is answered."""
    hang.touch()
    with pytest.raises(ShareSilent):
        reach.identify(far)
    refused = []

    def ask():
        try:
            reach.look(far, "")
        except FileUnreadable as error:
            refused.append(str(error))

    worker = threading.Thread(target=ask)
    began = time.monotonic()
    worker.start()
    worker.join(30)
    assert refused == ["hung: the server did not answer for 3 seconds"]
    assert time.monotonic() - began < 2.0
    hang.unlink()
    end = time.monotonic() + 30
    while True:
        try:
            assert reach.identify(far).inode == root.stat().st_ino
        except ShareSilent:
            assert time.monotonic() < end
        else:
            break
    worker = threading.Thread(target=ask)
    worker.start()
    worker.join(30)
    assert len(refused) == 1


def test_a_folder_that_hangs_is_out_and_heals(root, far_watch, intake, hang, until):
    """It says so, claims nothing, and goes on by itself; what came meanwhile is found."""
    folder = far_watch(rescan=0.1)
    (root / "a").write_text("a")
    until(lambda: intake.paths == ["a"])
    hang.touch()
    until(lambda: "the server has not answered for" in folder.health().detail)
    until(lambda: "hung: the server did not answer" in folder.health().detail)
    assert (folder.health().is_out, folder.health().healthy, folder.is_in_place()) == (True, False, False)
    assert folder.heart.silence() == 0.0
    (root / "b").write_text("b")
    hang.unlink()
    until(lambda: intake.paths == ["a", "b"] and folder.health().healthy)
    assert intake.gone_paths == []


def test_a_folder_that_hangs_is_stopped_at_once(root, far_watch, hang, until, monkeypatch):
    """Its thread does not wait out the server's silence."""
    monkeypatch.setattr(shares.SHARES, "silence", 60.0)
    folder = far_watch(rescan=0.1)
    until(lambda: folder.health().is_idle)
    hang.touch()
    until(lambda: "has not answered" in folder.health().detail)
    began = time.monotonic()
    assert folder.stop(30.0)
    assert time.monotonic() - began < 10.0


def test_events_are_not_asked_of_a_network(root, far_watch, until):
    """A watch would be a system call on it, and tells nothing of other hosts."""
    folder = far_watch(watch=Watch.EVENTS)
    until(lambda: folder.health().is_idle)
    assert folder.health().watch == "scan"
    assert "a network file system tells nothing" in folder.health().detail


def test_commands_wait_less_than_the_service(root, far, hang):
    """Whoever types one waits with it."""
    reach.close()
    hang.touch()
    with reach.impatient(0.2):
        shares.SHARES.look(far, is_share=True)
        with pytest.raises(ShareSilent, match=r"0\.2 seconds"):
            reach.identify(far)
    assert shares.SHARES.silence == SILENCE


def test_one_that_does_not_end_is_counted(root, far, hang, until):
    """People see how many hang with the server."""
    hang.touch()
    with pytest.raises(ShareSilent):
        reach.identify(far)
    share = shares.SHARES.known(far)
    until(lambda: not share.doubt())  # the one that was ended is gone
    with subprocess.Popen(["sleep", "60"]) as first, subprocess.Popen(["sleep", "60"]) as second:
        share._left.append(first)
        assert share.doubt() == "one process that asked it hangs with it"
        share._left.append(second)
        assert share.doubt() == "2 processes that asked it hang with it"
        for process in (first, second):
            process.kill()
            process.wait(30)
    assert share.doubt() == ""


def test_without_a_process_the_folder_is_out(root, far, monkeypatch):
    """The system may have none left."""
    monkeypatch.setattr(share_channel, "PROGRAM", ("/no/such/program",))
    with pytest.raises(walk.RootOut, match="no process for it can be started"):
        reach.identify(far)
