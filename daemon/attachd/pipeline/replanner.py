"""Judging anew, at start and at every reload: what is not delivered yet is held against the rules in force.

Theory of operation. A pass goes through the undelivered and the unmatched files of every folder, page by page
in a thread of its own, and writes only what changes. Until a folder is through, nothing of it is claimed:
what the old rules wanted must not go out behind the new ones' back. What a worker has at that moment is left
to it, and judged when it has come to rest; it is not claimed again before that.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol

import structlog

from attachd.core.heart import Heart
from attachd.core.paths import escape
from attachd.core.protocols import Clock, Files, NewVersion
from attachd.core.replanning import Judgement, replan
from attachd.core.wholeness import Complete, Demands, not_complete
from attachd.errors import FileError, LedgerError
from attachd.model import Delivery, ErrorInfo, FileVersion, FolderRecord, Standing, State, Withheld
from attachd.pipeline.judging import FolderRules, Ruling, Rulings
from attachd.pipeline.patience import until_written

log = structlog.get_logger("attachd")

REST_SECONDS = 0.1
"""How often deliveries that a worker had are looked at until they have come to rest."""


class Undelivered(Protocol):
    """A file version of which something is not delivered yet."""

    @property
    def version(self) -> FileVersion:
        """Give the version."""
        ...

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Give all its deliveries, oldest first."""
        ...


class Outcome(Protocol):
    """What was written."""

    superseded: int
    held: int
    released: int
    added: int
    unmatched: int
    matched: int
    parked: int
    destinations: set[str]
    active: set[int]


class ReplanLedger(Protocol):
    """What judging anew asks of the ledger. Every stream comes in pages, with no read open between them."""

    def folder_records(self) -> Sequence[FolderRecord]:
        """Give every folder that was ever watched."""
        ...

    def undelivered(self, folder_id: int) -> Iterator[Sequence[Undelivered]]:
        """Stream a folder's files of which something is not delivered."""
        ...

    def undelivered_again(self, delivery_ids: Sequence[int]) -> Sequence[Undelivered]:
        """Give the files of these deliveries as they stand now."""
        ...

    def unmatched(self, folder_id: int) -> Iterator[Sequence[FileVersion]]:
        """Stream a folder's files that no rule took."""
        ...

    def replan(self, judged: Sequence[tuple[FileVersion, Judgement]], at: datetime, by: str) -> Outcome:
        """Write what becomes of these files, in one transaction."""
        ...

    def match(self, found: Sequence[NewVersion], at: datetime) -> Outcome:
        """Record unmatched files that a rule takes now, or that are parked for it, in one transaction."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One judging anew: by which rules, with which destinations, and why (`start` or `reload`)."""

    rulings: Rulings
    destinations: frozenset[str]
    by: str


