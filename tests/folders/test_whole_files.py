"""Files that are quiet and not whole: end marks, markers, sizes, parts that were never written."""

import os
from dataclasses import replace

import pytest

from attachd.core.patterns import compile_pattern
from attachd.core.rules import Rule
from attachd.core.templates import parse_filename
from attachd.core.wholeness import MARKER_NAMES, Complete, Demands
from attachd.errors import FileGone
from attachd.folders import examining
from attachd.model import ErrorKind, Signs

PDF = b"%PDF-1.7\n" + b"% text\n" * 2000 + b"%%EOF\n"


def ruled(match="**", marker=None, **complete):
    """Make the rules of a folder: one that takes what matches."""
    template = parse_filename(marker, allowed=MARKER_NAMES) if marker else None
    return (
        Rule(
            name="rule",
            patterns=(compile_pattern(match, types={}, case_sensitive=False),),
            to="ion",
            target={},
            filename=parse_filename("{file}", allowed=MARKER_NAMES),
            complete=Complete(marker=template, **complete),
        ),
    )


def is_idle(folder):
    """Make the condition that a folder has nothing left to do."""
    return lambda: folder.health().is_idle


def test_a_file_that_looks_cut_off_waits_and_goes_on_when_it_is_whole(root, watch, intake, until):
    """It is never told before its end mark is there, however long it is quiet."""
    folder = watch(rules=ruled())
    until(is_idle(folder))
    (root / "a.pdf").write_bytes(PDF[:9000])
    (root / "b.txt").write_bytes(PDF[:9000])
    until(lambda: intake.paths == ["b.txt"])
    until(lambda: folder.health().settling == 1)
    with (root / "a.pdf").open("ab") as file:
        file.write(PDF[9000:])
    until(lambda: intake.paths == ["a.pdf", "b.txt"])
    assert intake.parked_files == {}


def test_a_file_that_stays_cut_off_is_parked_with_the_reason_and_comes_back(root, watch, intake, until):
    """After `within` it is there for people to see; what completes it makes it go on by itself."""
    folder = watch(rules=ruled(within=0.3))
    until(is_idle(folder))
    (root / "a.pdf").write_bytes(PDF[:9000])
    until(lambda: "a.pdf" in intake.parked_files)
    reason = intake.parked_files["a.pdf"]
    assert reason.kind is ErrorKind.NOT_COMPLETE
    assert "%%EOF" in reason.message
    assert "whole: off" in reason.hint
    until(is_idle(folder))
    (root / "a.pdf").write_bytes(PDF)
    until(lambda: intake.paths == ["a.pdf"])


def test_an_end_that_is_missing_is_looked_for_once(root, watch, intake, until, monkeypatch):
    """A large file that was cut off is not read again and again while it waits."""
    asked = []
    known = examining.missing_end

    def counted(name, size, read):
        asked.append(name)
        return known(name, size, read)

    monkeypatch.setattr(examining, "missing_end", counted)
    folder = watch(rules=ruled(within=1.0), settle=0.05)
    until(is_idle(folder))
    (root / "a.pdf").write_bytes(PDF[:9000])
    until(lambda: "a.pdf" in intake.parked_files)
    assert asked == ["a.pdf"]


def test_with_whole_off_nothing_is_looked_for(root, watch, intake, until):
    """What is cut off goes on as it is."""
    (root / "a.pdf").write_bytes(PDF[:9000])
    watch(rules=ruled(whole=False))
    until(lambda: intake.paths == ["a.pdf"])
    assert intake.parked_files == {}


def test_other_rules_let_a_parked_file_go_on(root, watch, intake, until):
    """A reload with `whole: off` is answer enough; nothing has to be touched."""
    folder = watch(rules=ruled(within=0.0))
    (root / "a.pdf").write_bytes(PDF[:9000])
    until(lambda: "a.pdf" in intake.parked_files)
    assert intake.paths == []
    folder.rule_by(ruled(whole=False))
    until(lambda: intake.paths == ["a.pdf"])


