"""Says whether the bytes at a path are still the ones of a file version that the ledger knows."""

import stat
from enum import StrEnum

from attachd.errors import FileChanged, FileGone, FileUnreadable, NotRegular
from attachd.folders import reach
from attachd.model import Signs


class OnDisk(StrEnum):
    """What lies at the path of a file version."""

    SAME = "same"  # its bytes
    CHANGED = "changed"  # other bytes, or something else altogether
    GONE = "gone"  # nothing
    UNREADABLE = "unreadable"  # nobody can tell: the system refuses, or the folder is out
    REPLACED = "replaced"  # a later version of the path is known: these bytes are not looked for


def compare(root: str, path: str, signs: Signs, sha256: str | None, *, read: bool) -> OnDisk:
    """Compare what lies at a path with a file version.

    Args:
        root: the folder, absolute.
        path: relative to the folder.
        signs: of the version; equal ones are taken for equal bytes unless `read`.
        sha256: of the version, in hex; None where nobody ever read it: then only signs can tell.
        read: hash the bytes in any case.
    """
    try:
        facts = reach.look(root, path)
        now = Signs.of(facts)
        if not stat.S_ISREG(facts.st_mode) or now.size != signs.size:
            return OnDisk.CHANGED
        if sha256 is None or (now == signs and not read):
            return OnDisk.SAME if now == signs else OnDisk.CHANGED
        with reach.open_settled(root, path, now) as opened:
            return OnDisk.SAME if opened.sha256() == sha256 else OnDisk.CHANGED
    except FileGone:
        return OnDisk.GONE
    except (FileChanged, NotRegular):
        return OnDisk.CHANGED
    except FileUnreadable:
        return OnDisk.UNREADABLE
