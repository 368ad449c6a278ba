"""What the system refuses. Root is refused nothing, so as root a child without that right runs the test."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import json, sys
from attachd.errors import FileUnreadable
from attachd.folders.reading import open_settled
from attachd.folders.scan import scan
from attachd.model import Signs
import os

root = sys.argv[1]
batches = list(scan(root, "", known=lambda _: set(), ignores=lambda *_: False))
try:
    open_settled(root, "secret", Signs.of(os.lstat(f"{root}/secret")))
    refused = ""
except FileUnreadable as error:
    refused = str(error)
print(json.dumps({
    "found": sorted(found.path for batch in batches for found in batch.found),
    "troubles": {b.directory: b.trouble or b.odd_entry for b in batches if b.trouble or b.odd_entry},
    "refused": refused,
}))
"""

WATCH = """
import json, sys, time
from datetime import UTC, datetime
from attachd.core.noise import Noise
from attachd.core.settings import Existing, FolderSettings
from attachd.folders.watch import FolderWatch
from attachd.model import FolderRecord

class Clock:
    def now(self): return datetime.now(UTC)
    def monotonic(self): return time.monotonic()

class Ledger:
    def known(self, folder_id, directory): return set()
    def pending_paths(self, folder_id): return iter(())
    def noted_paths(self, folder_id): return iter(())
    def parked_paths(self, folder_id): return iter(())
    def finish_first_scan(self, folder_id): pass

class Sink:
    paths = []
    def settled(self, file): self.paths.append(file.path)

root = sys.argv[1]
now = datetime.now(UTC)
record = FolderRecord(id=1, path=root, filesystem="ext4", first_started_at=now, first_scan_done=False)
settings = FolderSettings(path=root, existing=Existing.UPLOAD, rules=(), settle=0.05)
folder = FolderWatch(settings, record, Ledger(), Sink(), Clock(), Noise(), pulse=0.05)
folder.start()
end = time.monotonic() + 20
while not (folder.health().is_idle or folder.health().is_out) and time.monotonic() < end:
    time.sleep(0.01)
health = folder.health()
folder.stop(5)
print(json.dumps({
    "paths": Sink.paths, "healthy": health.healthy, "out": health.is_out, "detail": health.detail
}))
"""

DROPPED = "-dac_override,-dac_read_search"


def without_the_right_to_read_everything():
    """Give the prefix of a command that file permissions hold for, or skip."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    prefix = [setpriv, f"--bounding-set={DROPPED}", f"--inh-caps={DROPPED}"] if setpriv else []
    if not prefix or subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        reason = "needs setpriv (util-linux) and the right to drop capabilities, or a user other than root"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return prefix


@pytest.fixture
def refused(root):
    """Run a program on the folder for which permissions hold, and give what it printed."""

    def run(program):
        prefix = without_the_right_to_read_everything()
        done = subprocess.run(
            [*prefix, sys.executable, "-c", program, str(root)], check=True, capture_output=True, text=True
        )
        return json.loads(done.stdout.splitlines()[-1])

    yield run
    for directory in (root, *(path for path in root.parent.rglob("*") if path.is_dir())):
        directory.chmod(0o700)


@pytest.fixture
def tree(root):
    """Make a folder with two closed directories, one that only lists, and an unreadable file."""
    for name in ("closed/a", "closed-too/b", "lists-only/c", "open/d", "secret"):
        file = Path(root / name)
        file.parent.mkdir(exist_ok=True)
        file.touch()
    (root / "closed").chmod(0)
    (root / "closed-too").chmod(0)
    (root / "lists-only").chmod(0o400)
    (root / "secret").chmod(0)


def test_what_cannot_be_read_is_a_problem_and_everything_else_goes_on(tree, refused):
    """Each closed directory is named with the system's reason, and an unreadable file says it is one."""
    told = refused(CHILD)
    assert told["found"] == ["open/d", "secret"]
    assert told["troubles"] == {
        "closed": "permission denied (EACCES)",
        "closed-too": "permission denied (EACCES)",
        "lists-only": "c cannot be looked at: permission denied (EACCES)",
    }
    assert told["refused"] == "permission denied (EACCES)"


def test_health_counts_the_directories_that_cannot_be_read(tree, refused):
    """The folder is unhealthy but not out, and its other files are uploaded."""
    told = refused(WATCH)
    assert (sorted(told["paths"]), told["healthy"], told["out"]) == (["open/d", "secret"], False, False)
    assert told["detail"].startswith("3 directories cannot be read, first ")


def test_a_folder_that_cannot_be_read_is_out(root, refused):
    """Nothing is known of its files, so nothing is gone."""
    root.chmod(0)
    told = refused(WATCH)
    assert (told["out"], told["paths"]) == (True, [])
    assert "permission denied (EACCES)" in told["detail"]
