"""Reaches what lies in a folder: by this process itself, or, on a network, by one that may hang for it.

The functions are those of `walk`, `reading` and `root`; which of the two ways is taken, the table of mounts
decides. On a local folder this costs one look into a dictionary.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from typing import Protocol

from attachd.core.mounts import Mount
from attachd.errors import FileError
from attachd.folders import reading, root, walk
from attachd.folders.frames import unpack_facts
from attachd.folders.reading import OpenFile
from attachd.folders.root import Identity
from attachd.folders.share_channel import Channel
from attachd.folders.shares import SHARES, Share
from attachd.model import Signs


class Entry(Protocol):
    """One entry of a directory, as `os.DirEntry` has it."""

    @property
    def name(self) -> str:
        """Give its name, in `os.fsdecode` form."""
        ...

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Look at it. Raises OSError."""
        ...


def choose(folder: str, *, is_share: bool) -> None:
    """Find out anew who is to touch a folder; the thread that does so is the one that says if it hangs.

    Args:
        folder: absolute.
        is_share: a network file system belongs there, even if none is mounted at this moment.
    """
    share = SHARES.look(folder, is_share=is_share)
    if share is not None:
        share.keeper = threading.get_ident()


def is_far(folder: str) -> bool:
    """Say whether another process touches a folder for us."""
    return SHARES.known(folder) is not None


def doubt(folder: str) -> str:
    """Say that a folder's server is slow to answer, or has processes that hang with it; or ""."""
    share = SHARES.known(folder)
    return "" if share is None else share.doubt()


def let_go(folder: str) -> None:
    """Let the thread that called `choose` go on, if it waits for an answer: it is to end."""
    share = SHARES.known(folder)
    if share is not None:
        share.give_up(all_of_them=False)


@contextmanager
def impatient(seconds: float = 10.0) -> Iterator[None]:
    """Wait at most so long for a server's answer: somebody sits there and waits with us."""
    SHARES.silence, usual = seconds, SHARES.silence
    try:
        yield
    finally:
        SHARES.close()
        SHARES.silence = usual


def close() -> None:
    """Let everybody go on who waits for a server, and end the processes that can be ended."""
    SHARES.close()


def identify(folder: str) -> Identity:
    """Find out what a folder is at this moment.

    Raises:
        RootOut: it cannot be opened, or does not answer.
    """
    share = SHARES.of(folder)
    if share is None:
        return root.identify(folder)
    with share.channel() as channel:
        said, _ = channel.ask("identify", root=folder)
    told = said["identity"]
    return Identity(mount=Mount(**told["mount"]), device=told["device"], inode=told["inode"])


def look(folder: str, path: str) -> os.stat_result:
    """Give the facts about what lies at a path, as `walk.look`."""
    share = SHARES.of(folder)
    if share is None:
        return walk.look(folder, path)
    with share.channel() as channel:
        said, _ = channel.ask("look", root=folder, path=path)
    return unpack_facts(said["facts"])


@contextmanager
def listing(folder: str, path: str) -> Iterator[Iterator[Entry]]:
    """Hold a directory open, as `walk.directory`, and give its entries; reading on may raise OSError.

    Raises:
        FileError: as `walk.directory`, and also while entries are read.
    """
    share = SHARES.of(folder)
    if share is None:
        with walk.directory(folder, path) as descriptor, _scandir(descriptor) as entries:
            yield entries
        return
    with share.channel() as channel:
        yield _entries(channel, folder, path)


def open_settled(folder: str, path: str, signs: Signs) -> OpenFile:
    """Open the file that settled with these signs, as `reading.open_settled`."""
    share = SHARES.of(folder)
    if share is None:
        return reading.open_settled(folder, path, signs)
    return _opened(share, folder, path, signs)


def look_again(folder: str, path: str, signs: Signs) -> None:
    """Make sure that a file is still as it was seen, as `reading.look_again`."""
    share = SHARES.of(folder)
    if share is None:
        reading.look_again(folder, path, signs)
        return
    with share.channel() as channel:
        channel.ask("look_again", root=folder, path=path, signs=asdict(signs))


class _FarEntry:
    def __init__(self, name: str, told: "int | list[int]") -> None:
        self.name = name
        self._told = told

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        del follow_symlinks  # links are never followed there
        if isinstance(self._told, int):
            raise OSError(self._told, os.strerror(self._told), self.name)
        return unpack_facts(self._told)


class _FarFile(OpenFile):
    """A settled file that another process has open. Used by one thread."""

    def __init__(self, channel: Channel, signs: Signs, stack: ExitStack) -> None:
        super().__init__(-1, signs)
        self._channel = channel
        self._stack = stack

    def read(self, length: int = reading.BLOCK, /) -> bytes:
        return self._channel.ask("read", length=length, at=None)[1]

    def read_at(self, offset: int, length: int) -> bytes:
        return self._channel.ask("read", length=length, at=offset)[1]

    def has_hole(self) -> bool:
        return False  # no server tells of it

    def rewind(self) -> None:
        self._channel.ask("rewind")

    def close(self) -> None:
        with suppress(FileError), self._stack:  # whoever reads on is told; all is read where nobody does
            if self._channel.is_sound:
                self._channel.ask("close")


@contextmanager
def _scandir(descriptor: int) -> Iterator[Iterator[Entry]]:
    try:
        entries = os.scandir(descriptor)
    except OSError as error:
        raise walk.translated(error) from error
    with entries:
        yield entries


def _opened(share: Share, folder: str, path: str, signs: Signs) -> OpenFile:
    with ExitStack() as stack:
        channel = stack.enter_context(share.channel())
        channel.ask("open", root=folder, path=path, signs=asdict(signs))
        return _FarFile(channel, signs, stack.pop_all())


def _entries(channel: Channel, folder: str, path: str) -> Iterator[Entry]:
    for said in channel.ask_slowly("entries", root=folder, path=path):
        for name, told in said["entries"]:
            yield _FarEntry(name, told)
