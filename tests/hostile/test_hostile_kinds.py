import os
import socket
import stat
import subprocess

import pytest

pytestmark = pytest.mark.slow


def needs_root():
    """Skip where the machine's own rules keep a test from making what it needs."""
    if os.geteuid() != 0:
        pytest.skip("only root may make devices and mounts")


def test_links_at_every_level_are_listed_and_never_followed(bench, outside, nothing_leaked):
    """A link as a file, as a directory, to itself, dangling, absolute or relative: unmatched, unread."""
    bench.put("st/1/real.png", b"real")
    deep = bench.drop / "st/1/a/b/c"
    deep.mkdir(parents=True)
    links = {
        "link.png": outside.file,
        "st/1/link.png": "../../../outside/secret.png",
        "st/1/a/b/c/link.png": outside.file,
        "st/1/self.png": "self.png",
        "st/1/nowhere.png": "/no/such/file",
        "st/1/proc.png": "/proc/self/environ",
        "st/1/tree": outside.path,
        "st/1/up": "..",
        "out": outside.path,
    }
    for name, target in links.items():
        (bench.drop / name).symlink_to(target)
    done = bench.once("--deadline", "20s")
    assert done.returncode == 4, done.stderr
    assert bench.states() == {"st/1/real.png": "done"} | dict.fromkeys(links, "unmatched")
    assert len(bench.simulator.attachments) == 1
    nothing_leaked()


def test_pipes_sockets_and_devices_hold_nothing_up(bench, outside, nothing_leaked, monkeypatch):
    """What would block or act when it is opened is never opened, and everything else is delivered."""
    bench.put("st/1/real.png", b"real")
    odd = ["st/1/pipe.png", "st/1/socket.png"]
    os.mkfifo(bench.drop / odd[0])
    monkeypatch.chdir(bench.drop / "st/1")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
    done = bench.once("--deadline", "20s")
    assert done.returncode == 4, done.stderr
    assert bench.states() == {"st/1/real.png": "done"} | dict.fromkeys(odd, "unmatched")
    nothing_leaked()


def test_devices_are_never_opened(bench):
    """/dev/zero, /dev/tty and a block device under names of pictures are listed, and nothing hangs."""
    needs_root()
    devices = {
        "zero.png": (stat.S_IFCHR, 1, 5),
        "tty.png": (stat.S_IFCHR, 5, 0),
        "disk.png": (stat.S_IFBLK, 7, 0),
    }
    bench.put("st/1/real.png", b"real")
    for name, (kind, major, minor) in devices.items():
        try:
            os.mknod(bench.drop / "st/1" / name, kind | 0o666, os.makedev(major, minor))
        except PermissionError:
            pytest.skip("this machine refuses mknod")
    done = bench.once("--deadline", "20s")
    assert done.returncode == 4, done.stderr
    assert bench.states() == {"st/1/real.png": "done"} | {f"st/1/{name}": "unmatched" for name in devices}


def test_a_file_swapped_for_a_pipe_before_it_is_sent_hangs_nobody(bench):
    """A worker that opens what became a pipe returns at once, and says what it found."""
    bench.write_rules(url="http://127.0.0.1:9/graphql")
    file = bench.put("st/1/a.png", b"first a file")
    bench.put("st/1/b.png", b"stays one")
    assert bench.once("--deadline", "3s").returncode == 75
    file.unlink()
    os.mkfifo(file)
    bench.write_rules()
    done = bench.once("--deadline", "20s")
    assert done.returncode == 4, done.stderr
    assert bench.states()["st/1/b.png"] == "done"
    assert bench.states()["st/1/a.png"] in {"vanished", "unmatched"}
    assert len(bench.simulator.attachments) == 1


def test_a_hard_link_is_a_file_of_the_folder(bench, rules_with):
    """Nothing tells it from any other file: it is attached, and deleting takes this name only."""
    rules_with("after: delete")
    elsewhere = bench.directory / "elsewhere.bin"
    elsewhere.write_bytes(b"one file with two names")
    os.link(elsewhere, bench.drop / "linked.bin")
    done = bench.once("--deadline", "20s")
    assert done.returncode == 0, done.stderr
    assert len(bench.simulator.attachments) == 1
    assert not (bench.drop / "linked.bin").exists()
    assert elsewhere.read_bytes() == b"one file with two names"


def test_loops_of_links_and_mounts_end(bench, outside, nothing_leaked):
    """A link to a parent is no directory; a folder mounted into itself is read once more, not for ever."""
    bench.put("st/1/real.png", b"real")
    (bench.drop / "st/1/loop").symlink_to(bench.drop)
    (bench.drop / "a").symlink_to("b")
    (bench.drop / "b").symlink_to("a")
    done = bench.once("--deadline", "20s")
    assert done.returncode == 4, done.stderr
    assert bench.states() == {
        "st/1/real.png": "done",
        "st/1/loop": "unmatched",
        "a": "unmatched",
        "b": "unmatched",
    }
    nothing_leaked()


def test_a_folder_mounted_into_itself_is_no_loop(bench):
    """A bind mount of the folder below itself shows each file once more, and ends there."""
    needs_root()
    bench.put("st/1/real.png", b"real")
    inner = bench.drop / "again"
    inner.mkdir()
    mounted = subprocess.run(["mount", "--bind", bench.drop, inner], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this machine refuses mounts")
    try:
        done = bench.once("--deadline", "20s")
        states = bench.states()
    finally:
        subprocess.run(["umount", inner], check=True)
    assert done.returncode in {0, 4}, done.stderr
    assert states == {"st/1/real.png": "done", "again/st/1/real.png": "unmatched"}
