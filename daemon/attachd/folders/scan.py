"""Walks a folder, one directory at a time, and tells what the ledger does not know.

No tree is kept in memory: only the directories still to be read, and what the ledger knows of the one
being read. Work comes in batches, so that the folder's thread can do other things in between.
"""

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from attachd.core.folder_ledger import KnownFiles
from attachd.errors import FileGone, FileUnreadable, NotRegular
from attachd.folders import reach, walk
from attachd.folders.reach import Entry
from attachd.model import Signs

BATCH = 512
"""Entries looked at before a batch is handed out."""

Known = KnownFiles
"""What the ledger knows of one directory: name, size, mtime_ns and ctime_ns of each file."""

Among = Callable[[str, Sequence[str]], Known]
"""Asks what the ledger knows of some names of one directory."""

_NOTHING: Known = set()
_FORMAT, _REGULAR = 0o170000, 0o100000  # the bits of st_mode that say what kind of file it is, inode(7)


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
    root: str,
    start: str,
    *,
    known: Callable[[str], Known | None],
    ignores: Callable[[str, bool], bool],
    among: Among = lambda _directory, _names: _NOTHING,
) -> Iterator[Batch]:
    """Read a directory and everything below it; links are never followed.

    Args:
        root: the folder, absolute.
        start: where to begin, relative to the folder, "" for all of it.
        known: asked once for each directory; None where that is too much to be kept at once.
        ignores: says of a relative path, and whether it is a directory, that it is no file of ours.
        among: asked once for each batch of a directory of which `known` gave None.

    Raises:
        RootOut: the folder itself cannot be opened.
    """
    pending = [start]
    while pending:
        yield from _read(root, pending.pop(), pending, known, among, ignores)


@dataclass(slots=True)
class _Gathered:
    directory: str
    seen: int = 0
    unknown: list[tuple[str, int, Signs]] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    odd_entry: str = ""
    trouble: str = ""

    def names(self) -> list[str]:
        """Give the names that are to be asked for."""
        return [name for name, _, _ in self.unknown]

    def hand_out(self) -> Batch:
        """Give what was gathered and begin anew."""
        batch = Batch(
            directory=self.directory,
            seen=self.seen,
            found=tuple(self.found),
            odd_entry=self.odd_entry,
            trouble=self.trouble,
        )
        self.seen = 0
        self.odd_entry = self.trouble = ""
        self.found.clear()
        return batch


def _read(
    root: str,
    directory: str,
    pending: list[str],
    known: Callable[[str], Known | None],
    among: Among,
    ignores: Callable[[str, bool], bool],
) -> Iterator[Batch]:
    gathered = _Gathered(directory)
    try:
        with reach.listing(root, directory) as listed:
            remembered = known(directory)
            goes_on = True
            while goes_on:
                goes_on = _look(listed, _NOTHING if remembered is None else remembered, gathered)
                asked = among(directory, gathered.names()) if remembered is None else remembered
                _take(gathered, pending, asked, ignores)
                if goes_on:
                    yield gathered.hand_out()
    except walk.RootOut:
        raise
    except (FileGone, NotRegular):
        return  # it went, or a link took its place, after its parent was read: the next scan tells
    except FileUnreadable as error:
        gathered.trouble = str(error)
    yield gathered.hand_out()


def _look(listed: Iterator[Entry], known: Known, gathered: _Gathered) -> bool:
    """Look at a batch of entries and gather what is not known; False where the directory ends."""
    try:
        return _compare(islice(listed, BATCH), known, gathered) == BATCH
    except walk.RootOut:
        raise
    except FileUnreadable as error:
        gathered.trouble = str(error)
    except OSError as error:
        gathered.trouble = walk.in_words(error)
    return False


def _compare(entries: Iterator[Entry], known: Known, gathered: _Gathered) -> int:
    """Give how many entries there were.

    A scan of a million files finds nearly all of them known: nothing is done for those but one look and
    one comparison.
    """
    looked = seen = 0
    try:
        for entry in entries:
            looked += 1
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError as error:
                _note_odd(entry.name, error, gathered)
                continue
            if (entry.name, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns) in known:
                seen += facts.st_mode & _FORMAT == _REGULAR
            else:
                gathered.unknown.append((entry.name, facts.st_mode, Signs.of(facts)))
    finally:
        gathered.seen += seen
    return looked


def _note_odd(name: str, error: OSError, gathered: _Gathered) -> None:
    if not isinstance(error, FileNotFoundError):
        gathered.odd_entry = f"{name} cannot be looked at: {walk.in_words(error)}"


def _take(
    gathered: _Gathered, pending: list[str], known: Known, ignores: Callable[[str, bool], bool]
) -> None:
    for name, mode, signs in gathered.unknown:
        is_regular = stat.S_ISREG(mode)
        if (name, signs.size, signs.mtime_ns, signs.ctime_ns) in known:
            gathered.seen += is_regular
            continue
        path = f"{gathered.directory}/{name}" if gathered.directory else name
        is_directory = stat.S_ISDIR(mode)
        if ignores(path, is_directory):
            continue
        if is_directory:
            pending.append(path)
            continue
        gathered.seen += is_regular
        gathered.found.append(Found(path=path, signs=signs, kind=walk.kind_of(mode)))
    gathered.unknown.clear()
