"""Keeps out what is never a file of ours: noise by its name, and attachd's own files."""

import os
from collections.abc import Collection

from attachd.core.noise import Noise


class Sieve:
    """The names of one folder that count as not there.

    Args:
        root: the folder, absolute.
        noise: built-in and configured noise names.
        protected: absolute paths of files and directories that are never uploaded, with everything below.
    """

    def __init__(self, root: str, noise: Noise, protected: Collection[str]) -> None:
        prefix = os.path.realpath(root).rstrip("/") + "/"
        paths = (os.path.realpath(path) for path in protected)
        self._noise = noise
        self._protected = tuple(path.removeprefix(prefix) for path in paths if path.startswith(prefix))

    def ignores(self, path: str, is_directory: bool) -> bool:  # noqa: FBT001 - called a million times a scan
        """Say whether an entry, or a directory above it, is to be left out."""
        return self._noise.ignores(path, is_directory=is_directory) or any(
            path == own or path.startswith(f"{own}/") for own in self._protected
        )
