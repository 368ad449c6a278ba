"""Storage as a form reaches it: S3's rules for a browser-based upload, held against the ticket it belongs to.

Strict where S3 is: every field of the policy exactly, none besides, the file after all of them, the length
in range, nothing after the policy's end. Stricter where Glue's page says so: the fields in the order of the
ticket, its headers sent back, and a file part with a filename and the file's Content-Type. Stricter than
both: nothing may follow the file, which S3 would ignore, and the bytes must have the ticket's MD5.
"""

from collections.abc import Sequence
from urllib.parse import quote
from xml.sax.saxutils import escape

from attachd.simulator.bodies import Body
from attachd.simulator.forms import Form, FormError, Part, boundary_of
from attachd.simulator.glue_memory import Ticket
from attachd.simulator.replies import Reply, storage_error
from attachd.simulator.shelf import Kept, Shelf
from attachd.simulator.storage import Access, not_as_told, unreadable, used_up
from attachd.simulator.tickets import FILE
from attachd.simulator.world import Stored, World

_FIELDS_LIMIT = 20 * 1024
"""Bytes of all fields before the file, as in S3."""

Fields = Sequence[tuple[str, str]]


class Posting:
    """Takes forms for one simulator; the world is its memory."""

    def __init__(self, world: World, shelf: Shelf) -> None:
        self._world = world
        self._shelf = shelf

    def answer(self, access: Access, body: Body) -> Reply:
        """Check a form and store its file; the key of the access is the id of a ticket.

        Raises:
            ConnectionAbortedError: the body was cut; nothing is stored.
        """
        refusal = unreadable(access, body)
        ticket = self._world.glue.ticket(access.key)
        if refusal is not None:
            return refusal
        if ticket is None or ticket.form is None:
            return storage_error(404, "NoSuchBucket", "The specified bucket does not exist")
        refusal = used_up() if ticket.file_id is not None else _refused_headers(access, ticket)
        try:
            return refusal or self._take(access, ticket, ticket.form, body)
        except FormError as error:
            text = f"The body of your POST request is not well-formed multipart/form-data: {error}"
            return storage_error(400, "MalformedPOSTRequest", text)

    def _take(self, access: Access, ticket: Ticket, wanted: Fields, body: Body) -> Reply:
        form = Form(body.blocks(), boundary_of(access.headers["content-type"]) or b"")
        fields, file = _read_fields(form)
        refusal = (
            _refused_fields(fields, wanted) or self._ended(ticket) or _refused_file(file, ticket, wanted)
        )
        if refusal is not None:
            return refusal
        kept = self._shelf.keep(form.content())
        refusal = _after(form, kept) or not_as_told(kept, ticket.wanted.length, ticket.wanted.content_md5)
        if refusal is not None:
            return refusal
        stored = self._world.keep(ticket.key, ticket.wanted.content_type, kept)
        return _success(ticket, stored, dict(wanted)["success_action_status"])

    def _ended(self, ticket: Ticket) -> Reply | None:
        is_over = self._world.clock() >= ticket.ends_at
        return _against_policy("Policy expired.") if is_over else None


def _read_fields(form: Form) -> tuple[list[tuple[str, str]], Part | None]:
    fields: list[tuple[str, str]] = []
    left = _FIELDS_LIMIT
    while (part := form.next()) is not None and part.filename is None:
        value = bytearray()
        for block in form.content():
            value += block
            if len(value) > left:
                raise FormError("the fields before the file are too long")
        left -= len(value)
        fields.append((part.name, value.decode("utf-8", "replace")))
    return fields, part


def _refused_headers(access: Access, ticket: Ticket) -> Reply | None:
    if not access.headers.get("content-type", "").startswith("multipart/form-data;"):
        text = "Bucket POST must be of the enclosure-type multipart/form-data"
        return storage_error(412, "PreconditionFailed", text, Condition=text)
    if boundary_of(access.headers["content-type"]) is None:
        text = "The body of your POST request is not well-formed multipart/form-data: no boundary is told"
        return storage_error(400, "MalformedPOSTRequest", text)
    if any(name.startswith("x-amz-") for name in access.headers):
        return storage_error(403, "AccessDenied", "A form bears x-amz-* as fields and not as headers")
    for name, value in ticket.headers:
        if name != "Content-Type" and access.headers.get(name.lower()) != value:
            return storage_error(403, "AccessDenied", f"The header {name} is not as in the upload ticket")
    return None


def _refused_fields(fields: Fields, wanted: Fields) -> Reply | None:
    expected = [field for field in wanted if field[1] != FILE]
    given, known = [name for name, _ in fields], dict(expected)
    if "key" not in given:
        text = (
            "Bucket POST must contain a field named 'key'. If it is specified, check the order of the fields."
        )
        return storage_error(400, "InvalidArgument", text, ArgumentName="key")
    missing = [name for name in known if name not in given]
    extra = [name for name in given if name not in known]
    other = [name for name, value in fields if known.get(name) != value]
    if extra or len(set(given)) < len(given):
        return _against_policy(f"Extra input fields: {(extra or given)[0]}")
    if missing or other:
        return _against_policy(f'Policy Condition failed: ["eq", "${(missing + other)[0]}"]')
    if list(fields) != expected:
        return storage_error(400, "InvalidArgument", "The fields are not in the order of the upload ticket")
    return None


def _refused_file(file: Part | None, ticket: Ticket, wanted: Fields) -> Reply | None:
    name = next(name for name, value in wanted if value == FILE)
    if file is None or file.name != name:
        text = f"POST requires exactly one file upload per request, in a field named {name} with a filename."
        return storage_error(400, "IncorrectNumberOfFilesInPostRequest", text)
    if not file.filename:
        return storage_error(400, "InvalidArgument", "The file has an empty filename")
    if file.content_type != ticket.wanted.content_type:
        return storage_error(400, "InvalidArgument", "The file's part has another Content-Type than the file")
    return None


def _after(form: Form, kept: Kept) -> Reply | None:
    try:
        part = form.next()
    except FormError:
        kept.path.unlink(missing_ok=True)
        raise
    if part is None:
        return None
    kept.path.unlink(missing_ok=True)
    return storage_error(
        400, "InvalidArgument", "Nothing may follow the file in a form", ArgumentName=part.name
    )


def _against_policy(why: str) -> Reply:
    return storage_error(403, "AccessDenied", f"Invalid according to Policy: {why}")


def _success(ticket: Ticket, stored: Stored, status: str) -> Reply:
    place = f"/storage/{quote(stored.s3_key)}"
    headers = {"ETag": f'"{stored.etag}"', "Location": place}
    if status != "201":
        return Reply(status=int(status), headers=headers)
    values = {"Location": place, "Bucket": "storage", "Key": ticket.key, "ETag": f'"{stored.etag}"'}
    elements = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<PostResponse>{elements}</PostResponse>'
    return Reply(status=201, headers={**headers, "Content-Type": "application/xml"}, body=xml.encode())
