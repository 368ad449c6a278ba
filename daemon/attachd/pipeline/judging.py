"""What the rules in force make of a file: the folders' rules with everything that they are rendered with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from attachd.core.afters import PlannedAfter
from attachd.core.noise import Noise
from attachd.core.rules import FileFacts, Rule, judge, planned, planned_after, refusal
from attachd.model import ErrorInfo, ErrorKind, PlannedDelivery, Signs

_EARLIEST = -62_000_000_000  # in the year 5, and
_LATEST = 253_000_000_000  # in the year 9987: a day's distance from what datetime holds, in any timezone


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRules:
    """What has to be known of a folder to judge its files."""

    path: str
    rules: tuple[Rule, ...]
    noise: Noise = field(default_factory=Noise)

    @property
    def needs_sha256(self) -> bool:
        """Say whether a file has to be hashed before its rules can be asked."""
        return any(rule.needs_sha256 for rule in self.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the rules want of one file, or why none takes it; `after` None: it stays once it is attached."""

    planned: tuple[PlannedDelivery, ...]
    reason: ErrorInfo | None
    after: PlannedAfter | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulings:
    """One state of rules.yaml, as far as files are judged by it. Replaced as a whole, never changed.

    Attributes:
        folders: by their id in the ledger.
        timezone: for `{date}` and `{file_date}`.
        host: this machine's name.
    """

    folders: Mapping[int, FolderRules]
    timezone: tzinfo
    host: str

    def judge(
        self, folder_id: int, path: str, signs: Signs, sha256: str | None, first_seen: datetime
    ) -> Ruling:
        """Ask the folder's rules.

        Raises:
            KeyError: the folder is not among them.
        """
        folder = self.folders[folder_id]
        facts = FileFacts(
            path=path,
            folder=folder.path,
            size=signs.size,
            mtime=_moment(signs.mtime_ns),
            first_seen=first_seen,
            host=self.host,
            timezone=self.timezone,
            sha256=sha256,
        )
        verdicts = judge(folder.rules, facts)
        plans = planned(verdicts)
        return Ruling(
            planned=plans,
            reason=None if plans else _no_rule(refusal(verdicts)),
            after=planned_after(folder.rules, verdicts, facts),
        )


def _moment(nanoseconds: int) -> datetime:
    """Turn an mtime into a date; what no calendar has (and a file may bear) becomes the nearest."""
    seconds = min(max(nanoseconds // 10**9, _EARLIEST), _LATEST)
    return datetime.fromtimestamp(seconds, UTC)


def _no_rule(refused: str | None) -> ErrorInfo:
    if refused:
        return ErrorInfo(
            kind=ErrorKind.NO_RULE,
            message=refused,
            hint="rename the file, or change the rule's target or filename",
        )
    return ErrorInfo(
        kind=ErrorKind.NO_RULE,
        message="no rule of its folder takes this path",
        hint="`attachd explain PATH` says why for each rule",
    )
