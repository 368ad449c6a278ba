"""Carries out after-actions where the files are: on a network by a process that may hang for us."""

from collections.abc import Callable, Sequence

from attachd.core.afters import AfterAction
from attachd.errors import StopRequested
from attachd.folders.actions import pack_action
from attachd.folders.mounts import where
from attachd.folders.moving import LocalMover
from attachd.folders.shares import SHARES, Share


class FolderMover:
    """Acts on the files of all folders (`core.afters.Mover`). Any thread may use it.

    `watched` gives the folders that no file may be moved into.
    """

    def __init__(self, watched: Callable[[], Sequence[str]]) -> None:
        self._watched = watched
        self._local = LocalMover(watched)

    def verify(self, action: AfterAction) -> None:
        """Make sure that the bytes on disk are still the delivered ones."""
        share = SHARES.of(action.folder)
        if share is None:
            self._local.verify(action)
            return
        with share.channel() as channel:
            channel.ask("verify", action=pack_action(action))

    def choose(self, target: str) -> str:
        """Make the directory of a path and give that path, or one beside it whose name is free."""
        share = _share_at(target)
        if share is None:
            return self._local.choose(target)
        with share.channel() as channel:
            said, _ = channel.ask("choose", target=target, watched=list(self._watched()))
        return str(said["chosen"])

    def carry_out(self, action: AfterAction, stops: Callable[[], bool]) -> None:
        """Do it, from whatever an earlier run left; nothing is lost or overwritten wherever it is cut."""
        share = _share_of(action)
        if share is None:
            self._local.carry_out(action, stops)
            return
        about = {"action": pack_action(action), "watched": list(self._watched())}
        with share.channel() as channel:
            for _ in channel.ask_slowly("carry_out", **about):
                if stops():
                    raise StopRequested("the service stops")

    def send_after(self, action: AfterAction, marker: str) -> None:
        """Do to a file's marker what was done to the file; nothing if it is gone, or the file is back."""
        share = _share_of(action)
        if share is None:
            self._local.send_after(action, marker)
            return
        about = {"action": pack_action(action), "marker": marker, "watched": list(self._watched())}
        with share.channel() as channel:
            for _ in channel.ask_slowly("send_after", **about):
                continue


def _share_of(action: AfterAction) -> Share | None:
    """Give what touches a file, or else the place that it is moved to."""
    return SHARES.of(action.folder) or (_share_at(action.chosen) if action.chosen else None)


def _share_at(path: str) -> Share | None:
    """Give what touches the place that a file is moved to."""
    network = where(path.rpartition("/")[0] or "/").network
    return None if network is None else SHARES.look(network.point, is_share=True)
