"""The first run of a folder: what lies there is counted and announced before anything is sent."""

import threading

import pytest
from structlog.testing import capture_logs

from attachd.core.settings import Existing
from attachd.folders import backlog
from attachd.folders.backlog import in_words
from attachd.folders.sink import Backlog


def told(entries):
    """Give the announcements."""
    return [entry for entry in entries if entry["event"] == "first_run"]


def test_what_lies_there_is_announced_before_the_first_file_is_told(
    root, watch, intake, ledger, until, monkeypatch
):
    """With files and bytes; the status says so until the first scan is complete, and never again."""
    (root / "sub").mkdir()
    for name in ("a", "sub/b", ".hidden"):
        (root / name).write_bytes(b"12345")
    goes_on = threading.Event()
    monkeypatch.setattr(ledger, "finish_first_scan", lambda number: goes_on.wait(30))
    with capture_logs() as entries:
        folder = watch()
        until(lambda: folder.health().backlog)
        assert (told(entries) != [], intake.files) == (True, [])
        assert folder.health().detail == "first run: 2 files (10 bytes) lay here and are taken up"
        goes_on.set()
        until(lambda: folder.health().is_idle)
    assert [(entry["files"], entry["bytes"], entry["log_level"]) for entry in told(entries)] == [
        (2, 10, "info")
    ]
    assert (folder.health().backlog, folder.health().detail) == (None, "")
    ledger.first_scan_done = True
    with capture_logs() as entries:
        again = watch()
        until(lambda: again.health().is_idle)
    assert told(entries) == []


@pytest.mark.parametrize(("files", "size"), [(3, 10**9), (100, 20)])
def test_a_large_backlog_is_a_warning_with_the_way_out(root, watch, until, monkeypatch, files, size):
    """By number or by bytes."""
    monkeypatch.setattr(backlog, "LARGE_FILES", files)
    monkeypatch.setattr(backlog, "LARGE_SIZE", size)
    for number in range(5):
        (root / str(number)).write_bytes(b"12345")
    with capture_logs() as entries:
        folder = watch()
        until(lambda: folder.health().is_idle)
    (entry,) = told(entries)
    assert entry["log_level"] == "warning"
    assert "existing: ignore" in entry["hint"]


def test_a_count_that_takes_long_says_what_it_has(root, watch, intake, until, monkeypatch):
    """It never delays the first upload for long."""
    monkeypatch.setattr(backlog, "COUNTED_FOR", 0.0)
    for name in ("a/1", "b/2", "c/3"):
        (root / name).parent.mkdir()
        (root / name).write_bytes(b"1")
    with capture_logs() as entries:
        folder = watch()
        until(lambda: len(intake.files) == 3 and folder.health().is_idle)
    (entry,) = told(entries)
    assert (entry["files"], entry["counted_all"]) == (0, False)


def test_with_existing_ignore_nothing_is_announced(root, watch, until):
    """Nothing of it will be sent."""
    (root / "a").write_bytes(b"1")
    with capture_logs() as entries:
        folder = watch(existing=Existing.IGNORE)
        until(lambda: folder.health().is_idle)
    assert told(entries) == []


@pytest.mark.parametrize(
    ("size", "words"),
    [(999, "999 bytes"), (1500, "1.5 kB"), (2 * 10**9, "2.0 GB"), (5 * 10**15, "5000.0 TB")],
)
def test_amounts_are_said_in_units(size, words):
    """As people read them."""
    assert words in in_words(Backlog(files=1, size=size, is_whole=True))
    assert "at least 1 files" in in_words(Backlog(files=1, size=size, is_whole=False))
