"""Signed storage URLs in the manner of Amazon S3: bound to method, key, headers and a span of time.

Pure: the time is an argument. The query parameters bear the names of AWS Signature Version 4 ("Authenticating
requests: using query parameters"), and tampering with any of them, with the key or with a signed header
breaks the signature; the signed text itself is simpler than Amazon's: only this simulator checks it.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from attachd.simulator.sigv4 import ALGORITHM, STAMP

ACCESS_KEY_ID = "SIMULATORACCESSKEY"
_REQUIRED = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a signature allows.

    Attributes:
        method: `PUT` or `GET`.
        key: the storage object's key.
        content_type: the Content-Type a PUT must bear; empty for GET.
        headers: further headers it must bear, names in lower case.
    """

    method: str
    key: str
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def signed_headers(self) -> str:
        """Name the headers that the signature covers, as `X-Amz-SignedHeaders` does."""
        names = ["host", *(name for name, _ in self.headers)]
        return ";".join(sorted([*names, "content-type"] if self.content_type else names))


def path_of(key: str) -> str:
    """Give the URL path of a storage object, percent-encoded as S3 does."""
    return "/storage/" + quote(key, safe="/-_.~")


def signed_path(secret: bytes, subject: Subject, *, now: float, lifetime: int) -> str:
    """Give path and query of a URL that allows the subject from now on for `lifetime` seconds."""
    date = datetime.fromtimestamp(now, UTC).strftime(STAMP)
    query = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{ACCESS_KEY_ID}/{date[:8]}/local/s3/aws4_request",
        "X-Amz-Date": date,
        "X-Amz-Expires": str(lifetime),
        "X-Amz-SignedHeaders": subject.signed_headers,
    }
    query["X-Amz-Signature"] = _signature(secret, subject, query)
    return f"{path_of(subject.key)}?{urlencode(query)}"


def is_signed(query: Mapping[str, str]) -> bool:
    """Say whether the query bears everything a signed URL has."""
    return all(query.get(name) for name in _REQUIRED)


def expires_at(query: Mapping[str, str]) -> float | None:
    """Give the UNIX time at which the query says the URL ends, or None where that cannot be read."""
    try:
        signed = datetime.strptime(query["X-Amz-Date"], STAMP).replace(tzinfo=UTC)
        return signed.timestamp() + int(query["X-Amz-Expires"])
    except ValueError:
        return None


def matches(secret: bytes, subject: Subject, query: Mapping[str, str]) -> bool:
    """Say whether the signature in the query is the right one for this subject and all of the query."""
    if set(query) != set(_REQUIRED):
        return False
    given = query["X-Amz-Signature"].encode("utf-8", "replace")
    return hmac.compare_digest(_signature(secret, subject, query).encode(), given)


def _signature(secret: bytes, subject: Subject, query: Mapping[str, str]) -> str:
    others = [f"{name}={query[name]}" for name in _REQUIRED if name != "X-Amz-Signature"]
    headers = [f"{name}:{value}" for name, value in subject.headers]
    text = "\n".join([subject.method, subject.key, subject.content_type, *others, *headers])
    return hmac.new(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
