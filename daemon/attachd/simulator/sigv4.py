"""AWS Signature Version 4 where a request bears it in a form: the fields of a browser-based upload.

After "Browser-Based Uploads Using POST" in the S3 API reference: a policy that names every field and the
range of lengths, signed with the same derived key as a URL. Pure: the time is an argument.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

ALGORITHM = "AWS4-HMAC-SHA256"
STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Whose key signs, and where it is valid."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"

    def scope(self, stamp: str) -> str:
        """Give what a signature of this day is good for."""
        return f"{stamp[:8]}/{self.region}/s3/aws4_request"

    def sign(self, scope: str, text: str) -> str:
        """Sign a text with the key that is derived for a scope."""
        key = f"AWS4{self.secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one form may upload.

    Attributes:
        length: bytes; neither more nor fewer are allowed.
        fields: form fields in order, each of which must come as it is here.
    """

    bucket: str
    length: int
    fields: Sequence[tuple[str, str]]


def form_fields(signer: Signer, policy: Policy, *, now: float, lifetime: int) -> tuple[tuple[str, str], ...]:
    """Give all fields of a form but the file, the signed policy among them; they serve `lifetime` seconds."""
    stamp = datetime.fromtimestamp(now, UTC).strftime(STAMP)
    scope = signer.scope(stamp)
    named = [
        *policy.fields,
        ("x-amz-algorithm", ALGORITHM),
        ("x-amz-credential", f"{signer.access_key}/{scope}"),
        ("x-amz-date", stamp),
    ]
    document = {
        "expiration": datetime.fromtimestamp(now + lifetime, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "conditions": [
            {"bucket": policy.bucket},
            ["content-length-range", policy.length, policy.length],
            *({name: value} for name, value in named),
        ],
    }
    encoded = base64.b64encode(json.dumps(document).encode()).decode("ascii")
    return (*named, ("policy", encoded), ("x-amz-signature", signer.sign(scope, encoded)))
