"""Messages between attachd and a process of its own that touches a network file system for it.

A frame is two lengths (4 bytes each, big-endian), a JSON object, and bytes that belong to it.
"""

import json
import os
import struct
from typing import Any, BinaryIO

LENGTHS = struct.Struct(">II")

Said = dict[str, Any]
"""What a frame says; paths are in `os.fsdecode` form, whose lone surrogates JSON keeps as escapes."""


def pack(said: Said, body: bytes = b"") -> bytes:
    """Give the bytes of a frame."""
    head = json.dumps(said, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return LENGTHS.pack(len(head), len(body)) + head + body


def unpack(received: bytearray) -> tuple[Said, bytes] | None:
    """Take the first frame out of what was received; None where it is not whole yet."""
    if len(received) < LENGTHS.size:
        return None
    head, body = LENGTHS.unpack_from(received)
    end = LENGTHS.size + head + body
    if len(received) < end:
        return None
    said = json.loads(received[LENGTHS.size : LENGTHS.size + head])
    found = bytes(received[LENGTHS.size + head : end])
    del received[:end]
    return said, found


def receive(stream: BinaryIO) -> Said:
    """Read one frame without a body from a stream that waits.

    Raises:
        EOFError: there is none any more.
    """
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        raise EOFError
    head, _ = LENGTHS.unpack(lengths)
    said: Said = json.loads(stream.read(head))
    return said


def pack_facts(facts: os.stat_result) -> list[int]:
    """Give what a look showed as numbers."""
    return [
        facts.st_mode, facts.st_ino, facts.st_dev, facts.st_nlink, facts.st_uid, facts.st_gid, facts.st_size,
        facts.st_atime_ns, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_blocks,
    ]  # fmt: skip


def unpack_facts(numbers: list[int]) -> os.stat_result:
    """Give the numbers of `pack_facts` as what a look showed."""
    *begin, atime, mtime, ctime, blocks = numbers
    times = {"st_atime_ns": atime, "st_mtime_ns": mtime, "st_ctime_ns": ctime}
    floats = {name.removesuffix("_ns"): value / 1e9 for name, value in times.items()}
    seconds = (value // 10**9 for value in times.values())
    return os.stat_result((*begin, *seconds), {**times, **floats, "st_blocks": blocks})
