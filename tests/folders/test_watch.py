import functools
import os
import subprocess
import threading

from attachd.core.settings import Watch
from attachd.core.settling import Settler
from attachd.model import ErrorKind


def fill(root, *names):
    """Make files, each with its name as content."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.fsencode(name))


def is_idle(folder):
    """Make the condition that a folder has nothing left to do."""
    return lambda: folder.health().is_idle


def test_files_that_lie_there_and_files_that_come_are_settled_once(root, watch, intake, until):
    """The first scan finds the old ones, events tell of the new ones, and nothing is told twice."""
    fill(root, "old", "sub/old")
    folder = watch()
    until(is_idle(folder))
    assert intake.paths == ["old", "sub/old"]
    fill(root, "new", "sub/new", "made/later/new")
    until(lambda: len(intake.files) == 5 and folder.health().is_idle)
    folder.scan_now()
    until(is_idle(folder))
    assert intake.paths == ["made/later/new", "new", "old", "sub/new", "sub/old"]
    health = folder.health()
    assert (health.watch, health.healthy, health.detail) == ("events", True, "")
    assert (health.found_by_scan, health.found_by_hint, health.files_seen) == (2, 3, 5)
    assert health.last_scan_at is not None
    assert {file.path for file in intake.files if file.found_by_hint} == {"new", "sub/new", "made/later/new"}


def test_a_growing_file_is_not_settled_before_its_end(root, watch, intake, until, signs_at):
    """Each close while it is written starts the wait anew."""
    folder = watch(settle=0.6)
    until(is_idle(folder))
    pause = threading.Event()
    for part in range(8):
        with (root / "scan.tif").open("ab") as writer:
            writer.write(b"x" * 1000)
        pause.wait(0.1)
        assert part == 7 or not intake.files
    until(lambda: intake.files)
    assert intake.files[0].signs == signs_at(root / "scan.tif")
    assert intake.files[0].signs.size == 8000


def test_a_file_that_is_written_without_closing_waits_for_its_end(root, watch, intake, until):
    """No event tells of the writes; the looks do."""
    folder = watch(settle=0.5)
    until(is_idle(folder))
    pause = threading.Event()
    with (root / "scan.tif").open("wb", buffering=0) as writer:
        for _ in range(6):
            writer.write(b"x" * 1000)
            pause.wait(0.1)
            assert not intake.files
    until(lambda: intake.files)
    assert [file.signs.size for file in intake.files] == [6000]


def test_a_rename_into_place_and_a_hard_link_are_seen(root, tmp_path, watch, intake, until):
    """None of them brings the close of a writer on the final name."""
    fill(tmp_path, "outside", "linked")
    folder = watch()
    until(is_idle(folder))
    fill(root, "x.part")
    (root / "x.part").rename(root / "x.tif")
    (tmp_path / "outside").rename(root / "inside")
    (root / "hard").hardlink_to(tmp_path / "linked")
    until(lambda: len(intake.files) >= 3 and folder.health().is_idle)
    assert intake.paths == ["hard", "inside", "x.tif"]


def test_a_tree_moved_in_is_found_with_all_its_files(root, tmp_path, watch, intake, until):
    """One event tells of the top directory and none of its files."""
    fill(tmp_path / "tree", "a", "b/c/d", "b/c/e")
    folder = watch()
    until(is_idle(folder))
    (tmp_path / "tree").rename(root / "tree")
    until(lambda: intake.paths == ["tree/a", "tree/b/c/d", "tree/b/c/e"])
    (root / "tree").rename(root / "renamed")
    until(lambda: len(intake.files) == 6)
    assert intake.paths[:3] == ["renamed/a", "renamed/b/c/d", "renamed/b/c/e"]


def test_files_in_brand_new_directories_are_found_without_a_scan(root, watch, intake, until):
    """`mkdir -p` with a file at once is faster than any watch: no close is ever told."""
    folder = watch()
    until(is_idle(folder))
    names = sorted(f"d{number}/a/b/file" for number in range(100))
    fill(root, *names)
    until(lambda: intake.paths == names)
    assert folder.health().found_by_hint == 100


def test_a_burst_of_five_thousand_files_is_found_whole(root, watch, intake, until):
    """Written to a temporary name and renamed, which watchdog handles worst; the scan finds what it lost."""
    folder = watch(rescan=1.0, settle=0.3)
    until(is_idle(folder))
    for number in range(5000):
        temporary = root / f".{number}"
        temporary.touch()
        temporary.rename(root / str(number))
    until(lambda: len(intake.files) >= 5000 and len(set(intake.paths)) == 5000)
    assert {file.path for file in intake.files} == {str(number) for number in range(5000)}


def test_a_full_settler_makes_the_scan_wait(root, watch, intake, monkeypatch, until):
    """More files than may settle at once are all settled in the end."""
    monkeypatch.setattr("attachd.folders.looks.Settler", functools.partial(Settler, capacity=1200))
    names = sorted(str(number) for number in range(2500))
    fill(root, *names)
    folder = watch(settle=0.5)
    most = 0

    def all_settled():
        nonlocal most
        most = max(most, folder.health().settling)
        return len(intake.files) == 2500

    until(all_settled)
    assert intake.paths == names
    assert 0 < most <= 1200


def test_a_slow_sink_holds_the_folder_back_and_nothing_is_told_twice(root, watch, intake, until):
    """While the sink blocks, the folder is not idle; it goes on where it was."""
    fill(root, "a", "b", "c")
    intake.open.clear()
    folder = watch(settle=0.0)
    until(lambda: folder.health().settling == 3 or intake.open.is_set())
    folder.scan_now()
    assert not folder.health().is_idle
    intake.open.set()
    until(is_idle(folder))
    assert intake.paths == ["a", "b", "c"]


def test_what_is_no_regular_file_is_told_once_with_the_reason(root, tmp_path, watch, intake, until):
    """Links, also to directories, and pipes are visible problems; nothing behind a link is seen."""
    fill(tmp_path / "outside", "secret")
    (root / "before").symlink_to(tmp_path / "outside")
    folder = watch()
    until(is_idle(folder))
    (root / "after").symlink_to(tmp_path / "outside")
    os.mkfifo(root / "pipe")
    until(lambda: len(intake.irregular) == 3)
    folder.scan_now()
    until(is_idle(folder))
    assert sorted(intake.irregular) == ["after", "before", "pipe"]
    assert intake.irregular["pipe"].kind is ErrorKind.NOT_REGULAR
    assert "This is a pipe" in intake.irregular["pipe"].message
    assert "a symbolic link" in intake.irregular["after"].message
    assert intake.files == []


def test_every_name_is_settled(root, watch, intake, until):
    """Names that are not UTF-8 and names with newlines come by event as well as by scan."""
    scanned = [os.fsdecode(b"caf\xe9/\xff"), "new\nline/a\nb"]
    fill(root, *scanned)
    folder = watch()
    until(is_idle(folder))
    hinted = [os.fsdecode(b"caf\xe9/\xfe"), "new\nline/c\nd"]
    fill(root, *hinted)
    until(lambda: len(intake.files) >= 4 and folder.health().is_idle)
    assert intake.paths == sorted(scanned + hinted)


def test_noise_and_own_files_are_never_told_of(root, watch, intake, until):
    """Neither by the scan nor by an event, nor anything below an ignored directory."""
    fill(root, ".git/config", "rules.yaml", "cache/deep/a", "kept")
    folder = watch(ignore=("cache/",), protected=(str(root / "rules.yaml"), str(root / "ledger")))
    until(is_idle(folder))
    fill(root, ".git/HEAD", "rules.yaml", "x.tmp", "cache/deep/b", "ledger/db", "Thumbs.db", "last")
    until(lambda: "last" in intake.paths and folder.health().is_idle)
    assert intake.paths == ["kept", "last"]


def test_an_unchanged_known_file_is_not_told_again_and_a_changed_one_is(
    root, watch, intake, until, ledger, signs_at
):
    """What the ledger knows needs no report after a restart; new bytes do."""
    fill(root, "known", "changed")
    ledger.files.update((name, signs_at(root / name)) for name in ("known", "changed"))
    (root / "changed").write_text("other bytes")
    folder = watch(watch=Watch.SCAN)
    until(is_idle(folder))
    assert intake.paths == ["changed"]


def test_without_events_the_scan_finds_everything(root, watch, intake, until):
    """`watch: scan` says so and needs nothing but its interval."""
    folder = watch(watch=Watch.SCAN, rescan=0.05)
    until(is_idle(folder))
    fill(root, "a", "sub/b")
    until(lambda: intake.paths == ["a", "sub/b"])
    assert (folder.health().watch, folder.health().found_by_hint) == ("scan", 0)


def test_a_file_that_came_and_went_is_forgotten(root, watch, intake, until):
    """A file that is gone before it settled leaves nothing behind."""
    folder = watch(settle=0.5)
    until(is_idle(folder))
    fill(root, "short")
    until(lambda: folder.health().settling == 1)
    (root / "short").unlink()
    until(is_idle(folder))
    assert intake.files == []


def test_the_sweep_tells_what_is_gone_and_a_file_that_comes_back_is_new(root, tmp_path, watch, intake, until):
    """A directory moved out and back keeps the ctime of its files; they are told of again all the same."""
    fill(root, "stays", "sub/goes")
    folder = watch()
    until(is_idle(folder))
    (root / "sub").rename(tmp_path / "away")
    folder.scan_now()
    until(lambda: intake.gone_paths == ["sub/goes"])
    until(is_idle(folder))
    (tmp_path / "away").rename(root / "sub")
    until(lambda: intake.paths.count("sub/goes") == 2)
    assert intake.paths.count("stays") == 1


def test_only_what_is_surely_gone_is_told(root, tmp_path, watch, intake, ledger, until):
    """A link in the place of a directory above the file proves nothing; more than a batch is swept."""
    fill(tmp_path / "outside", "a")
    (root / "sub").symlink_to(tmp_path / "outside")
    missing = [f"missing/{number:04}" for number in range(600)]
    ledger.pending = {"sub/a", "sub/b", *missing}
    folder = watch()
    until(is_idle(folder))
    assert sorted(intake.gone_paths) == missing


def test_a_directory_in_the_place_of_a_settling_file_ends_the_wait(root, watch, intake, until):
    """It is no file any more, and nothing is told of it."""
    folder = watch(settle=0.3)
    until(is_idle(folder))
    fill(root, "a")
    until(lambda: folder.health().settling == 1)
    (root / "a").unlink()
    (root / "a").mkdir()
    until(is_idle(folder))
    assert (intake.files, intake.irregular) == ([], {})


def test_a_hint_from_a_worker_has_a_reported_file_looked_at_again(root, watch, intake, until):
    """What was reported lately does not count when somebody doubts it."""
    fill(root, "a")
    folder = watch()
    until(is_idle(folder))
    assert len(intake.files) == 1
    folder.hint("a")
    until(lambda: len(intake.files) == 2)


def test_a_parked_file_is_told_with_the_reason(root, watch, intake, until, monkeypatch):
    """A modification time of 0 stays visible and is no settled file."""
    monkeypatch.setattr("attachd.core.settling.LONG_WAIT_FLOOR", 0.2)
    folder = watch(settle=0.01)
    until(is_idle(folder))
    fill(root, "a")
    os.utime(root / "a", ns=(0, 0))
    folder.hint("a")
    until(lambda: "a" in intake.parked_files)
    assert intake.parked_files["a"].kind is ErrorKind.NOT_COMPLETE
    assert "rsync" in intake.parked_files["a"].message
    os.utime(root / "a")
    folder.scan_now()
    until(lambda: intake.paths[-1:] == ["a"])


def test_a_sparse_file_is_taken_after_a_longer_wait(root, watch, intake, until, monkeypatch):
    """Its full length at once, as Windows sets it, is not yet its content."""
    monkeypatch.setattr("attachd.core.settling.LONG_WAIT_FLOOR", 1.0)
    folder = watch(settle=0.05)
    until(is_idle(folder))
    with (root / "disk.img").open("wb") as writer:
        writer.truncate(1_000_000)
    fill(root, "plain")
    until(lambda: intake.paths == ["plain"])
    assert folder.health().settling == 1
    until(lambda: intake.paths == ["disk.img", "plain"])


def test_writers_of_other_programs_are_followed_to_the_end(root, tmp_path, watch, intake, until, signs_at):
    """`cp -p`, `mv` across a link count and `dd` in pieces all settle once with their final signs."""
    fill(tmp_path, "source")
    os.utime(tmp_path / "source", (1, 1))
    folder = watch(settle=0.3)
    until(is_idle(folder))
    subprocess.run(["cp", "-p", tmp_path / "source", root / "copied"], check=True)
    subprocess.run(["cp", "-r", tmp_path / "source", root / "tree"], check=True)
    subprocess.run(
        ["dd", "if=/dev/zero", f"of={root}/pieces", "bs=64k", "count=32", "status=none"], check=True
    )
    until(lambda: intake.paths == ["copied", "pieces", "tree"])
    assert all(file.signs == signs_at(root / file.path) for file in intake.files)


def test_a_hint_for_the_folder_itself_is_a_wish_for_a_scan(root, watch, intake, until):
    """The whole folder is no hinted directory: what its scan finds was found by a scan."""
    folder = watch(watch=Watch.SCAN)
    until(is_idle(folder))
    fill(root, "a")
    folder.hint("")
    until(lambda: intake.paths == ["a"])
    assert folder.health().found_by_hint == 0


def test_stop_ends_the_thread_and_the_watch(root, watch, intake, until):
    """Nothing is told after the stop, and no thread of watchdog stays."""
    before = threading.active_count()
    folder = watch()
    until(is_idle(folder))
    assert folder.stop(5)
    until(lambda: threading.active_count() == before)
    fill(root, "late")
    assert not folder.health().is_idle
    assert intake.files == []
    assert watch(start=False).stop(0)


def test_a_thread_that_fails_keeps_the_reason(root, watch, intake, until):
    """The service can see that the folder's thread died, and of what."""

    def broken(file):
        raise ZeroDivisionError("provoked")

    intake.settled = broken
    fill(root, "a")
    folder = watch()
    until(lambda: folder.failure is not None)
    assert isinstance(folder.failure, ZeroDivisionError)
    assert not folder.health().is_idle
