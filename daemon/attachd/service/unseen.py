"""What lies in a folder and is not in the ledger: nobody has attached it, whatever else is in order."""

import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from attachd.core.noise import Noise
from attachd.core.settings import FolderSettings
from attachd.core.wholeness import Demands
from attachd.errors import FileError
from attachd.folders import reach
from attachd.folders.scan import Batch, Known, scan
from attachd.folders.sieve import Sieve
from attachd.ledger.reports import Reports

NOT_SEEN = "attachd has not seen it yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """A path on disk of which the ledger knows nothing, or a directory that cannot be read; and why."""

    folder: str
    path: str
    why: str


def unseen(
    folder: FolderSettings, path: str, ledger: Reports, protected: Collection[str]
) -> Iterator[Unseen]:
    """Stream what is at or below a path, is no noise, and is not in the ledger.

    Args:
        folder: the folder.
        path: relative to it, "" for all of it.
        ledger: asked once for each directory.
        protected: absolute paths of attachd's own files.
    """
    sieve = Sieve(folder.path, Noise(folder.ignore), protected, Demands(folder.rules))
    try:
        if path and not stat.S_ISDIR(reach.look(folder.path, path).st_mode):
            directory, _, name = path.rpartition("/")
            if name not in ledger.names(folder.path, directory) and not sieve.ignores(
                path, is_directory=False
            ):
                yield Unseen(folder=folder.path, path=path, why=NOT_SEEN)
            return
        yield from _below(folder, path, ledger, sieve)
    except FileError as error:
        yield Unseen(folder=folder.path, path=path, why=str(error))


def _below(folder: FolderSettings, start: str, ledger: Reports, sieve: Sieve) -> Iterator[Unseen]:
    names: set[str] = set()  # of the directory that is being read

    def known(directory: str) -> Known:
        names.clear()
        names.update(ledger.names(folder.path, directory))
        return set()

    for batch in scan(folder.path, start, known=known, ignores=sieve.ignores):
        yield from _of(batch, names, folder.path)


def _of(batch: Batch, names: Collection[str], folder: str) -> Iterator[Unseen]:
    for found in batch.found:
        if found.path.rpartition("/")[2] not in names:
            yield Unseen(folder=folder, path=found.path, why=NOT_SEEN)
    if batch.trouble or batch.odd_entry:
        yield Unseen(folder=folder, path=batch.directory, why=batch.trouble or batch.odd_entry)
