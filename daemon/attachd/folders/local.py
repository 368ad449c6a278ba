"""The files of the folders as workers see them (`core.protocols.Files`)."""

from attachd.folders import reach
from attachd.folders.reading import OpenFile
from attachd.model import Signs


class LocalFiles:
    """Opens files on this machine's file systems; on a network by a process that may hang for us."""

    def open(self, folder: str, path: str, signs: Signs) -> OpenFile:
        """Open a settled file without following a link anywhere."""
        return reach.open_settled(folder, path, signs)

    def look_again(self, folder: str, path: str, signs: Signs) -> None:
        """Make sure that the file is still as it was seen."""
        reach.look_again(folder, path, signs)
