"""Tells files that were cut off by their end marks: JPEG, PNG, PDF and ZIP with all that is made of it.

Tolerant on purpose: a file is taken for cut off only where its name says that it is of such a type, its
first bytes say so too, and what a whole one has is not there. Zeros in their place say nothing where they
were written, and are missing where they were only reserved: the disk is asked (`OpenFile.has_hole`). Bytes
behind the end mark are fine, as cameras and printers leave them. Anything odd is taken as whole: the reader
may refuse it.

Sources: ITU T.81 annex B (JPEG), PNG specification 11.2, ISO 32000-1 7.5.5 and annex F (PDF), PKWARE's
APPNOTE 4.3 (ZIP).
"""

import re
from collections.abc import Callable, Mapping

Read = Callable[[int, int], bytes]
"""Gives at most so many bytes (second) from an offset (first), fewer only at the end of the file."""

_HEAD = 1024
_TAIL = 65_536
_BLOCK = 1024 * 1024
_MOST_BLOCKS = 64
_MOST_STEPS = 100_000
"""What is looked at of one file at most, in MiB and in segments: beyond that nothing is said."""

_JPEG = frozenset({"jpg", "jpeg", "jpe", "jfif", "mpo"})
_PNG = frozenset({"png", "apng"})
_PDF = frozenset({"pdf"})
_ZIP = frozenset(
    {"zip", "docx", "docm", "dotx", "xlsx", "xlsm", "xltx", "pptx", "pptm", "potx", "vsdx"}
    | {"odt", "ods", "odp", "odg", "epub", "jar", "3mf", "kmz", "aasx"}
)
_KNOWN = _JPEG | _PNG | _PDF | _ZIP

_LINEARIZED = re.compile(rb"/Linearized\b[^>]*?/L[ \t\r\n]+(\d{1,15})")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_PNG_END = b"IEND\xae\x42\x60\x82"
_ZIP_END, _ZIP_ENTRY = b"PK\x05\x06", b"PK\x01\x02"
_ZIP_END_LENGTH = 22
_IN_ZIP64 = 0xFFFFFFFF


def is_known(name: str) -> bool:
    """Say whether a file of this name may have an end mark."""
    return name.rpartition(".")[2].lower() in _KNOWN


def missing_end(name: str, size: int, read: Read) -> str:
    """Say what a file that looks cut off lacks, as a clause without a full stop; "" where nothing does.

    Args:
        name: of the file; one whose suffix is not known is never looked into.
        size: of the file, in bytes.
        read: looks into it.
    """
    if not is_known(name) or size == 0:  # an empty file lacks nothing that could be told: it may be meant so
        return ""
    head = read(0, _HEAD)
    for magic, looks in _LOOKS.items():
        if head.startswith(magic):
            return looks(size, read)
        if magic.startswith(head):
            return f"it ends after {len(head)} bytes"
    if b"%PDF-" in head:
        return _pdf(size, read)
    return ""


def missing_start(name: str, read: Read) -> str:
    """Say that a file that was reserved in part has no byte of its own where its type begins; "" if it has.

    To be asked only where parts of it were never written, or where nobody can tell.
    """
    head = read(0, _HEAD)
    return "its first bytes are not written yet" if is_known(name) and not head.strip(b"\0") and head else ""


def _jpeg(size: int, read: Read) -> str:
    """Walk over the segments, so that the end mark of a preview inside does not count."""
    cut = "the end mark of a JPEG (FF D9) is missing"
    at = 2
    for _ in range(_MOST_STEPS):
        mark = read(at, 4)
        if len(mark) < 2 or not mark.strip(b"\0"):
            return cut
        kind = mark[1]
        if mark[0] != 0xFF or kind == _END_OF_IMAGE:
            return ""
        if kind == 0xFF:
            at += 1
        elif kind in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(mark[2:4], "big"))
            if kind == _START_OF_SCAN:
                return "" if _has(b"\xff\xd9", at, size, read) else cut
    return ""


def _png(size: int, read: Read) -> str:
    cut = "the end mark of a PNG (IEND) is missing"
    if _PNG_END in read(max(8, size - _TAIL), _TAIL):
        return ""
    at = 8
    for _ in range(_MOST_STEPS):
        chunk = read(at, 8)
        if len(chunk) < 8 or not chunk.strip(b"\0"):
            return cut
        if chunk[4:] == b"IEND":
            return "" if at + 12 <= size else cut
        if not chunk[4:].isalpha():
            return ""
        at += 12 + int.from_bytes(chunk[:4], "big")
    return ""


def _pdf(size: int, read: Read) -> str:
    told = _LINEARIZED.search(read(0, _HEAD))
    if told and size < int(told[1]):
        return f"it says that it has {int(told[1])} bytes, and has {size}"
    end = size
    for _ in range(_MOST_BLOCKS):  # printers fill files up with zeros
        block = read(max(0, end - _TAIL), min(_TAIL, end))
        full = block.rstrip(b"\0")
        if full or not block:
            end -= len(block) - len(full)
            break
        end -= len(block)
    near = read(max(0, end - 4096), min(4096, end))
    return "" if b"%%EOF" in near else "the end mark of a PDF (%%EOF) is missing"


def _zip(size: int, read: Read) -> str:
    """Find the end record whose list of entries is there; the one of an archive inside does not count."""
    start = max(0, size - _TAIL - _ZIP_END_LENGTH)
    tail = read(start, size - start)
    at = tail.rfind(_ZIP_END)
    while at >= 0:
        record = tail[at : at + _ZIP_END_LENGTH]
        is_whole = start + at + _ZIP_END_LENGTH + int.from_bytes(record[20:22], "little") <= size
        if is_whole and _lists_entries(record, start + at, read):
            return ""
        at = tail.rfind(_ZIP_END, 0, at)
    return "the end of a ZIP archive (its list of entries) is missing"


def _lists_entries(record: bytes, at: int, read: Read) -> bool:
    entries = int.from_bytes(record[10:12], "little")
    length, offset = int.from_bytes(record[12:16], "little"), int.from_bytes(record[16:20], "little")
    if _IN_ZIP64 in {length, offset}:
        return True
    if entries == 0:
        return at == 0  # an empty archive is nothing but this record
    return read(offset, len(_ZIP_ENTRY)) == _ZIP_ENTRY


def _has(mark: bytes, start: int, size: int, read: Read) -> bool:
    """Look for a mark from an offset on: at the end first, then through all of it."""
    tail = max(start, size - _TAIL)
    if mark in read(tail, _TAIL):
        return True
    for number in range(_MOST_BLOCKS):
        at = start + number * _BLOCK
        if at >= size:
            return False
        if mark in read(at, _BLOCK + len(mark) - 1):
            return True
    return True


_LOOKS: Mapping[bytes, Callable[[int, Read], str]] = {
    b"\xff\xd8\xff": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"PK\x03\x04": _zip,
    b"PK\x05\x06": _zip,
    b"%PDF-": _pdf,
}
