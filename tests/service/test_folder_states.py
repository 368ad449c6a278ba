"""Each way in which a folder can be out: `status` gives the reason, and it heals without a restart."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

CAPABILITIES = "-dac_override,-dac_read_search"
BOUND = ("setpriv", f"--bounding-set={CAPABILITIES}", f"--inh-caps={CAPABILITIES}")
"""Begins a command of root's for which the permissions of files hold."""

LIMITED = ("unshare", "-U", "-r", "sh", "-c", 'echo 3 >/proc/sys/user/max_inotify_watches && exec "$@"', "sh")
"""Begins a command that may watch three directories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """How a folder goes out and comes back, what is said of it, and how the service is begun."""

    leave: Callable[[], object]
    come_back: Callable[[], object]
    says: str
    prefix: tuple[str, ...] = ()


def skip(reason):
    assert not os.environ.get("CI"), reason
    pytest.skip(reason)


def possible(prefix):
    """Give the beginning of a command, or skip where it cannot be used."""
    if not shutil.which(prefix[0]) or subprocess.run([*prefix, "true"], check=False, timeout=60).returncode:
        skip(f"{prefix[0]} cannot be used here")
    return prefix


class Disk:
    """A disk in a file, made when it is mounted first."""

    def __init__(self, image):
        self._image = image
        self._points = []

    def mount(self, point):
        if os.geteuid():
            skip("mounting needs root")
        if not self._points:
            with self._image.open("wb") as file:
                file.truncate(16 * 1024 * 1024)
            subprocess.run(["mkfs.ext4", "-q", "-F", self._image], check=True, timeout=60)
        point.mkdir(exist_ok=True)
        done = subprocess.run(["mount", "-o", "loop", self._image, point], check=False, capture_output=True)
        if done.returncode:
            skip(f"nothing can be mounted here: {done.stderr!r}")
        self._points.append(point)

    def unmount(self, point):
        subprocess.run(["umount", "-l", point], check=True, timeout=60)

    def close(self):
        for point in self._points:
            while f" {point} " in Path("/proc/self/mountinfo").read_text():
                self.unmount(point)


@pytest.fixture
def disk(tmp_path):
    """Give a disk that can be mounted; after the test it is nowhere."""
    made = Disk(tmp_path / "disk")
    yield made
    made.close()


def renamed(bench, disk):
    aside = bench.directory / "aside"
    return Outage(
        leave=lambda: bench.drop.rename(aside), come_back=lambda: aside.rename(bench.drop), says="ENOENT"
    )


def refused(bench, disk, mode=0):
    return Outage(
        leave=lambda: bench.drop.chmod(mode),
        come_back=lambda: bench.drop.chmod(0o755),
        says="permission denied (EACCES)",
        prefix=() if os.geteuid() else possible(BOUND),
    )


def not_to_be_entered(bench, disk):
    return refused(bench, disk, mode=0o600)


def unmounted(bench, disk):
    disk.mount(bench.drop)
    return Outage(
        leave=lambda: disk.unmount(bench.drop),
        come_back=lambda: disk.mount(bench.drop),
        says="lay on what was mounted at",
    )


def mounted_elsewhere(bench, disk):
    first, second = bench.directory / "first", bench.directory / "second"
    disk.mount(first)
    (first / "in").mkdir()
    bench.drop.rmdir()
    bench.drop.symlink_to(first / "in")

    def come_back():
        disk.mount(second)
        bench.drop.unlink()
        bench.drop.symlink_to(second / "in")

    return Outage(leave=lambda: disk.unmount(first), come_back=come_back, says="ENOENT")


def state(bench):
    """Give what `status` says of the folder."""
    return json.loads(bench.call("status", "--json").stdout)["folders"][0]


@pytest.mark.parametrize(
    "kind",
    [renamed, refused, not_to_be_entered, unmounted, mounted_elsewhere],
    ids=lambda kind: kind.__name__,
)
def test_an_outage_is_told_and_heals(bench, disk, kind):
    """A file on its way waits for the folder, is sent once when that is back, and so is what came since."""
    outage = kind(bench, disk)
    process = bench.start(prefix=outage.prefix)
    bench.put("st/1/before.png", b"before")
    bench.wait_until(lambda: len(bench.attached()) == 1, "before")
    bench.simulator.fault(call="open", do={"status": 503}, times=100_000)
    bench.put("st/2/on-its-way.png", b"on its way")
    bench.wait_until(lambda: "st/2/on-its-way.png" in bench.states(), "on its way")
    outage.leave()
    bench.wait_until(lambda: outage.says in (state(bench)["detail"] or ""), outage.says)
    assert not state(bench)["healthy"]
    bench.simulator.clear_faults()
    states = bench.states()
    assert states.pop("st/1/before.png") == "done"
    assert set(states.values()) <= {"waiting", "ready", "active"}
    outage.come_back()
    bench.wait_until(lambda: state(bench)["healthy"], "healthy again")
    bench.put("st/3/after.png", b"after")
    bench.wait_until(
        lambda: set(bench.states().values()) == {"done"} and len(bench.states()) == 3, "all sent"
    )
    assert len(bench.attached()) == 3
    assert process.poll() is None
    assert bench.stop(process) == 0


def test_a_folder_that_is_removed_and_made_anew_goes_on(bench):
    """What was in it is gone, as it is; what is put into the new one is sent, the same path included."""
    process = bench.start()
    bench.put("st/1/a.png", b"first")
    bench.wait_until(lambda: len(bench.attached()) == 1, "first")
    shutil.rmtree(bench.drop)
    bench.wait_until(lambda: "ENOENT" in (state(bench)["detail"] or ""), "out")
    bench.drop.mkdir()
    bench.put("st/1/a.png", b"second")
    bench.wait_until(lambda: len(bench.attached()) == 2, "second")
    bench.wait_until(lambda: state(bench)["healthy"], "healthy again")
    assert set(bench.states().values()) == {"done"}
    assert bench.stop(process) == 0


def test_the_limit_of_watches_to_set_is_told(bench):
    """`status`, for people and for programs, and the log name the number; files are found all the same."""
    prefix = possible(LIMITED)
    for number in range(1, 6):
        bench.put(f"st/{number}/before.png", bytes([number]))
    process = bench.start(prefix=prefix)
    bench.wait_until(lambda: len(bench.attached()) == 5, "before")
    words = "fs.inotify.max_user_watches is 3 and should be 1048576"
    bench.wait_until(lambda: words in (state(bench)["detail"] or "") and state(bench)["directories"], words)
    found = state(bench)
    assert (found["healthy"], found["watches"], found["directories"], found["watch_limit"]) == (True, 3, 7, 3)
    assert words in " ".join(bench.call("status").stdout.split())
    bench.wait_until(lambda: "watch_limit_reached" in bench.log(), "the log")
    (line,) = (line for line in bench.log().splitlines() if "watch_limit_reached" in line)
    assert words in line
    for number in range(1, 6):
        bench.put(f"st/{number}/after.png", bytes([number, number]))
    bench.wait_until(lambda: len(bench.attached()) == 10, "after")
    assert bench.stop(process) == 0


def watches(process):
    """Count the directories that the kernel watches for a process, proc(5)."""
    infos = Path(f"/proc/{process.pid}/fdinfo").iterdir()
    return sum(info.read_text().count("inotify wd:") for info in infos)


def test_a_directory_that_is_opened_later_brings_events(bench):
    """`install -d` makes it closed and opens it then: what comes after that is found long before a rescan."""
    bench.rules.write_text(bench.rules.read_text().replace("rescan: 1s", "rescan: 1h"))
    bench.put("st/1/a.png", b"first")
    process = bench.start(prefix=() if os.geteuid() else possible(BOUND))
    bench.wait_until(lambda: len(bench.attached()) == 1, "first")
    closed = bench.drop / "st/2"
    closed.mkdir(mode=0)
    bench.put("st/1/b.png", b"second")
    bench.wait_until(lambda: len(bench.attached()) == 2, "all events until then are handled")
    assert watches(process) == 3
    closed.chmod(0o755)
    bench.wait_until(lambda: watches(process) == 4, "watched")
    bench.put("st/2/c.png", b"third")
    bench.wait_until(lambda: len(bench.attached()) == 3, "third")
    assert bench.stop(process) == 0
