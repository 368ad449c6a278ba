"""Touches a network file system for attachd: a program of its own, which may hang without harm.

Reads one request after the other from its input and answers on its output (`folders.frames`), by the same
functions that attachd itself uses on local disks. It ends when its input does: attachd is gone, or has given
it up. A call that hangs in the kernel hangs this process alone.
"""

import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from typing import Any, BinaryIO

from attachd.core.mounts import is_share
from attachd.errors import FileError
from attachd.folders import reading, walk
from attachd.folders.actions import unpack_action
from attachd.folders.copying import BLOCK_DONE
from attachd.folders.frames import Said, pack, pack_facts, receive
from attachd.folders.mounts import where
from attachd.folders.moving import LocalMover
from attachd.folders.reading import OpenFile
from attachd.folders.root import identify
from attachd.model import Signs

BATCH = 512
"""Entries of a directory in one answer."""


class Toucher:
    """Answers the requests of one channel; one file is open at most."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._file: OpenFile | None = None

    def answer(self) -> None:
        """Read one request and answer it; what went wrong is an answer as well.

        Raises:
            EOFError: there is no request any more.
            BrokenPipeError: nobody wants the answer.
        """
        asked = receive(self._source)
        try:
            self._say(*_ANSWERS[asked.pop("do")](self, **asked))
        except FileError as error:
            self._say({"error": type(error).__name__, "text": str(error)})
        except BrokenPipeError:
            raise
        except OSError as error:
            self._say({"error": FileError.__name__, "text": walk.in_words(error)})

    def identify(self, root: str) -> tuple[Said]:
        """Tell what the folder is, once the shares that are mounted below it answer as well."""
        identity = identify(root)
        for mount in where(root).below:
            if is_share(mount.filesystem):
                _ask(mount.point)
        return ({"identity": asdict(identity)},)

    def look(self, root: str, path: str) -> tuple[Said]:
        """Tell what lies at a path; a file is opened for it, as a mere look may show what was long ago."""
        facts = walk.look(root, path)
        if stat.S_ISREG(facts.st_mode):
            with suppress(FileError, OSError):
                descriptor = walk.open_file(root, path)
                try:
                    facts = os.fstat(descriptor)
                finally:
                    os.close(descriptor)
        return ({"facts": pack_facts(facts)},)

    def entries(self, root: str, path: str) -> tuple[Said]:
        """Tell what a directory holds, some entries in each answer; the last has none and says so."""
        with walk.directory(root, path) as descriptor, os.scandir(descriptor) as entries:
            while batch := [_told(entry) for entry in islice(entries, BATCH)]:
                self._say({"entries": batch, "goes_on": True})
        return ({"entries": []},)

    def open(self, root: str, path: str, signs: Mapping[str, int]) -> tuple[Said]:
        """Open the file that settled with these signs."""
        self.close()
        self._file = reading.open_settled(root, path, Signs(**signs))
        return ({},)

    def read(self, length: int, at: int | None) -> tuple[Said, bytes]:
        """Give the next bytes of the open file, or those from an offset on."""
        assert self._file is not None
        return {}, self._file.read(length) if at is None else self._file.read_at(at, length)

    def rewind(self) -> tuple[Said]:
        """Read from the first byte again."""
        assert self._file is not None
        self._file.rewind()
        return ({},)

    def close(self) -> tuple[Said]:
        """Close the open file."""
        if self._file is not None:
            self._file.close()
        self._file = None
        return ({},)

    def look_again(self, root: str, path: str, signs: Mapping[str, int]) -> tuple[Said]:
        """Make sure that a file is as it was seen."""
        reading.look_again(root, path, Signs(**signs))
        return ({},)

    def verify(self, action: Said) -> tuple[Said]:
        """Make sure that the bytes on disk are the delivered ones."""
        self._mover([]).verify(unpack_action(action))
        return ({},)

    def choose(self, target: str, watched: Sequence[str]) -> tuple[Said]:
        """Make the directory of a path and tell which name in it is free."""
        return ({"chosen": self._mover(watched).choose(target)},)

    def carry_out(self, action: Said, watched: Sequence[str]) -> tuple[Said]:
        """Do what an after-action says; whoever wants it stopped ends this process."""
        self._mover(watched).carry_out(unpack_action(action), lambda: False)
        return ({},)

    def send_after(self, action: Said, marker: str, watched: Sequence[str]) -> tuple[Said]:
        """Do to a file's marker what was done to the file."""
        self._mover(watched).send_after(unpack_action(action), marker)
        return ({},)

    def _mover(self, watched: Sequence[str]) -> LocalMover:
        BLOCK_DONE.set(lambda: self._say({"goes_on": True}))
        return LocalMover(lambda: watched)

    def _say(self, said: Said, body: bytes = b"") -> None:
        self._sink.write(pack(said, body))
        self._sink.flush()


_ANSWERS: Mapping[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        Toucher.identify,
        Toucher.look,
        Toucher.entries,
        Toucher.open,
        Toucher.read,
        Toucher.rewind,
        Toucher.close,
        Toucher.look_again,
        Toucher.verify,
        Toucher.choose,
        Toucher.carry_out,
        Toucher.send_after,
    )
}


def _ask(point: str) -> None:
    """Ask a server past what the system remembers of it: NFS by the first call, FUSE by the second."""
    with suppress(OSError):  # the scan says which directory cannot be read
        os.statvfs(point)
        os.close(os.open(point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _told(entry: "os.DirEntry[str]") -> tuple[str, Any]:
    try:
        return entry.name, pack_facts(entry.stat(follow_symlinks=False))
    except OSError as error:
        return entry.name, error.errno


def answer_all(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer request after request until there are no more."""
    toucher = Toucher(source, sink)
    with suppress(EOFError, BrokenPipeError):
        while True:
            toucher.answer()


if __name__ == "__main__":
    answer_all(sys.stdin.buffer, sys.stdout.buffer)
