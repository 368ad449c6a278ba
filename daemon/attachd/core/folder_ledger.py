"""What a folder's scan asks of the ledger: the room `ledger` keeps this promise."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from attachd.model import Signs

KnownFiles = set[tuple[str, int, int, int]]
"""Name, size, mtime_ns and ctime_ns of file versions in one directory."""


class FolderLedger(Protocol):
    """What a folder's scan needs to remember and to ask."""

    def known(self, folder_id: int, directory: str) -> KnownFiles | None:
        """Give (name, size, mtime_ns, ctime_ns) of every file version recorded in one directory.

        `directory` is relative to the folder, "" for the folder itself. Versions whose standing is `gone`
        are left out, so that a file that comes back is seen as new. None: too many to be held at once.
        """
        ...

    def known_among(self, folder_id: int, directory: str, names: Sequence[str]) -> KnownFiles:
        """Give the same of some names in one directory."""
        ...

    def pending_paths(self, folder_id: int) -> Iterator[str]:
        """Stream the paths whose absence matters: ready or waiting deliveries, unmatched and parked files."""
        ...

    def noted_paths(self, folder_id: int) -> Iterator[str]:
        """Stream the paths of unmatched and parked files."""
        ...

    def parked_paths(self, folder_id: int) -> Iterator[str]:
        """Stream the paths of parked files: what they lacked may be there without a sign on them."""
        ...

    def record_existing(self, folder_id: int, files: Sequence[tuple[str, Signs]], at: datetime) -> None:
        """Record files that lay there before the first start, in one transaction."""
        ...

    def finish_first_scan(self, folder_id: int) -> None:
        """Note that the folder's first scan is complete."""
        ...

    def note_filesystem(self, folder_id: int, filesystem: str) -> None:
        """Remember another file system than the one that the folder was first seen on."""
        ...