class Replanner:
    """Judges anew in its own thread, which owns everything here but what `begin` hands over.

    `wake` tells a destination's claim loop that there may be something to do.
    """

    def __init__(
        self, *, ledger: ReplanLedger, files: Files, clock: Clock, wake: Callable[[str], None]
    ) -> None:
        self._ledger = ledger
        self._files = files
        self._clock = clock
        self._wake = wake
        self._changed = threading.Condition()
        self._wanted: Pass | None = None
        self._current: Pass | None = None
        self._busy = False
        self._stop = threading.Event()
        self._withheld = Withheld()
        self._active: set[int] = set()
        self._counts: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="replanner", daemon=True)
        self.failure: BaseException | None = None
        self.heart = Heart(clock)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the page at hand; the next start judges everything."""
        with self._changed:
            self._stop.set()
            self._changed.notify()

    def join(self, deadline: float) -> None:
        """Wait for the thread until `deadline` (monotonic seconds)."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline - self._clock.monotonic()))

    def begin(self, wanted: Pass) -> None:
        """Judge everything by these rules from now on; a pass under way gives way. Returns at once."""
        ids = frozenset(record.id for record in self._ledger.folder_records())
        with self._changed:
            self._wanted = wanted
            self._withheld = replace(self._withheld, folders=ids | wanted.rulings.folders.keys())
            self._changed.notify()

    def withheld(self) -> Withheld:
        """Give what may not be claimed: it is not judged yet, or its folder is not in rules.yaml."""
        return self._withheld

    @property
    def is_idle(self) -> bool:
        """Say whether everything is judged by the rules in force."""
        return not (self._busy or self._wanted or self._active)

    def _run(self) -> None:
        try:
            while (wanted := self._next()) is not None:
                judge = self._judge_rested if wanted is self._current else self._pass
                until_written(partial(judge, wanted), self._stop)
        except BaseException as error:  # noqa: BLE001 - a thread that dies must end the service, see `failure`
            self.failure = error

    def _next(self) -> Pass | None:
        """Wait for a pass, or for the time to look at what was active; None when it is over."""
        self.heart.rest()
        with self._changed:
            self._busy = False
            timeout = REST_SECONDS if self._active else None
            self._changed.wait_for(lambda: self._stop.is_set() or self._wanted is not None, timeout)
            if self._stop.is_set():
                return None
            self._busy = True
            wanted, self._wanted = self._wanted or self._current, None
            return wanted

    @property
    def _is_overtaken(self) -> bool:
        return self._stop.is_set() or self._wanted is not None

    def _pass(self, wanted: Pass) -> None:
        self.heart.beat()
        self._current = wanted
        self._counts = {}
        for record in self._ledger.folder_records():
            self._judge_folder(wanted, record.id)
            if self._is_overtaken:
                return
            if record.id in wanted.rulings.folders:
                self._let_go(record.id)
            for name in wanted.destinations:
                self._wake(name)
        if any(self._counts.values()) or wanted.by != "start":
            log.info("judged_anew", by=wanted.by, **self._counts)

    def _let_go(self, folder_id: int) -> None:
        with self._changed:
            if self._wanted is None:
                judged = self._withheld.folders - {folder_id}
                self._withheld = Withheld(folders=judged, deliveries=frozenset(self._active))

    def _judge_folder(self, wanted: Pass, folder_id: int) -> None:
        for page in self._ledger.undelivered(folder_id):
            if self._is_overtaken:
                return
            self._judge(wanted, page)
        if folder_id not in wanted.rulings.folders:
            return
        for versions in self._ledger.unmatched(folder_id):
            if self._is_overtaken:
                return
            self._match(wanted, wanted.rulings.folders[folder_id], versions)

    def _judge(self, wanted: Pass, page: Sequence[Undelivered]) -> None:
        changed = []
        for file in page:
            self._active |= {each.id for each in file.deliveries if each.state is State.ACTIVE}
            judgement = self._judgement(wanted, file.version)
            if judgement is not None:
                judgement = self._if_whole(wanted, file, judgement)
            if judgement is not None and not replan(file.deliveries, judgement).is_nothing:
                changed.append((file.version, judgement))
        if changed:
            self._count(self._ledger.replan(changed, self._clock.now(), wanted.by))

    def _judge_rested(self, wanted: Pass) -> None:
        """Judge what a worker had when its folder was judged, and has no more."""
        self.heart.beat()
        rested = frozenset(self._active)
        files = self._ledger.undelivered_again(sorted(rested))
        self._active.clear()  # those that are still active come in again
        self._counts = {}
        try:
            self._judge(wanted, files)
        except LedgerError:
            self._active |= rested
            raise
        with self._changed:
            self._withheld = replace(self._withheld, deliveries=frozenset(self._active))
        for name in wanted.destinations:
            self._wake(name)
        if any(self._counts.values()):
            log.info("judged_anew", by=wanted.by, **self._counts)

    def _judgement(self, wanted: Pass, version: FileVersion) -> Judgement | None:
        if version.folder_id not in wanted.rulings.folders:
            return Judgement(folder_is_known=False)
        ruling = self._ruling(wanted, version)
        if ruling is None:
            return None
        return Judgement(
            planned=ruling.planned,
            reason=ruling.reason,
            after=ruling.after,
            destinations=wanted.destinations,
        )

    def _if_whole(self, wanted: Pass, file: Undelivered, judgement: Judgement) -> Judgement:
        """Have a file parked that another rule takes over, where it is not whole for that one.

        Only what is asked beyond the usual counts: that the file has its end was seen when it settled.
        """
        version, rules = file.version, {each.rule for each in file.deliveries}
        added = replan(file.deliveries, judgement).added
        parked = replace(judgement, planned=(), after=None, is_parked=True)
        if (
            not added
            or rules & {plan.rule for plan in added}
            or not replan(file.deliveries, parked).unmatched
        ):
            return judgement
        folder = wanted.rulings.folders[version.folder_id]
        demands = Demands(folder.rules)
        demand = demands.of(version.path)
        if demand is None or demand.complete == Complete():
            return judgement
        reason = self._not_complete(folder, version, demands)
        return judgement if reason is None else replace(parked, reason=reason)

    def _match(self, wanted: Pass, folder: FolderRules, versions: Sequence[FileVersion]) -> None:
        """Take up what a rule takes now; what is noise or a marker by now is left to its folder's scan."""
        demands = Demands(folder.rules)
        taken = []
        for version in versions:
            if folder.noise.ignores(version.path, is_directory=False) or demands.is_marker(version.path):
                continue
            ruling = self._ruling(wanted, version)
            if ruling is not None and ruling.planned:
                taken.append(_matched(version, ruling, self._not_complete(folder, version, demands)))
        if taken:
            self._count(self._ledger.match(taken, self._clock.now()))

    def _not_complete(self, folder: FolderRules, version: FileVersion, demands: Demands) -> ErrorInfo | None:
        """Say why a file is to be parked: no rule asked whether it is whole while none took it."""
        self.heart.rest()  # it may wait for a server
        try:
            lack = self._files.lack(folder.path, version.path, version.signs, demands)
        except FileError as error:
            return not_complete(f"it cannot be looked at now: {error}", "")
        return None if lack is None else not_complete(lack.reason, lack.hint)

    def _ruling(self, wanted: Pass, version: FileVersion) -> Ruling | None:
        """Ask the rules; None where the file would have to be read for that, and cannot be."""
        self.heart.beat()
        try:
            sha256 = version.sha256 or self._hash(wanted, version)
            return wanted.rulings.judge(
                version.folder_id, version.path, version.signs, sha256, version.first_seen
            )
        except FileError as error:
            log.info("not_judged_anew", **_about(wanted, version), why=str(error))
        except (LedgerError, MemoryError):
            raise
        except Exception:  # one path that meets a bug must not keep all others from being judged
            log.exception("judging_failed_by_a_bug", **_about(wanted, version))
        return None

    def _hash(self, wanted: Pass, version: FileVersion) -> str | None:
        folder = wanted.rulings.folders[version.folder_id]
        if not folder.needs_sha256:
            return None
        self.heart.rest()  # it takes as long as the file is large
        with self._files.open(folder.path, version.path, version.signs) as file:
            return file.sha256()

    def _count(self, outcome: Outcome) -> None:
        for what in ("superseded", "held", "released", "added", "unmatched", "matched", "parked"):
            self._counts[what] = self._counts.get(what, 0) + int(getattr(outcome, what))
        self._active |= outcome.active
        for name in outcome.destinations:
            self._wake(name)


def _about(wanted: Pass, version: FileVersion) -> dict[str, str]:
    folder = wanted.rulings.folders[version.folder_id]
    return {"folder": escape(folder.path), "path": escape(version.path)}


def _matched(version: FileVersion, ruling: Ruling, not_complete: ErrorInfo | None) -> NewVersion:
    is_whole = not_complete is None
    return NewVersion(
        folder_id=version.folder_id,
        path=version.path,
        signs=version.signs,
        standing=Standing.MATCHED if is_whole else Standing.PARKED,
        reason=not_complete,
        planned=ruling.planned if is_whole else (),
        sha256=version.sha256,
        after=ruling.after if is_whole else None,
    )
