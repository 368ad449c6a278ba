import os
from datetime import UTC, datetime, timedelta

import pytest

from attachd.core.settings import Existing
from attachd.errors import LedgerError
from attachd.folders import existing
from attachd.folders.existing import ExistingFiles
from attachd.model import FolderRecord, Signs

STARTED = datetime(2026, 5, 4, 12, tzinfo=UTC)


def existing_files(kind=Existing.IGNORE, *, first_scan_done=False):
    """Make what tells the existing files of a folder that was first started at STARTED."""
    record = FolderRecord(
        id=1, path="/in", filesystem="ext4", first_started_at=STARTED, first_scan_done=first_scan_done
    )
    return ExistingFiles(kind, record)


def signs(seconds):
    """Make the signs of a file whose ctime lies so many seconds after the start."""
    return Signs(size=1, mtime_ns=1, ctime_ns=int((STARTED.timestamp() + seconds) * 1e9))


def test_only_what_changed_before_the_first_start_lay_there():
    """In doubt, within the grain of the kernel's clock, a file is not taken for existing."""
    files = existing_files()
    assert files.covers("a", signs(-1))
    assert not files.covers("a", signs(-0.01))
    assert not files.covers("a", signs(1))


def test_a_hint_for_a_file_or_a_directory_above_it_makes_it_new():
    """A directory moved in keeps the ctime of its files: only the hint tells."""
    files = existing_files()
    files.note_hint("in/tray")
    assert not files.covers("in/tray", signs(-9))
    assert not files.covers("in/tray/deep/a", signs(-9))
    assert files.covers("in/tra", signs(-9))
    assert files.covers("in/tray2", signs(-9))


def test_too_many_hints_put_every_file_in_doubt(monkeypatch):
    """When the hints cannot be remembered, every file is uploaded."""
    monkeypatch.setattr(existing, "MEMORY", 2)
    files = existing_files()
    for path in "abc":
        files.note_hint(path)
    assert not files.is_wanted
    assert not files.covers("d", signs(-9))


def test_nothing_is_existing_where_everything_is_uploaded():
    """`existing: upload`, or a first scan that is done, asks for nothing."""
    for files in (existing_files(Existing.UPLOAD), existing_files(first_scan_done=True)):
        files.note_hint("a")
        assert not files.covers("b", signs(-9))


@pytest.fixture
def later():
    """Give a first start that lies after every file made so far."""
    return datetime.now(UTC) + timedelta(seconds=1)


def test_files_that_lay_there_are_recorded_and_not_uploaded(root, watch, ledger, intake, until):
    """They go to the ledger by the first scan; a later change makes one a new file."""
    (root / "sub").mkdir()
    for name in ("a", "sub/b"):
        (root / name).write_text("old")
    (root / "link").symlink_to("a")
    began = max(file.lstat().st_ctime for file in root.rglob("*")) + 0.1
    until(lambda: datetime.now(UTC).timestamp() > began)
    folder = watch(existing=Existing.IGNORE, started_at=datetime.now(UTC))
    until(lambda: folder.health().is_idle)
    assert sorted(ledger.existing) == ["a", "link", "sub/b"]
    assert ledger.first_scan_done
    assert (intake.files, intake.irregular) == ([], {})
    (root / "a").write_text("newer")
    (root / "c").write_text("new")
    until(lambda: intake.paths == ["a", "c"])


def test_the_first_scan_begins_anew_after_a_crash(root, watch, ledger, intake, until, later):
    """What was not recorded before the crash still counts as existing, and what came since does not."""
    (root / "old").write_text("old")
    ledger.fails = LedgerError("disk full")
    crashed = watch(existing=Existing.IGNORE, started_at=later)
    until(lambda: "disk full" in crashed.health().detail)
    assert crashed.stop(5)
    assert not ledger.first_scan_done
    ledger.fails = None
    until(lambda: datetime.now(UTC) > later)
    (root / "came").write_text("while it was down")
    folder = watch(existing=Existing.IGNORE, started_at=later)
    until(lambda: folder.health().is_idle)
    assert sorted(ledger.existing) == ["old"]
    assert intake.paths == ["came"]


def test_a_ledger_that_recovers_does_not_put_old_files_in_doubt(root, watch, ledger, intake, until, later):
    """The watch stays up while the ledger does not answer, so no hint is lost."""
    (root / "old").write_text("old")
    ledger.fails = LedgerError("disk full")
    folder = watch(existing=Existing.IGNORE, started_at=later)
    until(lambda: "disk full" in folder.health().detail)
    (root / "hinted").write_text("new")
    ledger.fails = None
    until(lambda: folder.health().is_idle)
    assert sorted(ledger.existing) == ["old"]
    assert intake.paths == ["hinted"]


def test_after_the_first_scan_an_old_file_is_uploaded(root, watch, ledger, intake, until, later):
    """Whatever appears once the first scan is done is new, however old its times are."""
    ledger.first_scan_done = True
    (root / "a").write_text("a")
    os.utime(root / "a", (1, 1))
    folder = watch(existing=Existing.IGNORE, started_at=later)
    until(lambda: folder.health().is_idle)
    assert intake.paths == ["a"]
    assert ledger.existing == {}


def test_a_tree_moved_in_while_the_first_scan_runs_is_uploaded(root, tmp_path, watch, ledger, intake, until):
    """Its files have an old ctime, but a hint told of the tree."""
    (root / "old").write_text("old")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("old as well")
    moved = []

    def known_after_a_move(folder_id, directory):
        if not moved:
            moved.append((tmp_path / "tree").rename(root / "tree"))
            until(lambda: folder._mailbox.has_post)
        return set()

    ledger.known = known_after_a_move
    folder = watch(
        existing=Existing.IGNORE, started_at=datetime.now(UTC) + timedelta(seconds=30), start=False
    )
    folder.start()
    until(lambda: folder.health().is_idle)
    assert sorted(ledger.existing) == ["old"]
    assert set(intake.paths) == {"tree/file"}
