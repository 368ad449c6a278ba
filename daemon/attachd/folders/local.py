"""The files of a folder that this process may touch itself, as workers see them (`core.protocols.Files`)."""

from attachd.folders import reading
from attachd.folders.reading import OpenFile
from attachd.model import Signs


class LocalFiles:
    """Opens files by system calls of this process: for file systems that answer."""

    def open(self, folder: str, path: str, signs: Signs) -> OpenFile:
        """Open a settled file without following a link anywhere."""
        return reading.open_settled(folder, path, signs)

    def look_again(self, folder: str, path: str, signs: Signs) -> None:
        """Make sure that the file is still as it was seen."""
        reading.look_again(folder, path, signs)
