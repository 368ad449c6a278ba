"""A network file system that fails as it is told: `erring_server.py DIRECTORY POINT MOOD`.

It shows DIRECTORY at POINT, for reading alone, by the kernel's own protocol (fuse(4), linux/fuse.h). While
the file MOOD has the number of an error, every request is answered with that. The numbers of files and
directories (st_ino) are other ones at each look, as sshfs gives them after it forgot some. It ends by a
signal; what is mounted then answers ENOTCONN until it is unmounted.
"""

import ctypes
import errno
import itertools
import os
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path

HEADER, ANSWER = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
INIT = struct.Struct("<IIIIHHIIHHI28x")
LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH = 1, 2, 3, 14, 15, 17, 18, 25
INITIALISE, OPENDIR, READDIR, RELEASEDIR, FORGET_MANY = 26, 27, 28, 29, 42
UNANSWERED = {FORGET, FORGET_MANY}
BLOCK = 128 * 1024
OPENED = struct.pack("<QII", 0, 1, 0)  # FOPEN_DIRECT_IO: nothing is answered from memory


class Server:
    """The answers, by node: a number that the kernel was given for a path."""

    def __init__(self, directory: Path) -> None:
        self._paths = {1: directory}
        self._nodes = {directory: 1}
        self._numbers = itertools.count(1000)
        self._answers: dict[int, Callable[[Path, bytes], bytes]] = {
            LOOKUP: self._entry,
            GETATTR: lambda path, _: struct.pack("<QII", 0, 0, 0) + self._attributes(path),
            OPEN: lambda *_: OPENED,
            OPENDIR: lambda *_: OPENED,
            READ: _read,
            READDIR: _listed,
            RELEASE: lambda *_: b"",
            RELEASEDIR: lambda *_: b"",
            FLUSH: lambda *_: b"",
            STATFS: lambda *_: struct.pack("<5Q3I28x", 0, 0, 0, 0, 0, 4096, 255, 4096),
        }

    def answer(self, opcode: int, node: int, body: bytes) -> bytes:
        """Give the answer's body; raises OSError."""
        if opcode == INITIALISE:
            return INIT.pack(7, 31, 0, 0, 1, 1, BLOCK, 1, 0, 0, 0)
        if opcode not in self._answers:
            raise OSError(errno.ENOSYS, "")
        return self._answers[opcode](self._paths[node], body)

    def _entry(self, directory: Path, body: bytes) -> bytes:
        path = directory / os.fsdecode(body.rstrip(b"\0"))
        attributes = self._attributes(path)
        node = self._nodes.setdefault(path, len(self._nodes) + 1)
        self._paths[node] = path
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + attributes

    def _attributes(self, path: Path) -> bytes:
        facts = path.lstat()
        times = (facts.st_atime_ns, facts.st_mtime_ns, facts.st_ctime_ns)
        return ATTRIBUTES.pack(
            next(self._numbers),
            facts.st_size,
            facts.st_blocks,
            *(each // 10**9 for each in times),
            *(each % 10**9 for each in times),
            facts.st_mode,
            facts.st_nlink,
            facts.st_uid,
            facts.st_gid,
            0,
            4096,
            0,
        )


def _listed(directory: Path, body: bytes) -> bytes:
    _, offset, size = struct.unpack_from("<QQI", body)
    listed = b""
    for number, path in enumerate(sorted(directory.iterdir())[offset:], start=offset + 1):
        name, kind = os.fsencode(path.name), stat.S_IFMT(path.lstat().st_mode) >> 12
        entry = struct.pack("<QQII", number, number, len(name), kind) + name
        entry += bytes(-len(entry) % 8)
        if len(listed) + len(entry) > size:
            break
        listed += entry
    return listed


def _read(path: Path, body: bytes) -> bytes:
    _, offset, size = struct.unpack_from("<QQI", body)
    with path.open("rb") as file:
        return os.pread(file.fileno(), size, offset)


def serve(directory: Path, point: str, mood: Path) -> None:
    """Mount it and answer until a signal comes."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode={stat.S_IFDIR:o},user_id=0,group_id=0"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"erring:/", os.fsencode(point), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), point)
    server = Server(directory)
    while True:
        try:
            asked = os.read(device, BLOCK + 65536)
        except OSError as error:
            if error.errno == errno.ENODEV:  # unmounted
                return
            raise
        _, opcode, unique, node, *_ = HEADER.unpack_from(asked)
        if opcode in UNANSWERED:
            continue
        body, wrong = b"", int(mood.read_text() or 0) if opcode != INITIALISE else 0
        try:
            body = b"" if wrong else server.answer(opcode, node, asked[HEADER.size :])
        except OSError as error:
            wrong = error.errno or errno.EIO
        os.write(device, ANSWER.pack(ANSWER.size + len(body), -wrong, unique) + body)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
