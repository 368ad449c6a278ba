"""Where the bytes of the simulator's own storage lie: files of a directory, written and hashed in blocks."""

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from attachd.simulator.forms import FormError


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The bytes of one upload; the hashes in hexadecimal."""

    path: Path
    size: int
    sha256: str
    md5: str


class Shelf:
    """Takes bytes for one simulator, from any of its threads.

    Args:
        directory: an existing one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)

    def keep(self, blocks: Iterable[bytes]) -> Kept:
        """Write bytes to a file of their own; where they break off, nothing is left."""
        path = self._directory / str(next(self._numbers))
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        try:
            with path.open("wb") as file:
                for block in blocks:
                    sha256.update(block)
                    md5.update(block)
                    size += file.write(block)
        except (OSError, FormError):
            path.unlink(missing_ok=True)
            raise
        return Kept(path=path, size=size, sha256=sha256.hexdigest(), md5=md5.hexdigest())
