"""The running service at one moment, from inside: what its page and its metrics are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from attachd.status.facts import LiveFacts
from attachd.status.measuring import Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderNow:
    """What metrics tell of a folder.

    Attributes:
        number: its key in the ledger.
        healthy: whether all of it can be read.
        scan_age: seconds since the last complete scan, or since watching began.
        files_seen: regular files in that scan.
        settling: files that are being waited for.
    """

    number: int
    healthy: bool
    scan_age: float
    files_seen: int
    settling: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """The service from inside.

    Attributes:
        facts: what `status` shows of it.
        folders: those that are watched.
        broken: what of the process is not alive any more, in words; the service is about to end.
        ledger_trouble: why nothing could be written to the ledger at last; "" while all is well.
        measured: everything that was counted in this run.
    """

    facts: LiveFacts
    folders: Sequence[FolderNow]
    broken: Sequence[str]
    ledger_trouble: str
    measured: Measured
