"""Multipart forms around a file, and the headers that come with a signed URL.

The form is written as browsers write it: "multipart/form-data encoding algorithm" of the WHATWG's HTML
standard, and RFC 7578. Fields keep their order and their values; S3 reads nothing behind the file
(docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html), so that the file comes last.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from attachd.core.protocols import Body
from attachd.errors import FileChanged, Trouble
from attachd.model import ErrorKind, Severity

Headers = tuple[tuple[str, str], ...]
"""Names and values, in order."""

FILE = "@file"
"""The value that stands where the file goes (docs.glue.ai, developers/graphql-api/attachments)."""

_OURS = frozenset(
    {
        "host",  # the URL's
        "content-length",  # the body's
        "connection",
        "expect",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers of the connection itself (RFC 9110, section 7.6.1), which are made for it and not forwarded."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_ESCAPED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
_ASK_VENDOR = "tell the operator of the destination: its upload ticket cannot be followed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form with one place for a file.

    Attributes:
        fields: in the order they were given; the value of one is `@file`.
        filename: of the file.
        file_type: content type of the file.
        boundary: between the parts; so random that no part has it.
    """

    fields: Headers = field(repr=False)
    filename: str
    file_type: str
    boundary: str

    @property
    def content_type(self) -> str:
        """Give the Content-Type of the whole."""
        return f"multipart/form-data; boundary={self.boundary}"

    def around(self, body: Body) -> "Framed":
        """Put the form around a file's bytes.

        Raises:
            Trouble: the form has no place for the file, or several.
        """
        places = [name for name, value in self.fields if value == FILE]
        if len(places) != 1:
            raise _unusable(f"has {len(places) or 'no'} places for the file in its form")
        parts = [self._part(name, value) for name, value in self.fields if value != FILE]
        named = f'{_disposition(places[0])}; filename="{self.filename.translate(_ESCAPED)}"'
        head = f"--{self.boundary}\r\n{named}\r\nContent-Type: {self.file_type}\r\n\r\n"
        return Framed(
            "".join([*parts, head]).encode("utf-8", "backslashreplace"),
            body,
            f"\r\n--{self.boundary}--\r\n".encode(),
        )

    def _part(self, name: str, value: str) -> str:
        return f"--{self.boundary}\r\n{_disposition(name)}\r\n\r\n{value}\r\n"


class Framed:
    """A file's bytes with something before and behind them. Owner: the worker that sends it.

    Attributes:
        size: bytes of it all.
    """

    def __init__(self, head: bytes, body: Body, tail: bytes) -> None:
        self.size = len(head) + body.size + len(tail)
        self._head = head
        self._body = body
        self._left = body.size
        self._tail = tail

    def read(self, length: int = -1, /) -> bytes:
        """Give at most `length` bytes, b"" at the end; a block never has both form and file in it.

        Raises:
            FileChanged: the body ended before its length; also whatever the body itself raises.
        """
        length = self.size if length < 0 else length
        if self._head:
            block, self._head = self._head[:length], self._head[length:]
        elif self._left:
            block = self._body.read(min(length, self._left))
            if not block:
                raise FileChanged("the file became shorter while it was sent")
            self._left -= len(block)
        else:
            block, self._tail = self._tail[:length], self._tail[length:]
        return block


def forwarded(headers: Headers) -> Mapping[str, str]:
    """Give the headers to send: all that were given but those of the connection itself.

    An Authorization that comes with the URL is storage's own, and is sent as it was given.

    Raises:
        Trouble: one of them cannot be sent.
    """
    kept = {}
    for name, value in headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or value != value.strip():
            raise _unusable("has a header that cannot be sent")
        if name.lower() not in _OURS:
            kept[name] = value
    return kept


def _disposition(name: str) -> str:
    return f'Content-Disposition: form-data; name="{name.translate(_ESCAPED)}"'


def _unusable(what: str) -> Trouble:
    return Trouble(
        ErrorKind.REJECTED,
        Severity.LASTING,
        f"the destination gave out an upload ticket that {what}",
        hint=_ASK_VENDOR,
    )
