"""A multipart/form-data body (RFC 7578), read part by part and never as a whole."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEAD_LIMIT = 8 * 1024
_NAME = re.compile(rb';\s*name="([^"]*)"', re.IGNORECASE)
_FILENAME = re.compile(rb';\s*filename\*?=("?)([^";]*)', re.IGNORECASE)
_TYPE = re.compile(rb"^content-type:[ \t]*(.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_DISPOSITION = re.compile(rb"^content-disposition:[ \t]*form-data[ \t]*;", re.IGNORECASE | re.MULTILINE)
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)


class FormError(Exception):
    """The body is no form; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The head of one part.

    Attributes:
        filename: None where the part is no file.
        content_type: empty where none is told.
    """

    name: str
    filename: str | None
    content_type: str


def boundary_of(content_type: str) -> bytes | None:
    """Find the boundary in a Content-Type; None where it has none."""
    found = _BOUNDARY.search(content_type)
    return (found[1] or found[2]).encode("latin-1", "replace") if found else None


class Form:
    """One body, which belongs to the thread of its connection.

    Args:
        blocks: the bytes of the body.
    """

    def __init__(self, blocks: Iterator[bytes], boundary: bytes) -> None:
        self._blocks = blocks
        self._mark = b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")  # so that the first boundary looks like the others

    def next(self) -> Part | None:
        """Go to the next part, once the last one's content was read; None after the last one.

        Raises:
            FormError: there is neither a part nor the end.
        """
        self._need(len(self._mark) + 2)
        if not self._buffer.startswith(self._mark):
            raise FormError("the form does not begin with its boundary")
        after = bytes(self._buffer[len(self._mark) : len(self._mark) + 2])
        del self._buffer[: len(self._mark) + 2]
        if after == b"--":
            self._end()
            return None
        if after != b"\r\n":
            raise FormError("a boundary is followed by something else than a line end")
        return _part(self._head())

    def content(self) -> Iterator[bytes]:
        """Read the content of the part that `next` gave.

        Raises:
            FormError: the form ended within it.
        """
        while (found := self._buffer.find(self._mark)) < 0:
            ready = len(self._buffer) - len(self._mark)
            if ready > 0:
                yield bytes(self._buffer[:ready])
                del self._buffer[:ready]
            self._fill()
        if found:
            yield bytes(self._buffer[:found])
        del self._buffer[:found]

    def _end(self) -> None:
        rest = bytes(self._buffer) + b"".join(self._blocks)
        if rest not in (b"", b"\r\n"):
            raise FormError("something follows the end of the form")

    def _head(self) -> bytes:
        while (end := self._buffer.find(b"\r\n\r\n", 0, _HEAD_LIMIT)) < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise FormError("the head of a part is too long")
            self._fill()
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        return head

    def _need(self, count: int) -> None:
        while len(self._buffer) < count:
            self._fill()

    def _fill(self) -> None:
        block = next(self._blocks, None)
        if block is None:
            raise FormError("the form ends without its last boundary")
        self._buffer += block


def _part(head: bytes) -> Part:
    lines = head.replace(b"\r\n", b"\n")
    name = _NAME.search(lines)
    if name is None or not _DISPOSITION.search(lines):
        raise FormError("a part has no Content-Disposition: form-data with a name")
    filename, content_type = _FILENAME.search(lines), _TYPE.search(lines)
    return Part(
        name=name[1].decode("utf-8", "replace"),
        filename=filename[2].decode("utf-8", "replace") if filename else None,
        content_type=content_type[1].decode("latin-1") if content_type else "",
    )
