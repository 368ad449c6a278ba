"""What hints lose is found within one rescan: floods, brand-new directories, full queues, no watches left."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from attachd.core.settings import Watch

pytestmark = pytest.mark.slow
COUNT = 10_000

LIMITED = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import Intake, MemoryLedger, SystemClock
from attachd.core.noise import Noise
from attachd.core.settings import Existing, FolderSettings
from attachd.folders.watch import FolderWatch
from attachd.model import FolderRecord

root = Path(sys.argv[1])
ledger = MemoryLedger()
intake = Intake(ledger)
clock = SystemClock()
record = FolderRecord(
    id=1, path=str(root), filesystem="ext4", first_started_at=clock.now(), first_scan_done=False
)
settings = FolderSettings(path=str(root), existing=Existing.UPLOAD, rules=(), settle=0.1, rescan=0.5)
folder = FolderWatch(settings, record, ledger, intake, clock, Noise(()), pulse=0.05)
folder.start()
ends_at = time.monotonic() + 60

def until(condition):
    while not condition():
        assert time.monotonic() < ends_at, folder.health()
        time.sleep(0.01)

until(lambda: folder.health().is_idle)
print("said", folder.health().watches, folder.health().watch_limit, folder.health().detail)
for number in range(20):
    (root / f"d{number}" / "file").touch()
until(lambda: len(set(intake.paths)) == 20)
print("said found", len(intake.files))
folder.stop(60)
"""


@pytest.fixture
def check_none_missed(watch, intake, until):
    """Watch a folder with a rescan far away, let something happen, and wait for so many files."""

    def take(happen, count, **settings):
        folder = watch(**({"settle": 0.3, "rescan": 3600.0} | settings))
        until(lambda: folder.health().is_idle)
        happen()
        until(lambda: len({file.path for file in list(intake.files)}) >= count)
        until(lambda: folder.health().is_idle)
        assert len(set(intake.paths)) == count
        return folder

    return take


def test_ten_thousand_files_written_flat_out(root, check_none_missed):
    """None is missed, and no rescan is waited for."""

    def write():
        for number in range(COUNT):
            (root / str(number)).write_bytes(b"x")

    check_none_missed(write, COUNT)


def test_ten_thousand_files_written_and_renamed_flat_out(root, check_none_missed):
    """What careful writers do, and what watchdog loses half of."""

    def write():
        for number in range(COUNT):
            temporary = root / f".{number}"
            temporary.write_bytes(b"x")
            temporary.rename(root / str(number))

    check_none_missed(write, COUNT)


def test_files_in_directories_made_during_the_burst(root, check_none_missed):
    """Their close is never told: the directory was younger than its watch."""

    def write():
        for number in range(2000):
            directory = root / f"d{number % 100}" / "deep"
            directory.mkdir(parents=True, exist_ok=True)
            (directory / str(number)).write_bytes(b"x")

    check_none_missed(write, 2000)


def test_a_large_tree_moved_in(root, tmp_path, check_none_missed):
    """One event for its top, and none for what is in it."""
    for number in range(1000):
        directory = tmp_path / "tree" / f"d{number % 50}" / "deep"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / str(number)).write_bytes(b"x")
    check_none_missed(lambda: (tmp_path / "tree").rename(root / "tree"), 1000)


def test_a_share_without_events(root, check_none_missed):
    """Only scans see it: everything is there within one of them."""

    def write():
        for number in range(COUNT):
            (root / str(number)).write_bytes(b"x")

    folder = check_none_missed(write, COUNT, watch=Watch.SCAN, rescan=1.0)
    assert folder.health().found_by_scan == COUNT


def test_no_watches_left(root):
    """In a user namespace of its own, so that the machine keeps its limit: all is found, the number said."""
    for number in range(20):
        (root / f"d{number}").mkdir()
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-U", "-r", "true"], check=False).returncode:
        pytest.skip("this machine allows no user namespaces")
    inner = 'echo 3 >/proc/sys/user/max_inotify_watches && exec "$@"'
    command = [unshare, "-U", "-r", "sh", "-c", inner, "sh", sys.executable, "-c", LIMITED, str(root)]
    done = subprocess.run(
        [*command, str(Path(__file__).parent)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    first, last = (line for line in done.stdout.splitlines() if line.startswith("said "))
    assert first.startswith("said 3 3 18 directories bring no events")
    assert "max_user_watches is 3 and should be 1048576" in first
    assert last == "said found 20"