def test_what_no_rule_takes_is_told_at_once(root, watch, intake, until):
    """It will be unmatched: nobody has to wait to see that."""
    (root / "a.pdf").write_bytes(PDF[:9000])
    watch(rules=ruled("x/*"))
    until(lambda: intake.paths == ["a.pdf"])
    assert intake.parked_files == {}


def test_a_file_smaller_than_min_size_waits_for_more(root, watch, intake, until):
    """And is parked when it stays small."""
    folder = watch(rules=ruled(min_size=10, within=0.3))
    (root / "small").write_bytes(b"123")
    (root / "large").write_bytes(b"1234567890")
    until(lambda: intake.paths == ["large"])
    until(lambda: "min_size" in intake.parked_files["small"].message if intake.parked_files else False)
    (root / "small").write_bytes(b"1234567890")
    until(lambda: intake.paths == ["large", "small"])
    until(is_idle(folder))
    assert len(intake.files) == 2


@pytest.mark.parametrize("way", ["events", "scan"])
def test_a_file_waits_for_its_marker(root, watch, intake, until, way):
    """The marker is no file of its own, before and after; without it the file is not told."""
    folder = watch(rules=ruled("**", marker="{file}.done"), watch=way, rescan=0.2)
    until(lambda: folder.health().last_scan_at)
    (root / "b.done").write_bytes(b"")
    (root / "a").write_bytes(b"a")
    until(lambda: folder.health().settling == 1)
    (root / "a.done").write_bytes(b"")
    until(lambda: intake.paths == ["a"])
    (root / "b").write_bytes(b"b")
    until(lambda: folder.health().settling == 1)
    os.utime(root / "b.done")
    until(lambda: intake.paths == ["a", "b"])
    until(is_idle(folder))
    assert intake.irregular == {}


@pytest.mark.parametrize("way", ["events", "scan"])
def test_a_marker_that_comes_late_brings_a_parked_file_back(root, watch, intake, until, way):
    """Nothing of the file itself changes then."""
    (root / "a").write_bytes(b"a")
    folder = watch(rules=ruled(marker="{file}.done", within=0.2), watch=way, rescan=0.2)
    until(lambda: "a" in intake.parked_files)
    assert "'a.done' is not there" in intake.parked_files["a"].message
    until(is_idle(folder))
    (root / "a.done").mkdir()
    (root / "a.done").rmdir()
    (root / "a.done").write_bytes(b"")
    until(lambda: intake.paths == ["a"])


def test_an_older_marker_is_none(root, watch, intake, until):
    """It belongs to what lay there before."""
    (root / "a.done").write_bytes(b"")
    os.utime(root / "a.done", (1, 1))
    (root / "a").write_bytes(b"a")
    watch(rules=ruled(marker="{file}.done", within=0.2))
    until(lambda: "a" in intake.parked_files)
    assert "older" in intake.parked_files["a"].message


def test_a_name_that_is_too_long_with_its_marker_is_parked(root, watch, intake, until):
    """No such marker can ever be there; the folder goes on, and people see why."""
    (root / ("n" * 255)).write_bytes(b"a")
    folder = watch(rules=ruled(marker="{file}.done", within=0.1))
    until(lambda: intake.parked_files)
    assert "cannot be looked at: file name too long" in intake.parked_files["n" * 255].message
    (root / "a").write_bytes(b"a")
    (root / "a.done").touch()
    until(lambda: intake.paths == ["a"])
    assert folder.failure is None


def test_a_folder_that_is_out_says_nothing_of_a_marker(root):
    """Its files lack nothing then: nobody knows."""
    (root / "a").write_bytes(b"a")
    signs = Signs.of((root / "a").stat())
    examiner = examining.Examiner(str(root / "away"), Demands(ruled(marker="{file}.done")))
    with pytest.raises(examining.walk.RootOut):
        examiner.lack("a", signs)


def test_a_directory_in_the_place_of_a_parked_file_is_no_file(root, watch, intake, until):
    """The file is gone, and not unfinished for ever."""
    folder = watch(rules=ruled(within=0.0), rescan=0.1)
    (root / "a.pdf").write_bytes(PDF[:9000])
    until(lambda: "a.pdf" in intake.parked_files)
    (root / "a.pdf").unlink()
    (root / "a.pdf").mkdir()
    until(lambda: intake.gone_paths)
    until(is_idle(folder))
    assert (intake.gone_paths, intake.paths) == (["a.pdf"], [])


