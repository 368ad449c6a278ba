r"""The escaped form of a path: what leaves the process and what the ledger's text columns hold.

Bytes that are not UTF-8 stand as `\xNN`, a backslash as `\x5c`, everything else as it is. The form is
exact: `unescape(escape(path)) == path` for every path that `os.fsdecode` can give.
"""

import re

_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_SURROGATE_BASE = 0xDC00


def escape(path: str) -> str:
    """Turn a path in `os.fsdecode` form into text that can be stored, sent and printed as JSON."""
    if path.isascii() and "\\" not in path:
        return path
    return "".join(_escape_character(character) for character in path)


def unescape(text: str) -> str:
    """Turn the escaped form back into the path, in `os.fsdecode` form."""
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda found: _from_byte(int(found[1], 16)), text)


def _escape_character(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return r"\x5c"
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode's stand-in for one undecodable byte
        return f"\\x{code - _SURROGATE_BASE:02x}"
    return character


def _from_byte(byte: int) -> str:
    return "\\" if byte == ord("\\") else chr(_SURROGATE_BASE + byte)
