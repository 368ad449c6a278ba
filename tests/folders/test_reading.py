import hashlib
import os
import socket

import pytest

from attachd.errors import FileChanged, FileGone, FileUnreadable, NotRegular
from attachd.folders.reading import look_again, open_settled
from attachd.folders.walk import RootOut
from attachd.model import Signs


@pytest.fixture
def settled(root, signs_at):
    """Make a file and give its path and the signs it settled with."""

    def make(path, content=b"content"):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return path, signs_at(file)

    return make


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1])
def test_a_settled_file_is_hashed_to_its_end(root, settled, size):
    """The digest is that of the whole content, whatever the size has to do with the block."""
    content = os.urandom(size)
    path, signs = settled("a/b/file.bin", content)
    with open_settled(str(root), path, signs) as file:
        assert file.size == size
        assert file.sha256() == hashlib.sha256(content).hexdigest()
        assert file.sha256() == hashlib.sha256(content).hexdigest()


def test_what_is_read_can_be_read_again_from_the_start(root, settled):
    """`rewind` goes back, and the end is an empty answer."""
    path, signs = settled("file", b"0123456789")
    with open_settled(str(root), path, signs) as file:
        assert (file.read(4), file.read(100), file.read(1)) == (b"0123", b"456789", b"")
        file.rewind()
        assert file.read(9) == b"012345678"
    file.close()


@pytest.mark.parametrize(
    "path", [os.fsdecode(b"\xff\xfe/n\xe4me"), "new\nline/a\nb", "back\\slash", " {x} $(id) "]
)
def test_every_name_can_be_read(root, settled, path):
    """Bytes that are not UTF-8, newlines and shell words are names like any other."""
    path, signs = settled(path)
    with open_settled(str(root), path, signs) as file:
        assert file.read(100) == b"content"
    look_again(str(root), path, signs)


def test_a_path_longer_than_the_system_takes_can_be_read(root):
    """Each directory is opened by its own name, so only the length of a name has a limit."""
    name = "d" * 250
    directory = os.open(root, os.O_RDONLY)
    try:
        for _ in range(20):
            os.mkdir(name, dir_fd=directory)
            below = os.open(name, os.O_RDONLY, dir_fd=directory)
            os.close(directory)
            directory = below
        descriptor = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=directory)
        os.write(descriptor, b"deep")
        signs = Signs.of(os.fstat(descriptor))
        os.close(descriptor)
    finally:
        os.close(directory)
    path = "/".join([name] * 20 + ["file"])
    with open_settled(str(root), path, signs) as file:
        assert file.read(9) == b"deep"


def test_a_file_that_is_not_the_settled_one_is_refused(root, settled):
    """New bytes at the same path are another file."""
    path, signs = settled("file")
    settled("file", b"other content")
    with pytest.raises(FileChanged):
        open_settled(str(root), path, signs)
    with pytest.raises(FileChanged):
        look_again(str(root), path, signs)


def test_growing_shrinking_and_rewriting_are_noticed_while_it_is_open(root, settled):
    """More bytes, fewer bytes and other bytes of the same number never pass for what settled."""
    path, signs = settled("file", b"12345678")
    with open_settled(str(root), path, signs) as file:
        with (root / path).open("ab") as writer:
            writer.write(b"9")
        with pytest.raises(FileChanged, match="more than the 8 bytes"):
            file.sha256()
        os.truncate(root / path, 3)
        with pytest.raises(FileChanged, match="5 bytes shorter"):
            file.sha256()
        (root / path).write_bytes(b"87654321")
        file.sha256()


@pytest.mark.parametrize("path", ["no-such-file", "no/such/directory", "file/below"])
def test_what_is_not_there_is_gone(root, settled, path):
    """A missing file, a missing directory and a file in a directory's place all mean gone."""
    _, signs = settled("file")
    with pytest.raises(FileGone):
        open_settled(str(root), path, signs)
    with pytest.raises(FileGone):
        look_again(str(root), path, signs)


def test_nothing_is_gone_while_the_folder_itself_is_out(root, settled):
    """An outage proves nothing about a file."""
    path, signs = settled("file")
    root.rename(root.with_name("away"))
    with pytest.raises(RootOut, match="ENOENT"):
        open_settled(str(root), path, signs)
    with pytest.raises(FileUnreadable):
        look_again(str(root), path, signs)
    root.write_text("a file now")
    with pytest.raises(RootOut):
        open_settled(str(root), path, signs)
    root.unlink()
    root.with_name("away").rename(root)
    open_settled(str(root), path, signs).close()


def test_links_pipes_sockets_and_directories_are_not_opened(root, settled, signs_at):
    """None of them is a file to attach, and a pipe without a writer does not hold us up."""
    _, signs = settled("file")
    (root / "link").symlink_to("file")
    os.mkfifo(root / "pipe")
    (root / "directory").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
        for name in ("link", "pipe", "socket", "directory"):
            with pytest.raises(NotRegular):
                open_settled(str(root), name, signs_at(root / name))
            with pytest.raises(FileChanged, match="took its place"):
                look_again(str(root), name, signs)


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/etc/passwd", "a//b", "./file", ""])
def test_a_path_that_leads_out_of_the_folder_is_refused(root, tmp_path, settled, path):
    """Whatever the ledger or a caller says, nothing outside is opened."""
    _, signs = settled("a/b")
    (tmp_path / "outside").write_text("secret")
    with pytest.raises(NotRegular):
        open_settled(str(root), path, signs)
    with pytest.raises(FileChanged):
        look_again(str(root), path, signs)


def test_a_parent_swapped_for_a_link_does_not_lead_outside(root, tmp_path, settled):
    """Between the look and the opening somebody puts a link to another directory in the parent's place."""
    path, signs = settled("a/b/secret")
    outside = tmp_path / "outside"
    (root / "a").rename(outside)
    (root / "a").symlink_to(outside)
    with pytest.raises(NotRegular, match="a directory above it is a symbolic link"):
        open_settled(str(root), path, signs)
    with pytest.raises(FileGone, match="a directory above it is a symbolic link"):
        look_again(str(root), path, signs)


def test_a_folder_that_is_itself_a_link_is_read(root, tmp_path, settled):
    """The folder's own path comes from rules.yaml and may lead through links."""
    path, signs = settled("a/file")
    link = tmp_path / "link"
    link.symlink_to(root)
    with open_settled(str(link), path, signs) as file:
        assert file.read(9) == b"content"


def test_what_the_system_refuses_is_said_in_words(root, settled):
    """A name too long for any file system is unreadable, with the system's word for it."""
    _, signs = settled("file")
    with pytest.raises(FileUnreadable, match=r"file name too long \(ENAMETOOLONG\)"):
        open_settled(str(root), "x" * 300, signs)