def test_a_parked_file_that_still_lacks_something_stays_parked(root, watch, intake, until):
    """Rounds look at it and say nothing new; a leftover of rsync and a link in its place neither."""
    (root / "a").write_bytes(b"a")
    (root / "zero").write_bytes(b"a")
    os.utime(root / "zero", (0, 0))
    intake.ledger.parked = {"a", "zero", "gone", "link"}
    (root / "link").symlink_to("a")
    folder = watch(rules=ruled(min_size=5, within=0.0), rescan=0.1)
    until(lambda: "a" in intake.parked_files)
    told = len(intake.parked_files)
    first = folder.health().last_scan_at
    until(lambda: folder.health().last_scan_at > first)
    assert len(intake.parked_files) == told
    assert intake.paths == []


def test_a_part_that_was_never_written_makes_a_file_wait(root, watch, intake, until):
    """A call of fallocate takes all blocks at once, so that nothing of the signs tells it."""
    path = root / "a.bin"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 3_000_000)
        file.write(b"x" * 1_000_000)
        file.flush()
        if os.lseek(file.fileno(), 0, os.SEEK_HOLE) >= 3_000_000:
            pytest.skip("this file system does not tell what was never written")
    folder = watch(rules=ruled(), settle=0.1)
    until(lambda: folder.health().last_scan_at and folder.health().settling == 1)
    assert intake.paths == []
    with path.open("r+b") as file:
        file.write(b"y" * 3_000_000)
    until(lambda: intake.paths == ["a.bin"])


def test_what_cannot_be_read_is_left_to_the_worker(root, watch, intake, until, monkeypatch):
    """He says so on the delivery, where people see it."""

    def refuse(folder, path, signs):
        raise examining.FileError("permission denied (EACCES)")

    monkeypatch.setattr(examining.reach, "open_settled", refuse)
    (root / "a.pdf").write_bytes(PDF[:100])
    watch(rules=ruled())
    until(lambda: intake.paths == ["a.pdf"])
    assert intake.parked_files == {}


def test_a_share_that_tells_an_old_length_is_waited_for(root):
    """Only the end of the file is the end: one more read must bring nothing."""
    (root / "a.bin").write_bytes(b"12345")
    examiner = examining.Examiner(str(root), Demands(ruled()))
    signs = Signs.of((root / "a.bin").stat())
    assert examiner.lack("a.bin", signs) is None
    examiner.is_remote = True
    assert examiner.lack("a.bin", signs) is None
    stale = replace(signs, size=3)
    opened = examining.reach.open_settled(str(root), "a.bin", signs)
    with opened:
        lack = examiner._judge(opened, "a.bin", stale, Complete(), 5.0)
    assert lack.reason == "it is longer than the share says"


def test_a_file_that_changes_while_it_is_looked_into_is_waited_for(root):
    """The next look sees the change and waits anew; one that is gone is no matter of wholeness."""
    (root / "a.bin").write_bytes(b"12345")
    examiner = examining.Examiner(str(root), Demands(ruled()), within=7.0)
    signs = replace(Signs.of((root / "a.bin").stat()), ctime_ns=1)
    lack = examiner.lack("a.bin", signs)
    assert (lack.reason, lack.patience) == ("it is being changed", 7.0)
    (root / "a.bin").unlink()
    with pytest.raises(FileGone):
        examiner.lack("a.bin", signs)


def test_only_so_many_ends_are_remembered(root, monkeypatch):
    """The memory of files that were cut off is bounded."""
    monkeypatch.setattr(examining, "REMEMBERED", 2)
    examiner = examining.Examiner(str(root), Demands(ruled()))
    for name in ("a.pdf", "b.pdf", "c.pdf"):
        (root / name).write_bytes(PDF[:9000])
        assert examiner.lack(name, Signs.of((root / name).stat())).hint
    assert list(examiner._cut) == ["b.pdf", "c.pdf"]
