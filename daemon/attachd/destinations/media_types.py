"""The content type of a file by its ending, from Python's own table and not from this machine's."""

from mimetypes import MimeTypes
from pathlib import PurePath

UNKNOWN = "application/octet-stream"
"""Of a file whose ending says nothing."""

_COMMON, _REGISTERED = MimeTypes().types_map


def media_type(filename: str) -> str:
    """Give the content type that belongs to a filename's last suffix, in any case of letters."""
    suffix = PurePath(filename).suffix.lower()
    return _REGISTERED.get(suffix) or _COMMON.get(suffix) or UNKNOWN
