"""Walks a folder, one directory at a time, and tells what the ledger does not know.

No tree is kept in memory: only the directories still to be read, and what the ledger knows of the one
being read. Work comes in batches, so that the folder's thread can do other things in between.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from attachd.errors import FileGone, FileUnreadable, NotRegular
from attachd.folders import walk
from attachd.model import Signs, storable

BATCH = 512
"""Entries looked at before a batch is handed out."""

Known = set[tuple[str, int, int, int]]
"""What the ledger knows of one directory: name, size, mtime_ns and ctime_ns of each file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry that the ledger does not know with these signs; `kind` names one that is no regular file."""

    path: str
    signs: Signs
    kind: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a part of one directory held.

    Attributes:
        directory: relative to the folder, "" for the folder itself.
        seen: regular files looked at, known ones included.
        found: new and changed entries.
        odd_entry: the last entry that could not be looked at, and why, in words; or "".
        trouble: why the directory could not be read to its end, in words; or "".
    """

    directory: str
    seen: int
    found: tuple[Found, ...]
    odd_entry: str = ""
    trouble: str = ""


def scan(
    root: str, start: str, *, known: Callable[[str], Known], ignores: Callable[[str, bool], bool]
) -> Iterator[Batch]:
    """Read a directory and everything below it; links are never followed.

    Args:
        root: the folder, absolute.
        start: where to begin, relative to the folder, "" for all of it.
        known: asked once for each directory.
        ignores: says of a relative path, and whether it is a directory, that it is no file of ours.

    Raises:
        RootOut: the folder itself cannot be opened.
    """
    pending = [start]
    while pending:
        yield from _read(root, pending.pop(), pending, known, ignores)


@dataclass(slots=True)
class _Gathered:
    directory: str
    looked: int = 0
    seen: int = 0
    found: list[Found] = field(default_factory=list)
    odd_entry: str = ""
    trouble: str = ""

    def hand_out(self) -> Batch:
        """Give what was gathered and begin anew."""
        batch = Batch(
            directory=self.directory,
            seen=self.seen,
            found=tuple(self.found),
            odd_entry=self.odd_entry,
            trouble=self.trouble,
        )
        self.looked = self.seen = 0
        self.odd_entry = self.trouble = ""
        self.found.clear()
        return batch


def _read(
    root: str,
    directory: str,
    pending: list[str],
    known: Callable[[str], Known],
    ignores: Callable[[str, bool], bool],
) -> Iterator[Batch]:
    gathered = _Gathered(directory)
    try:
        with walk.directory(root, directory) as descriptor:
            remembered = known(directory)
            for entry in _entries(descriptor, gathered):
                _take(entry, gathered, pending, remembered, ignores)
                if gathered.looked >= BATCH:
                    yield gathered.hand_out()
    except walk.RootOut:
        raise
    except (FileGone, NotRegular):
        return  # it went, or a link took its place, after its parent was read: the next scan tells
    except FileUnreadable as error:
        gathered.trouble = str(error)
    yield gathered.hand_out()


def _entries(descriptor: int, gathered: _Gathered) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(descriptor) as entries:
            yield from entries
    except OSError as error:
        gathered.trouble = walk.in_words(error)


def _take(
    entry: os.DirEntry[str],
    gathered: _Gathered,
    pending: list[str],
    known: Known,
    ignores: Callable[[str, bool], bool],
) -> None:
    gathered.looked += 1
    try:
        facts = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        gathered.odd_entry = f"{entry.name} cannot be looked at: {walk.in_words(error)}"
        return
    is_regular = stat.S_ISREG(facts.st_mode)
    if (entry.name, facts.st_size, storable(facts.st_mtime_ns), storable(facts.st_ctime_ns)) in known:
        gathered.seen += is_regular  # by far the most frequent case of all: no more is asked
        return
    path = f"{gathered.directory}/{entry.name}" if gathered.directory else entry.name
    is_directory = stat.S_ISDIR(facts.st_mode)
    if ignores(path, is_directory):
        return
    if is_directory:
        pending.append(path)
        return
    gathered.seen += is_regular
    gathered.found.append(Found(path=path, signs=Signs.of(facts), kind=walk.kind_of(facts.st_mode)))
