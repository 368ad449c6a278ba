"""The files of a folder that this process may touch itself, as workers see them (`core.protocols.Files`)."""

from typing import Self

from attachd.folders import reading
from attachd.folders.reading import OpenFile
from attachd.model import Signs


class LocalFile:
    """A settled file, open for one worker."""

    def __init__(self, opened: OpenFile) -> None:
        self._opened = opened
        self.size = opened.size

    def __enter__(self) -> Self:
        """Hand over the open file."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self._opened.close()

    def read(self, length: int = -1, /) -> bytes:
        """Give at most `length` bytes from where the last read ended."""
        return self._opened.read(length if length >= 0 else reading.BLOCK)

    def rewind(self) -> None:
        """Start reading from the first byte again."""
        self._opened.seek(0)

    def unchanged(self) -> bool:
        """Say whether the file still has the signs it settled with."""
        return self._opened.unchanged()

    def sha256(self) -> str:
        """Read all of it and give the SHA-256, in hex."""
        return reading.sha256_of(self._opened)


class LocalFiles:
    """Opens files by system calls of this process: for file systems that answer."""

    def open(self, folder: str, path: str, signs: Signs) -> LocalFile:
        """Open a settled file without following a link anywhere."""
        return LocalFile(reading.open_settled(folder, path, signs))

    def look_again(self, folder: str, path: str, signs: Signs) -> None:
        """Make sure that the file is still as it was seen."""
        reading.look_again(folder, path, signs)
