"""HTTP answers as values: GraphQL's JSON, storage's XML errors, pages.

The XML has the form of Amazon S3's "Error responses".
"""

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

_FORBIDDEN_IN_HEADER = str.maketrans("", "", "\r\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer.

    Attributes:
        status: HTTP status code.
        headers: without Content-Length, Date and Connection, which `head_of` adds.
        body: the bytes, or a file that has them.
        closing: end the connection afterwards, because the rest of the request is of unknown length.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Path = b""
    closing: bool = False


def head_of(reply: Reply, length: int) -> bytes:
    """Write status line and headers for a body of `length` bytes."""
    known = {status.value for status in HTTPStatus}
    phrase = HTTPStatus(reply.status).phrase if reply.status in known else "Unknown"
    lines = [f"HTTP/1.1 {reply.status} {phrase}", "Server: simulator", f"Date: {formatdate(usegmt=True)}"]
    lines += [f"{name}: {value}".translate(_FORBIDDEN_IN_HEADER) for name, value in reply.headers.items()]
    lines.append(f"Content-Length: {length}")
    lines += ["Connection: close"] if reply.closing else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def json_reply(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Answer with JSON."""
    return Reply(
        status=status,
        headers={"Content-Type": "application/json", **(headers or {})},
        body=json.dumps(value).encode("ascii"),
    )


def html_reply(text: str, *, status: int = 200) -> Reply:
    """Answer with a page that may load nothing and run nothing."""
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        "Cache-Control": "no-store",
    }
    return Reply(status=status, headers=headers, body=text.encode("utf-8", "backslashreplace"))


def plain_page(title: str, text: str, *, status: int = 200) -> Reply:
    """Answer with a page of one sentence, like a proxy in between would."""
    title, text = html.escape(title), html.escape(text)
    return html_reply(
        f"<!doctype html><html><title>{title}</title><h1>{title}</h1><p>{text}</p></html>", status=status
    )


def storage_error(status: int, code: str, message: str, *, closing: bool = False, **details: str) -> Reply:
    """Refuse as S3 does; each detail becomes an element, with `_` in its name written as `-`."""
    values = {"Code": code, "Message": message, **details, "RequestId": "SIMULATOR", "HostId": "simulator"}
    elements = "".join(
        f"<{n.replace('_', '-')}>{escape(v)}</{n.replace('_', '-')}>" for n, v in values.items()
    )
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{elements}</Error>'
    return Reply(
        status=status,
        headers={"Content-Type": "application/xml"},
        body=body.encode("utf-8", "backslashreplace"),
        closing=closing,
    )
