"""Opens a settled file, once, and reads it knowing that it is still the same."""

import hashlib
import os
import stat
from contextlib import suppress
from typing import Self

from attachd.errors import FileChanged, FileGone, FileUnreadable, NotRegular
from attachd.folders import walk
from attachd.model import Signs

BLOCK = 1024 * 1024
"""Bytes read at once."""


class OpenFile:
    """A settled file, open for reading. Used by one thread; close it, or use it as a context manager.

    Attributes:
        size: bytes it had when it was opened.
    """

    def __init__(self, descriptor: int, signs: Signs) -> None:
        self._descriptor = descriptor
        self.size = signs.size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def read(self, length: int = BLOCK, /) -> bytes:
        """Give at most `length` bytes from where the last read ended, b"" at the end of the file.

        Raises:
            FileUnreadable: the system refuses to go on reading.
        """
        try:
            return os.read(self._descriptor, length)
        except OSError as error:
            raise FileUnreadable(walk.in_words(error)) from error

    def read_at(self, offset: int, length: int) -> bytes:
        """Give at most `length` bytes from an offset; where `read` goes on does not change.

        Raises:
            FileUnreadable: the system refuses to go on reading.
        """
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise FileUnreadable(walk.in_words(error)) from error

    def has_hole(self) -> bool:
        """Say whether a part of it was never written (SEEK_HOLE, lseek(2)); False where nobody can tell.

        fallocate(2) leaves such parts although it takes the blocks. Reading starts from the first byte again.
        """
        try:
            return self.size > 0 and os.lseek(self._descriptor, 0, os.SEEK_HOLE) < self.size
        except OSError:
            return False
        finally:
            with suppress(OSError):
                self.rewind()

    def rewind(self) -> None:
        """Start reading from the first byte again."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)

    def sha256(self) -> str:
        """Hash the whole file, from its start, and give the digest in hex.

        Raises:
            FileChanged: it has fewer or more bytes than it settled with.
            FileUnreadable: the system refuses to go on reading.
        """
        digest = hashlib.sha256()
        self.rewind()
        left = self.size
        while left:
            block = self.read(min(BLOCK, left))
            if not block:
                raise FileChanged(f"it became {left} bytes shorter while it was read")
            digest.update(block)
            left -= len(block)
        if self.read(
            1
        ):  # on a network file system the size may be stale: only the end of the file is the end
            raise FileChanged(f"it has more than the {self.size} bytes it settled with")
        return digest.hexdigest()

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def open_settled(root: str, path: str, signs: Signs) -> OpenFile:
    """Open the file that settled with these signs.

    Args:
        root: the folder, absolute.
        path: relative to the folder.
        signs: what it settled with.

    Raises:
        FileGone: it, or a directory above it, is not there any more.
        FileChanged: it is not the file that settled.
        FileUnreadable: the system refuses, or the folder itself is out (which proves nothing about the file).
        NotRegular: it is a link, pipe, socket, device or directory, or a directory above it is a link.
    """
    descriptor = walk.open_file(root, path)
    try:
        _require_settled(os.fstat(descriptor), signs)
    except OSError as error:
        os.close(descriptor)
        raise walk.translated(error) from error
    except BaseException:
        os.close(descriptor)
        raise
    return OpenFile(descriptor, signs)


def look_again(root: str, path: str, signs: Signs) -> None:
    """Take the last look before a file is registered.

    Raises:
        FileGone: it, or a directory above it, is not there any more; a link is no directory.
        FileChanged: something else lies there by now.
        FileUnreadable: the system does not say, or the folder itself is out.
    """
    try:
        _require_settled(walk.look(root, path), signs)
    except walk.LinkAbove as error:
        raise FileGone(str(error)) from error
    except NotRegular as error:
        raise FileChanged(f"something else took its place: {error}") from error


def _require_settled(facts: os.stat_result, signs: Signs) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise NotRegular(f"it is {walk.kind_of(facts.st_mode) or 'a directory'}")
    if Signs.of(facts) != signs:
        raise FileChanged("its size, mtime or ctime is not what it settled with")
