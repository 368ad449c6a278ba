"""Storage as ION's signed URLs reach it: S3's rules for one PUT, and for fetching what was stored.

Strict where S3 is: exactly the signed Content-Type, a told length, no chunks, no Authorization, no
unsigned x-amz-* header, nothing after the end of the URL's time, and nothing stored of a body that was cut.
Stricter where ION's page says so: an upload URL serves once; the first PUT that passes all checks uses it
up, whether or not its body arrives whole. Milder in one thing: a download URL serves HEAD as well as GET.
Bodies go to files in blocks.
"""

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from attachd.simulator import signing
from attachd.simulator.bodies import Body
from attachd.simulator.replies import Reply, storage_error
from attachd.simulator.world import Stored, World

LARGEST = 5 * 1024**3
"""Bytes of the largest object S3 takes in one PUT."""

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
        method: `PUT`, `GET` or `HEAD`.
        key: decoded.
        query: decoded.
        headers: names in lower case.
    """

    method: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


class Storage:
    """Stores and serves objects for one simulator; the world is its memory.

    Args:
        directory: an existing directory for the bytes.
    """

    def __init__(self, world: World, directory: Path) -> None:
        self._world = world
        self._directory = directory
        self._numbers = itertools.count(1)

    def answer(self, access: Access, body: Body) -> Reply:
        """Check a request and do what it asks for.

        Raises:
            ConnectionAbortedError: the body was cut; nothing is stored.
        """
        refusal = self._unreadable(access, body) or self._unauthorized(access)
        if refusal is not None:
            return refusal
        return self._take(access, body) if access.method == "PUT" else self._give(access)

    def _unreadable(self, access: Access, body: Body) -> Reply | None:
        if "transfer-encoding" in access.headers:
            text = "A header you provided implies functionality that is not implemented"
            return storage_error(501, "NotImplemented", text, closing=True, Header="Transfer-Encoding")
        if access.method == "PUT" and body.length is None:
            text = "You must provide the Content-Length HTTP header."
            return storage_error(411, "MissingContentLength", text, closing=True)
        if (body.length or 0) > LARGEST:
            text = "Your proposed upload exceeds the maximum allowed size"
            return storage_error(400, "EntityTooLarge", text, closing=True, MaxSizeAllowed=str(LARGEST))
        return None

    def _unauthorized(self, access: Access) -> Reply | None:
        if "authorization" in access.headers:
            return storage_error(400, "InvalidArgument", _SECOND_AUTH, ArgumentName="Authorization")
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
        if not self._world.spend(access.key):
            return storage_error(403, "AccessDenied", "Access Denied: this upload URL was used before")
        stored = self._receive(access, body)
        self._world.store(stored)
        return Reply(headers={"ETag": f'"{stored.etag}"'})

    def _receive(self, access: Access, body: Body) -> Stored:
        path = self._directory / str(next(self._numbers))
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        try:
            with path.open("wb") as file:
                for block in body.blocks():
                    sha256.update(block)
                    md5.update(block)
                    file.write(block)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return Stored(
            s3_key=access.key,
            filename=self._world.filename_of(access.key),
            content_type=access.headers["content-type"],
            path=path,
            size=body.length or 0,
            sha256=sha256.hexdigest(),
            md5=md5.hexdigest(),
            etag=md5.hexdigest(),
            at=self._world.now(),
        )

    def _give(self, access: Access) -> Reply:
        stored = self._world.stored(access.key)
        if stored is None or not stored.path.exists():
            return storage_error(404, "NoSuchKey", "The specified key does not exist.", Key=access.key)
        headers = {"Content-Type": stored.content_type, "ETag": f'"{stored.etag}"'}
        return Reply(headers=headers, body=stored.path)


def expired(end: float, now: float) -> Reply:
    """Refuse a request whose URL ended at `end`; both are UNIX times."""
    text = "Request has expired"
    return storage_error(403, "AccessDenied", text, Expires=_iso(end), ServerTime=_iso(now))


def _unsigned_header(access: Access) -> Reply | None:
    unsigned = sorted(name for name in access.headers if name.startswith("x-amz-"))
    if not unsigned:
        return None
    text = "There were headers present in the request which were not signed"
    return storage_error(403, "AccessDenied", text, HeadersNotSigned=", ".join(unsigned))


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
