"""Looks into a file that nobody writes any more, to see whether it is whole."""

import stat
from collections import OrderedDict

from attachd.core.endings import missing_end, missing_start
from attachd.core.paths import escape
from attachd.core.wholeness import WITHIN, Complete, Demands, Lack, when_too_small, when_unmarked
from attachd.errors import FileChanged, FileError, FileGone
from attachd.folders import reach, walk
from attachd.folders.reading import OpenFile
from attachd.model import Signs

REMEMBERED = 10_000
"""Files whose end was looked for and not found, kept with their signs: unchanged ones are not read again."""

_CUT_HINT = "Send it again; if it is whole as it is, `complete: {whole: off}` lets it through."


class Examiner:
    """What one folder's files lack. Owned by the folder's thread.

    Args:
        root: the folder, absolute.
        demands: what its rules ask for.
        within: seconds for which what is not whole is waited for, where its rule does not say.
    """

    def __init__(self, root: str, demands: Demands, *, within: float = WITHIN) -> None:
        self.demands = demands
        self._root = root
        self._within = within
        self._cut: OrderedDict[str, tuple[Signs, str]] = OrderedDict()
        self.is_remote = False
        self.long_wait = 0.0

    def lack(self, path: str, signs: Signs) -> Lack | None:
        """Say what a quiet file lacks, or None where it is whole or no rule takes it.

        What refuses to be read is left to the worker, who says so where people see it.

        Raises:
            FileGone: it is not there any more.
            RootOut: the folder itself cannot be opened.
        """
        demand = self.demands.of(path)
        if demand is None:
            return None
        patience = self._within if demand.complete.within is None else demand.complete.within
        lack = when_too_small(demand.complete, signs.size, patience)
        if lack is None and demand.marker is not None:
            lack = self._lacks_marker(demand.marker, signs, patience)
        return lack or self._look_inside(path, signs, demand.complete, patience)

    def _lacks_marker(self, marker: str, signs: Signs, patience: float) -> Lack | None:
        name = escape(marker.rpartition("/")[2])
        try:
            facts = reach.look(self._root, marker)
        except FileGone:
            return when_unmarked(name, None, signs.mtime_ns, patience)
        except walk.RootOut:
            raise
        except FileError as error:  # such as a name that is too long with what the marker adds
            return Lack(reason=f"its marker '{name}' cannot be looked at: {error}", patience=patience)
        found = Signs.of(facts).mtime_ns if stat.S_ISREG(facts.st_mode) else None
        return when_unmarked(name, found, signs.mtime_ns, patience)

    def _look_inside(self, path: str, signs: Signs, complete: Complete, patience: float) -> Lack | None:
        known = self._cut.get(path)
        if complete.whole and known is not None and known[0] == signs:
            return _cut_off(known[1], patience)
        try:
            with reach.open_settled(self._root, path, signs) as opened:
                return self._judge(opened, path, signs, complete, patience)
        except FileChanged:
            return Lack(reason="it is being changed", patience=patience)
        except (FileGone, walk.RootOut):
            raise
        except FileError:
            return None

    def _judge(
        self, opened: OpenFile, path: str, signs: Signs, complete: Complete, patience: float
    ) -> Lack | None:
        if self.is_remote and opened.read_at(signs.size, 1):
            return Lack(reason="it is longer than the share says", patience=patience)
        if complete.whole:
            missing = _missing(opened, path, signs.size, reserved=self.is_remote or opened.has_hole())
            if missing:
                self._remember(path, signs, missing)
                return _cut_off(missing, patience)
        if opened.has_hole():
            waited = f"nothing changed for {self.long_wait:g} seconds"
            reason = f"parts of it were never written, and {waited}: taken as a sparse file"
            return Lack(reason=reason, patience=self.long_wait, accepted=True)
        return None

    def _remember(self, path: str, signs: Signs, missing: str) -> None:
        self._cut[path] = (signs, missing)
        self._cut.move_to_end(path)
        if len(self._cut) > REMEMBERED:
            self._cut.popitem(last=False)


def _missing(opened: OpenFile, path: str, size: int, *, reserved: bool) -> str:
    def read(offset: int, length: int) -> bytes:
        return _read(opened, offset, length)

    return missing_end(path, size, read) or (missing_start(path, read) if reserved else "")


def _cut_off(missing: str, patience: float) -> Lack:
    return Lack(reason=f"it looks cut off: {missing}", hint=_CUT_HINT, patience=patience)


def _read(opened: OpenFile, offset: int, length: int) -> bytes:
    """Read so many bytes, over as many calls as it takes; fewer only at the end."""
    blocks = []
    while length > 0 and (block := opened.read_at(offset, length)):
        blocks.append(block)
        offset, length = offset + len(block), length - len(block)
    return b"".join(blocks)
