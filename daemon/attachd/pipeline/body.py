"""The bytes of one file on their way to storage: read once, in blocks, hashed as they go."""

import hashlib
from threading import Event

from attachd.core.protocols import OpenFile
from attachd.errors import FileChanged, StopRequested


class HashingBody:
    """Reads an open file to its settled size and hashes what it gives out. Owner: one worker.

    `cut` is set when the service cannot wait any longer: the next read raises `StopRequested`.
    """

    def __init__(self, file: OpenFile, cut: Event) -> None:
        self.size = file.size
        self._file = file
        self._cut = cut
        self._left = file.size
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()

    def read(self, length: int = -1, /) -> bytes:
        """Give at most `length` bytes, b"" at the end.

        Raises:
            FileChanged: the file became shorter than it was when it settled.
            FileUnreadable: the system refuses to go on reading.
            StopRequested: the service stops.
        """
        if self._cut.is_set():
            raise StopRequested("the service stops")
        wanted = self._left if length < 0 else min(length, self._left)
        if wanted == 0:
            return b""
        block = self._file.read(wanted)
        if not block:
            raise FileChanged("the file became shorter while it was sent")
        self._left -= len(block)
        self._md5.update(block)
        self._sha256.update(block)
        return block

    def md5_hex(self) -> str:
        """Give the MD5 of what was read so far, in hex."""
        return self._md5.hexdigest()

    def sha256_hex(self) -> str:
        """Give the SHA-256 of what was read so far, in hex."""
        return self._sha256.hexdigest()
