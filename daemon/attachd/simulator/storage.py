"""Storage as signed URLs reach it: S3's rules for one PUT, and for fetching what was stored.

Strict where S3 is: exactly the signed headers, a told length, no chunks, no Authorization, no
unsigned x-amz-* header, no bytes but those of a Content-MD5, nothing after the end of the URL's time, and
nothing stored of a body that was cut. Stricter where ION's page says so: its upload URL serves once; the
first PUT that passes all checks uses it up, whether or not its body arrives whole. Stricter for Glue: a PUT
has the length of its ticket, and comes before the file was created. Milder in one thing: a download URL
serves HEAD as well as GET. Bodies go to files in blocks.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from attachd.simulator import signing
from attachd.simulator.bodies import Body
from attachd.simulator.replies import Reply, storage_error
from attachd.simulator.shelf import Kept, Shelf
from attachd.simulator.world import World

LARGEST = 5 * 1024**3
"""Bytes of the largest object S3 takes in one PUT."""

_FORM_MARGIN = 64 * 1024
_SECOND_AUTH = (
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
    "parameter or the Authorization header should be specified"
)
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your key and signing method."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One request to storage.

    Attributes:
        method: `PUT`, `GET`, `HEAD` or `POST`.
        key: decoded.
        query: decoded.
        headers: names in lower case.
    """

    method: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


class Storage:
    """Stores and serves objects for one simulator; the world is its memory."""

    def __init__(self, world: World, shelf: Shelf) -> None:
        self._world = world
        self._shelf = shelf

    def answer(self, access: Access, body: Body) -> Reply:
        """Check a request and do what it asks for.

        Raises:
            ConnectionAbortedError: the body was cut; nothing is stored.
        """
        refusal = unreadable(access, body) or self._unauthorized(access)
        if refusal is not None:
            return refusal
        return self._take(access, body) if access.method == "PUT" else self._give(access)

    def _unauthorized(self, access: Access) -> Reply | None:
        if not signing.is_signed(access.query):
            return storage_error(403, "AccessDenied", "Access Denied")
        return self._expired(access) or self._mismatched(access) or _unsigned_header(access)

    def _expired(self, access: Access) -> Reply | None:
        end = signing.expires_at(access.query)
        if end is None:
            text = "X-Amz-Date and X-Amz-Expires must be a time and a number of seconds"
            return storage_error(400, "AuthorizationQueryParametersError", text)
        return expired(end, self._world.clock()) if self._world.clock() >= end else None

    def _mismatched(self, access: Access) -> Reply | None:
        is_put = access.method == "PUT"
        subject = signing.Subject(
            method="PUT" if is_put else "GET",
            key=access.key,
            content_type=access.headers.get("content-type", "") if is_put else "",
            headers=tuple((name, access.headers.get(name, "")) for name in _signed(access)),
        )
        if signing.matches(self._world.secret, subject, access.query):
            return None
        return storage_error(
            403,
            "SignatureDoesNotMatch",
            _MISMATCH,
            AWSAccessKeyId=signing.ACCESS_KEY_ID,
            SignatureProvided=access.query["X-Amz-Signature"],
        )

    def _take(self, access: Access, body: Body) -> Reply:
        ticket = self._world.glue.ticket_of(access.key)
        if ticket.file_id is not None if ticket else not self._world.spend(access.key):
            return used_up()
        kept = self._shelf.keep(body.blocks())
        length = ticket.wanted.length if ticket else kept.size
        refusal = not_as_told(kept, length, access.headers.get("content-md5"))
        if refusal is not None:
            return refusal
        stored = self._world.keep(access.key, access.headers["content-type"], kept)
        return Reply(headers={"ETag": f'"{stored.etag}"'})

    def _give(self, access: Access) -> Reply:
        stored = self._world.stored(access.key)
        if stored is None or not stored.path.exists():
            return storage_error(404, "NoSuchKey", "The specified key does not exist.", Key=access.key)
        headers = {"Content-Type": stored.content_type, "ETag": f'"{stored.etag}"'}
        return Reply(headers=headers, body=stored.path)


def unreadable(access: Access, body: Body) -> Reply | None:
    """Refuse a request whose body cannot be taken, or that bears a second proof of who sends it."""
    if "transfer-encoding" in access.headers:
        text = "A header you provided implies functionality that is not implemented"
        return storage_error(501, "NotImplemented", text, closing=True, Header="Transfer-Encoding")
    if access.method in {"PUT", "POST"} and body.length is None:
        text = "You must provide the Content-Length HTTP header."
        return storage_error(411, "MissingContentLength", text, closing=True)
    if (body.length or 0) > LARGEST + (_FORM_MARGIN if access.method == "POST" else 0):
        return too_large(LARGEST, closing=True)
    if "authorization" in access.headers:
        return storage_error(400, "InvalidArgument", _SECOND_AUTH, ArgumentName="Authorization")
    return None


def not_as_told(kept: Kept, length: int, content_md5: str | None) -> Reply | None:
    """Refuse, and remove, bytes that have another length or another MD5 (base64) than was told."""
    refusal = _other_bytes(kept, length, content_md5)
    if refusal is not None:
        kept.path.unlink(missing_ok=True)
    return refusal


def _other_bytes(kept: Kept, length: int, content_md5: str | None) -> Reply | None:
    if kept.size > length:
        return too_large(length)
    if kept.size < length:
        text = "Your proposed upload is smaller than the minimum allowed object size."
        return storage_error(400, "EntityTooSmall", text, MinSizeAllowed=str(length))
    if content_md5 not in (None, base64.b64encode(bytes.fromhex(kept.md5)).decode()):
        text = "The Content-MD5 you specified did not match what we received."
        return storage_error(400, "BadDigest", text)
    return None


def used_up() -> Reply:
    """Refuse an upload to a place where one was made."""
    return storage_error(403, "AccessDenied", "Access Denied: this upload URL was used before")


def too_large(limit: int, *, closing: bool = False) -> Reply:
    """Refuse bytes beyond a limit."""
    text = "Your proposed upload exceeds the maximum allowed size"
    return storage_error(400, "EntityTooLarge", text, closing=closing, MaxSizeAllowed=str(limit))


def expired(end: float, now: float) -> Reply:
    """Refuse a request whose URL ended at `end`; both are UNIX times."""
    text = "Request has expired"
    return storage_error(403, "AccessDenied", text, Expires=_iso(end), ServerTime=_iso(now))


def _unsigned_header(access: Access) -> Reply | None:
    signed = _signed(access)
    unsigned = sorted(name for name in access.headers if name.startswith("x-amz-") and name not in signed)
    if not unsigned:
        return None
    text = "There were headers present in the request which were not signed"
    return storage_error(403, "AccessDenied", text, HeadersNotSigned=", ".join(unsigned))


def _signed(access: Access) -> list[str]:
    names = access.query["X-Amz-SignedHeaders"].split(";")
    return [name for name in names if name not in {"host", "content-type"}]


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
