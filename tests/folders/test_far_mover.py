"""After-actions by another process do what they do by ours."""

import hashlib
import os
from datetime import UTC, datetime

import pytest

from attachd.core.afters import AfterAction, AfterKind, AfterState
from attachd.errors import FileChanged, FileGone, MoveRefused, StopRequested
from attachd.folders import shares
from attachd.folders.mover import FolderMover
from attachd.model import Signs

CONTENT = os.urandom(3 * 1024 * 1024)


@pytest.fixture(params=["near", "far"])
def folder(root, request):
    """Give a folder with a file, touched by this process or by another."""
    (root / "a").write_bytes(CONTENT)
    shares.SHARES.look(str(root), is_share=request.param == "far")
    return root


@pytest.fixture
def mover(folder):
    """Give what acts on its files."""
    return FolderMover(lambda: [str(folder)])


def action(folder, kind, chosen=None):
    return AfterAction(
        id=7,
        folder_id=1,
        folder=str(folder),
        path="a",
        signs=Signs.of((folder / "a").lstat()),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        rule="r",
        kind=kind,
        target=chosen,
        chosen=chosen,
        held_as=".attachd-7-a",
        state=AfterState.TAKEN,
        attempts=0,
        detail="",
        first_seen=datetime.now(UTC),
    )


def test_a_file_is_deleted(folder, mover):
    """A second time there is nothing to act on."""
    wanted = action(folder, AfterKind.DELETE)
    mover.verify(wanted)
    mover.carry_out(wanted, lambda: False)
    assert list(folder.iterdir()) == []
    with pytest.raises(FileGone):
        mover.carry_out(wanted, lambda: False)


def test_a_file_is_moved(folder, mover, tmp_path):
    """It comes under the name that was chosen, in a directory that is made for it."""
    chosen = mover.choose(str(tmp_path / "sent" / "a"))
    assert chosen == str(tmp_path / "sent" / "a")
    mover.carry_out(action(folder, AfterKind.MOVE, chosen), lambda: False)
    assert (tmp_path / "sent" / "a").read_bytes() == CONTENT
    assert mover.choose(str(tmp_path / "sent" / "a")).endswith("/a (2)")


def test_other_bytes_are_left_alone(folder, mover):
    """Their hash decides."""
    wanted = action(folder, AfterKind.DELETE)
    (folder / "a").write_bytes(CONTENT[::-1])
    with pytest.raises(FileChanged):
        mover.carry_out(wanted, lambda: False)
    assert (folder / "a").exists()


def test_nothing_is_moved_into_a_folder(folder, mover, tmp_path):
    """Not through a link either."""
    (tmp_path / "way").symlink_to(folder)
    for target in (folder / "sub" / "a", tmp_path / "way" / "a"):
        with pytest.raises(MoveRefused, match="watched folder"):
            mover.carry_out(action(folder, AfterKind.MOVE, str(target)), lambda: False)
    assert (folder / "a").read_bytes() == CONTENT


def test_a_stop_ends_what_another_process_does(root, tmp_path):
    """Between two blocks; what it left is finished by the next call."""
    (root / "a").write_bytes(CONTENT)
    shares.SHARES.look(str(root), is_share=True)
    mover = FolderMover(lambda: [str(root)])
    wanted = action(root, AfterKind.MOVE, str(tmp_path / "sent" / "a"))
    (root / "a").rename(root / ".attachd-7-a")
    with pytest.raises(StopRequested):
        mover.carry_out(wanted, lambda: True)
    mover.carry_out(wanted, lambda: False)
    assert (tmp_path / "sent" / "a").read_bytes() == CONTENT
    assert list(root.iterdir()) == []


def test_the_place_to_move_to_may_be_a_share(root, tmp_path, monkeypatch):
    """Then its process acts, although the folder is local."""
    beside = shares.SHARES.look(str(tmp_path / "beside"), is_share=True)
    monkeypatch.setattr("attachd.folders.mover._share_at", lambda _: beside)
    (root / "a").write_bytes(CONTENT)
    mover = FolderMover(lambda: [str(root)])
    chosen = mover.choose(str(tmp_path / "beside" / "a"))
    mover.carry_out(action(root, AfterKind.MOVE, chosen), lambda: False)
    assert (tmp_path / "beside" / "a").read_bytes() == CONTENT
