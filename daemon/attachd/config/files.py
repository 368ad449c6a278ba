"""Opens rules.yaml, and the files of secrets that it names."""

import os
from pathlib import Path
from typing import BinaryIO


def open_at_once(path: Path) -> BinaryIO:
    """Open a file for reading. A pipe that nobody writes to is empty: no signal would end a wait for it.

    Raises:
        OSError: it cannot be opened.
    """
    return open(path, "rb", opener=_without_waiting)


def _without_waiting(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return descriptor
