"""The files of the folders as workers see them (`core.protocols.Files`)."""

from attachd.core.wholeness import Demands, Lack
from attachd.folders import reach
from attachd.folders.examining import Examiner
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

    def lack(self, folder: str, path: str, signs: Signs, demands: Demands) -> Lack | None:
        """Say what a quiet file lacks by these demands; holes are no lack: it was waited for with them."""
        examiner = Examiner(folder, demands)
        examiner.is_remote = reach.is_far(folder)
        lack = examiner.lack(path, signs)
        return None if lack is not None and lack.accepted else lack
