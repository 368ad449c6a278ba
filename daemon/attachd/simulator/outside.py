"""Real S3 behind the simulator: URLs and forms signed for it, and a HEAD where an upload is looked at.

The signature is that of "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" in the
S3 API reference, with the standard library alone. The bytes never pass through the simulator.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from urllib.parse import quote, urlsplit

from attachd.simulator.signing import Subject
from attachd.simulator.sigv4 import ALGORITHM, STAMP, Signer

_TIMEOUT = 10.0


class OutsideError(Exception):
    """Storage did not answer a HEAD as it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """A bucket of an S3 service on this machine, addressed by path.

    Attributes:
        endpoint: `http://127.0.0.1:PORT`.
    """

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"

    def url(self, subject: Subject, *, now: float, lifetime: int) -> str:
        """Give a URL that allows the subject from now on for `lifetime` seconds."""
        path = f"/{self.bucket}/{subject.key}" if subject.key else f"/{self.bucket}"
        return f"{self.endpoint}{self._signed(path, subject, now=now, lifetime=lifetime)}"

    @property
    def form_url(self) -> str:
        """Give the address that takes forms."""
        return f"{self.endpoint}/{self.bucket}"

    @property
    def signer(self) -> Signer:
        """Give whose key signs."""
        return Signer(access_key=self.access_key, secret_key=self.secret_key, region=self.region)

    def etag(self, key: str, *, now: float) -> str | None:
        """Ask storage for the ETag of an object, without its quotes; None where there is no object.

        Raises:
            OutsideError: it answered with anything else.
            OSError: it did not answer.
        """
        subject = Subject(method="HEAD", key=key)
        split = urlsplit(self.url(subject, now=now, lifetime=60))
        connection = HTTPConnection(split.netloc, timeout=_TIMEOUT)
        try:
            connection.request("HEAD", f"{split.path}?{split.query}")
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise OutsideError(f"storage answered {answer.status} to a HEAD")
        return (answer.getheader("ETag") or "").strip('"')

    def _signed(self, path: str, subject: Subject, *, now: float, lifetime: int) -> str:
        stamp = datetime.fromtimestamp(now, UTC).strftime(STAMP)
        scope = self.signer.scope(stamp)
        headers = {"host": urlsplit(self.endpoint).netloc, **dict(subject.headers)}
        if subject.content_type:
            headers["content-type"] = subject.content_type
        query = {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{self.access_key}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(lifetime),
            "X-Amz-SignedHeaders": subject.signed_headers,
        }
        request = _canonical(subject.method, path, query, headers)
        text = "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
        return f"{_path(path)}?{_query(query)}&X-Amz-Signature={self.signer.sign(scope, text)}"


def _canonical(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    lines = [f"{name}:{value.strip()}" for name, value in sorted(headers.items())]
    names = ";".join(sorted(headers))
    return "\n".join([method, _path(path), _query(query), *lines, "", names, "UNSIGNED-PAYLOAD"])


def _path(path: str) -> str:
    return quote(path, safe="/-_.~")


def _query(query: Mapping[str, str]) -> str:
    return "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items())
    )
