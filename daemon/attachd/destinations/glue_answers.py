"""Reads what Glue answers about tickets and files, and says what its refusals of a ticket mean. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from attachd.core.accounts import RemoteFile
from attachd.core.protocols import Receipt, Ticket, Upload
from attachd.destinations.forms import Headers
from attachd.destinations.graphql import Reply, id_text
from attachd.destinations.redaction import quoted
from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity

_TICKET = re.compile(r"\b(upload.?)?ticket\b|\bupload\b", re.IGNORECASE)
_MAY_BE_THE_TICKET = frozenset({ErrorKind.REJECTED, ErrorKind.INTEGRITY})
_ANEW = "attachd asks for another ticket and sends the file once more by itself"


def known_file(reply: Reply, upload: Upload) -> Receipt | None:
    """Read the file that Glue has with these bytes already, as a receipt of `create`; None where it has none.

    `filename` is the name it has there, which is that of its first upload.
    """
    if reply.at("uploadTicket", "__typename") != "File":
        return None
    file_id = id_text(reply.at("uploadTicket", "id"))
    if file_id is None:
        return None
    name = str(reply.at("uploadTicket", "name") or "")
    note = f"reused {quoted(file_id)}, which Glue has as '{quoted(name)}', for '{upload.filename}'"
    return {"remote_id": file_id, "filename": name, "note": note}


def ticket_of(reply: Reply, facts: Receipt) -> Ticket | None:
    """Read an upload ticket; None where it is none, or cannot be read."""
    ticket_id = id_text(reply.at("uploadTicket", "id"))
    url = reply.at("uploadTicket", "url")
    headers, form = (_pairs(reply.at("uploadTicket", name)) for name in ("headers", "formData"))
    is_ticket = reply.at("uploadTicket", "__typename") == "UploadTicket"
    if not is_ticket or ticket_id is None or not isinstance(url, str) or headers is None or form is None:
        return None
    return Ticket(
        url=url,
        content_type=facts["content_type"],
        headers=headers,
        form=form or None,  # an empty one has no place for the file: as good as none
        facts={**facts, "upload_ticket_id": ticket_id},
    )


def about_ticket(trouble: Trouble) -> Trouble:
    """Say what a refused `createFile` means: a ticket that is unknown, over or used needs another one."""
    if trouble.severity is not Severity.LASTING:
        return trouble
    at_fault = trouble.kind in _MAY_BE_THE_TICKET and _TICKET.search(trouble.message)
    if trouble.kind is not ErrorKind.UNKNOWN_TARGET and not at_fault:
        return trouble
    return Trouble(ErrorKind.EXPIRED, Severity.LASTING, trouble.message, hint=_ANEW, restart=True)


def remote_file(node: Mapping[str, Any]) -> RemoteFile:
    """Read a file as `verify` wants it."""
    url = node.get("url")
    return RemoteFile(
        filename=str(node.get("name") or ""),
        entity_id="",
        download_url=url if isinstance(url, str) else "",
    )


def _pairs(given: Any) -> Headers | None:
    """Read a list of names and values, null as an empty one; None where it is something else."""
    entries = [] if given is None else given
    if not isinstance(entries, list):
        return None
    pairs = [_pair(entry) for entry in entries]
    kept = tuple(pair for pair in pairs if pair is not None)
    return kept if len(kept) == len(pairs) else None


def _pair(entry: Any) -> tuple[str, str] | None:
    if not isinstance(entry, Mapping):
        return None
    name, value = entry.get("name"), entry.get("value")
    return (name, value) if isinstance(name, str) and isinstance(value, str) else None
