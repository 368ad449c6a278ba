"""Keeps secrets and signatures out of texts that come from outside, and makes them fit for one line."""

import re
from urllib.parse import parse_qsl, urlsplit

from attachd.printable import without_secrets

LONGEST = 300
"""Characters of a foreign text that are shown."""

_LOOKED_AT = 20_000

_QUERY = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.IGNORECASE)
_PARAMETER = re.compile(r"\b(X-(?:Amz|Goog)-[A-Za-z-]+|AWSAccessKeyId|Signature)=[^\s&\"'<>]+", re.IGNORECASE)
_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w.-]+|\b(?<=Bearer )[\w.~+/=-]{8,}")
_SHORTEST_SECRET = 6


def redact(text: str, *secrets: str) -> str:
    """Take out the queries of URLs, signing parameters, tokens, the given secrets, and all others in use."""
    text = without_secrets(text)
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    text = _QUERY.sub(r"\1?***", text)
    text = _PARAMETER.sub(r"\1=***", text)
    return _TOKEN.sub("***", text)


def secrets_in(url: str) -> tuple[str, ...]:
    """Give what must not be seen of a signed URL: its query, and each long value in it."""
    query = urlsplit(url).query
    values = (value for _, value in parse_qsl(query))
    return (query, *(value for value in values if len(value) >= 16))


def quoted(text: str, *secrets: str) -> str:
    """Make a foreign text fit to be shown: redacted, on one line, no control characters, not too long."""
    line = " ".join(redact(text[:_LOOKED_AT], *secrets).split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
