"""The body of one request, read in blocks and never as a whole unless it is small."""

from collections.abc import Iterator
from typing import BinaryIO

BLOCK = 1024 * 1024


class Body:
    """What is left of a request's body; belongs to the thread of its connection.

    Args:
        source: the connection's buffered reader.
        length: what Content-Length says; None where the length is not told.
    """

    def __init__(self, source: BinaryIO, length: int | None) -> None:
        self._source = source
        self.length = length
        self._left = length or 0

    def blocks(self, limit: int | None = None) -> Iterator[bytes]:
        """Read at most `limit` bytes of what is left, in blocks.

        Raises:
            ConnectionAbortedError: the connection ended before the length was reached.
        """
        end = 0 if limit is None else max(0, self._left - limit)
        while self._left > end:
            block = self._source.read(min(BLOCK, self._left - end))
            if not block:
                raise ConnectionAbortedError(f"the body ended {self._left} bytes early")
            self._left -= len(block)
            yield block

    def drain(self, limit: int | None = None) -> None:
        """Read and forget what is left, or at most `limit` bytes of it."""
        for _ in self.blocks(limit):
            pass
