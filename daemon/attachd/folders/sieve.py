"""Keeps out what is never a file of ours: noise by its name, and attachd's own files."""

from collections.abc import Collection

from attachd.core.noise import Noise
from attachd.core.wholeness import NO_DEMANDS, Demands
from attachd.folders.mounts import where


class Sieve:
    """The names of one folder that count as not there.

    Args:
        root: the folder, absolute.
        noise: built-in and configured noise names.
        protected: absolute paths of files and directories that are never uploaded, with everything below.
        demands: what the rules ask for: a marker is no file of its own.
    """

    def __init__(
        self, root: str, noise: Noise, protected: Collection[str], demands: Demands = NO_DEMANDS
    ) -> None:
        prefix = where(root).path.rstrip("/") + "/"
        paths = (where(path).path for path in protected)
        self._noise = noise
        self._demands = demands
        self._protected = tuple(path.removeprefix(prefix) for path in paths if path.startswith(prefix))

    def ignores(self, path: str, is_directory: bool) -> bool:  # noqa: FBT001 - called a million times a scan
        """Say whether an entry, or a directory above it, is to be left out."""
        return (
            self._noise.ignores(path, is_directory=is_directory)
            or any(path == own or path.startswith(f"{own}/") for own in self._protected)
            or (not is_directory and self._demands.is_marker(path))
        )
