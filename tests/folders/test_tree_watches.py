import os
import shutil
import sys

import pytest

from attachd.folders.events import FolderEvents

LEVELS = sys.getrecursionlimit() + 100


def hinted(mailbox, path):
    return path in {each for each, _ in mailbox.take_hints(10_000)}


def dig(directory):
    """Make more levels than Python recurses, and a file at the end."""
    descriptor = os.open(directory, os.O_RDONLY)
    for _ in range(LEVELS):
        os.mkdir("d", dir_fd=descriptor)
        above, descriptor = descriptor, os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(above)
    os.close(os.open("end", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor))
    os.close(descriptor)


@pytest.fixture
def deep(tmp_path):
    """Give a directory with more levels below it than Python recurses; `rm` takes it away again."""
    path = tmp_path / "deep"
    path.mkdir()
    dig(path)
    yield path
    for each in (path, tmp_path / "drop" / "deep"):
        assert os.system(f"rm -rf '{each}'") == 0


def test_a_directory_that_is_moved_out_keeps_no_watch(root, tmp_path, watching, mailbox, until):
    """Else a folder from which directories are archived would use up the limit of watches over the years."""
    (root / "a" / "b").mkdir(parents=True)
    until(lambda: watching.watches == 3)
    (root / "a").rename(tmp_path / "away")
    until(lambda: watching.watches == 1)
    (tmp_path / "away").rename(root / "back")
    until(lambda: watching.watches == 3)
    (root / "back" / "b" / "new").touch()
    until(lambda: hinted(mailbox, "back/b/new"))
    assert watching.fault() == ""


def test_a_name_that_is_taken_anew_keeps_its_watch(root, tmp_path, watching, mailbox, until):
    """The directory that was moved out goes, the one that has its name by then does not."""
    (root / "a").mkdir()
    until(lambda: watching.watches == 2)
    (root / "a").rename(tmp_path / "away")
    (root / "a").mkdir()
    (root / "other").mkdir()
    until(lambda: watching.watches == 3)
    (root / "a" / "new").touch()
    until(lambda: hinted(mailbox, "a/new"))
    assert watching.fault() == ""


def test_a_name_that_two_directories_had_breaks_nothing(root, tmp_path, watching, mailbox, until):
    """One moved out, the next of its name moved on: that one is watched, and the first ends quietly."""
    (root / "a").mkdir()
    until(lambda: watching.watches == 2)
    (root / "a").rename(tmp_path / "away")
    (root / "a").mkdir()
    (root / "a").rename(root / "b")
    shutil.rmtree(tmp_path / "away")
    until(lambda: watching.watches == 2)
    (root / "b" / "new").touch()
    until(lambda: hinted(mailbox, "b/new"))
    assert watching.fault() == ""


def test_a_tree_deeper_than_python_recurses_is_watched(root, mailbox, deep, until):
    """Whoever may write into the folder can make one: it must not end the service, nor blind it."""
    deep.rename(root / "deep")
    watch = FolderEvents(str(root), mailbox)
    try:
        assert watch.start() == ""
        assert watch.watches == LEVELS + 2
        (root / "near").touch()
        until(lambda: hinted(mailbox, "near"))
    finally:
        watch.stop()


def test_a_tree_deeper_than_python_recurses_is_moved_in(root, deep, watching, watch, intake, until):
    """Its last file is found, and what comes after it as well."""
    folder = watch()
    until(lambda: folder.health().is_idle)
    deep.rename(root / "deep")
    until(lambda: intake.paths == ["deep/" + "d/" * LEVELS + "end"])
    assert watching.fault() == ""
    (root / "near").touch()
    until(lambda: "near" in intake.paths)
    assert folder.health().watch == "events"
    assert folder.failure is None
