import errno
import os

import pytest

from attachd.folders import renaming


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(params=["the system call", "no such call", "file systems that do not know the flag"])
def way(request, monkeypatch):
    if request.param == "no such call":
        monkeypatch.setattr(renaming, "_function", lambda: None)
    elif request.param.startswith("file systems"):
        monkeypatch.setattr(renaming, "_renameat2", lambda *_: errno.EINVAL)


def test_a_free_name_is_taken(directory, tmp_path, way):
    """The file has its new name, and only that."""
    renaming.rename_new(directory, "a", directory, "c")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"b": b"b", "c": b"a"}


def test_a_taken_name_is_left_alone(directory, tmp_path, way):
    """What bears the name stays as it is, a dangling link too."""
    (tmp_path / "link").symlink_to("nowhere")
    for taken in ("b", "link"):
        with pytest.raises(FileExistsError):
            renaming.rename_new(directory, "a", directory, taken)
    assert (tmp_path / "a").read_bytes() == b"a"
    assert (tmp_path / "b").read_bytes() == b"b"
    assert (tmp_path / "link").is_symlink()


def test_a_file_that_is_gone_leaves_no_trace(directory, tmp_path, way):
    """A rename that fails leaves no empty file at the new name."""
    with pytest.raises(FileNotFoundError):
        renaming.rename_new(directory, "nothing", directory, "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_flush_that_a_file_system_cannot_do_is_none(directory, monkeypatch):
    """EINVAL from fsync on a directory says that the file system has no such thing; EIO is trouble."""

    def refuse(number):
        def fsync(descriptor):
            raise OSError(number, "no")

        monkeypatch.setattr(os, "fsync", fsync)
        renaming.flush(directory)

    refuse(errno.EINVAL)
    with pytest.raises(OSError, match="no"):
        refuse(errno.EIO)
