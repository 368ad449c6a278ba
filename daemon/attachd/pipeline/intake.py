"""Intake: decides what becomes of each settled file and writes it to the ledger.

A path whose bytes may have changed is hashed first, in a thread of its own, since only another hash makes a
new version: a large file there must not keep new ones waiting. Everything else is decided at once by the
folder's rules. The ledger's transaction decides where both threads meet at one path.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from typing import TypeVar

import structlog

from attachd.core.heart import Heart
from attachd.core.paths import escape
from attachd.core.protocols import Clock, Files, Ledger, NewVersion
from attachd.errors import FileError, FileUnreadable, LedgerError
from attachd.model import ErrorInfo, FileVersion, SettledFile, Signs, Standing
from attachd.pipeline.background import give_way
from attachd.pipeline.judging import FolderRules, Rulings
from attachd.pipeline.patience import until_written

log = structlog.get_logger("attachd")

CAPACITY = 1000
"""Reports that may wait for intake; a folder that has more to say waits, and its scan with it."""

GROUP = 50
"""Reports that are written in one transaction at most: workers and a reload wait for no more than these."""

_PUT_SECONDS = 0.2

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Noted:
    """A path without delivery: no regular file, or never complete."""

    folder_id: int
    path: str
    signs: Signs
    standing: Standing
    reason: ErrorInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gone:
    folder_id: int
    path: str


_Report = SettledFile | _Noted | _Gone


class Intake:
    """Takes the reports of all folders, one after the other.

    `wake` tells a destination's claim loop that it has a new delivery; `look` asks a folder to look at a
    path again. Reports of a folder that is not among the rulings are dropped: it left rules.yaml.
    """

    def __init__(  # noqa: PLR0913 - the parts it joins, given by keyword
        self,
        *,
        ledger: Ledger,
        files: Files,
        folders: Mapping[int, FolderRules],
        clock: Clock,
        host: str,
        timezone: tzinfo,
        wake: Callable[[str], None],
        look: Callable[[int, str], None],
    ) -> None:
        self._ledger = ledger
        self._files = files
        self._rulings = Rulings(folders=folders, timezone=timezone, host=host)
        self._ruling = threading.Lock()  # from a judgement to its writing: nothing is written by old rules
        self._clock = clock
        self._wake = wake
        self._look = look
        self._reports: queue.Queue[_Report | None] = queue.Queue(CAPACITY)
        self._to_hash: queue.Queue[SettledFile | None] = queue.Queue(CAPACITY)
        self._open_reports = 0
        self._count = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.failure: BaseException | None = None
        self.heart = Heart(clock)  # of the deciding thread; hashing takes as long as the file is large
        self.bugs = 0

    # What folders report. Each waits while intake is behind, and gives up when the service stops.

    def settled(self, file: SettledFile) -> None:
        """Take a file that nobody is writing any more."""
        self._report(file)

    def unmatched(self, folder_id: int, path: str, signs: Signs, reason: ErrorInfo) -> None:
        """Take a path that is no regular file."""
        self._report(
            _Noted(folder_id=folder_id, path=path, signs=signs, standing=Standing.UNMATCHED, reason=reason)
        )

    def parked(self, folder_id: int, path: str, signs: Signs, reason: ErrorInfo) -> None:
        """Take a file that never became complete."""
        self._report(
            _Noted(folder_id=folder_id, path=path, signs=signs, standing=Standing.PARKED, reason=reason)
        )

    def gone(self, folder_id: int, path: str) -> None:
        """Take a path that is not there any more."""
        self._report(_Gone(folder_id=folder_id, path=path))

    # Life

    def start(self) -> None:
        """Start the deciding and the hashing thread."""
        bodies = ((self._loop, "intake"), (self._hash_loop, "intake-hash"))
        self._threads = [
            threading.Thread(target=self._guard, args=(body,), name=name, daemon=True)
            for body, name in bodies
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take no more reports; what is not written yet is found again by the next scan."""
        self._stop.set()
        for waiting in (self._reports, self._to_hash):
            with contextlib.suppress(queue.Full):  # a full queue wakes its thread all the same
                waiting.put_nowait(None)

    def join(self, deadline: float) -> None:
        """Wait for both threads until `deadline` (monotonic seconds)."""
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))

    @property
    def is_idle(self) -> bool:
        """Say whether every report so far is decided and written."""
        return self._open_reports == 0

    @property
    def rulings(self) -> Rulings:
        """Give the rules in force."""
        return self._rulings

    def rule_by(self, rulings: Rulings) -> None:
        """Put other rules in force; once this returns, nothing is written by the old ones any more."""
        with self._ruling:
            self._rulings = rulings

    def _guard(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:  # noqa: BLE001 - a thread that dies must end the service, see `failure`
            self.failure = error
            self.stop()

    def _report(self, report: _Report) -> None:
        with self._count:
            self._open_reports += 1
        self._put(self._reports, report)

    def _put(self, waiting: "queue.Queue[_T | None]", item: _T) -> None:
        while not self._stop.is_set():
            try:
                waiting.put(item, timeout=_PUT_SECONDS)
            except queue.Full:
                continue
            return

    def _done(self) -> None:
        with self._count:
            self._open_reports -= 1

    def _loop(self) -> None:
        while (group := self._next_group()) and not self._stop.is_set():
            self.heart.beat()
            for report in self._write_together(group):
                if self._decide_guarded(report):
                    self._done()
            self.heart.rest()

    def _next_group(self) -> list[_Report]:
        """Wait for a report and take all that wait behind it; none where intake is to end."""
        group: list[_Report] = []
        while len(group) < GROUP:
            try:
                report = self._reports.get(block=not group)
            except queue.Empty:
                break
            if report is None:
                break
            group.append(report)
        return group

    def _write_together(self, group: list[_Report]) -> list[_Report]:
        """Write what can be decided at once in one transaction; give the rest, to be decided one by one.

        Of several reports of one path only the first is written here: the others come after it.
        """
        if len(group) == 1:
            return group
        first = {(report.folder_id, report.path): report for report in reversed(group)}
        try:
            written = self._write_all(list(first.values()))
        except Exception:  # noqa: BLE001 - whatever it is: each is decided alone now, and the one at fault tells
            return group
        for new, ids in written.values():
            self._tell(new, ids)
        for _ in written:
            self._done()
        return [report for report in group if id(report) not in written]

    def _write_all(self, reports: list[_Report]) -> dict[int, tuple[NewVersion, Sequence[int]]]:
        """Judge and record reports of different paths; give by their `id` those that were."""
        with self._ruling:
            now = self._clock.now()
            judged = {id(report): self._judge_at_once(report, now) for report in reports}
            made = {key: new for key, new in judged.items() if new is not None}
            ids = self._ledger.record_all(list(made.values()), now) if made else ()
        return {key: (new, each) for (key, new), each in zip(made.items(), ids, strict=True)}

    def _judge_at_once(self, report: _Report, now: datetime) -> NewVersion | None:
        """Judge a report by the rules in force; None where more is to be done than to record it."""
        folder = self._rulings.folders.get(report.folder_id)
        if folder is None or isinstance(report, _Gone):
            return None
        if isinstance(report, _Noted):
            return _as_version(report)
        latest = self._ledger.latest(report.folder_id, report.path)
        if folder.needs_sha256 or _may_be_the_same(latest):
            return None
        return self._judge(report, None, latest, now)

    def _decide_guarded(self, report: _Report) -> bool:
        try:
            return until_written(lambda: self._decide(report), self._stop)
        except (LedgerError, MemoryError):
            raise
        except Exception:  # one path that meets a bug must not keep all others from being seen
            log.exception("intake_failed_by_a_bug", **self._about(report.folder_id, report.path))
            self.bugs += 1
            return True

    def _decide(self, report: _Report) -> bool:
        """Decide about one report; False where the hash is needed first."""
        self.heart.beat()
        if report.folder_id not in self._rulings.folders:
            return True
        match report:
            case SettledFile():
                return self._decide_settled(report)
            case _Noted():
                self._note(report)
            case _Gone():
                self._ledger.gone(report.folder_id, report.path, self._clock.now())
        return True

    def _decide_settled(self, file: SettledFile) -> bool:
        latest = self._ledger.latest(file.folder_id, file.path)
        known = latest is not None and latest.standing is not Standing.GONE and latest.signs == file.signs
        if known and latest and latest.standing is Standing.MATCHED and not file.doubted:
            return True
        if _may_be_the_same(latest) or not self._write(file, None, hashed=False):
            self.heart.rest()  # the files before it may be large
            self._put(self._to_hash, file)
            return False
        return True

    def _hash_loop(self) -> None:
        give_way()
        while (file := self._to_hash.get()) is not None and not self._stop.is_set():
            try:
                until_written(partial(self._decide_by_hash, file), self._stop)
            except (LedgerError, MemoryError):
                raise
            except Exception:  # as in `_decide_guarded`
                log.exception("intake_failed_by_a_bug", **self._about(file.folder_id, file.path))
                self.bugs += 1
            self._done()

    def _decide_by_hash(self, file: SettledFile) -> None:
        folder = self._rulings.folders.get(file.folder_id)
        if folder is None:
            return
        try:
            with self._files.open(folder.path, file.path, file.signs) as opened:
                sha256: str | None = opened.sha256()
        except FileUnreadable:
            # The worker will meet the same and say so on the delivery, where people see it.
            sha256 = None
        except FileError:
            self._look(file.folder_id, file.path)
            return
        latest = self._ledger.latest(file.folder_id, file.path)
        if _may_be_the_same(latest) and sha256 and self._same_bytes(file, sha256):
            return
        self._write(file, sha256, hashed=True)

    def _same_bytes(self, file: SettledFile, sha256: str) -> bool:
        same = self._ledger.same_bytes(file.folder_id, file.path, file.signs, sha256, self._clock.now())
        if same:
            log.debug("same_bytes", **self._about(file.folder_id, file.path))
            self._wake_all(file.folder_id)
        return same

    def _wake_all(self, folder_id: int) -> None:
        folder = self._rulings.folders.get(folder_id)
        for destination in {rule.to for rule in folder.rules} if folder else ():
            self._wake(destination)

    def _write(self, file: SettledFile, sha256: str | None, *, hashed: bool) -> bool:
        """Judge and record a file; False, and nothing done, where its hash is needed first."""
        with self._ruling:
            folder = self._rulings.folders.get(file.folder_id)
            if folder is None:
                return True
            if folder.needs_sha256 and not hashed:
                return False
            now = self._clock.now()
            new = self._judge(file, sha256, self._ledger.latest(file.folder_id, file.path), now)
            ids = self._ledger.record(new, now)
        self._tell(new, ids)
        return True

    def _judge(
        self, file: SettledFile, sha256: str | None, latest: FileVersion | None, now: datetime
    ) -> NewVersion:
        first_seen = _first_seen(latest) or now
        ruling = self._rulings.judge(file.folder_id, file.path, file.signs, sha256, first_seen)
        return NewVersion(
            folder_id=file.folder_id,
            path=file.path,
            signs=file.signs,
            standing=Standing.MATCHED if ruling.planned else Standing.UNMATCHED,
            reason=ruling.reason,
            planned=ruling.planned,
            sha256=sha256,
            after=ruling.after,
        )

    def _note(self, noted: _Noted) -> None:
        new = _as_version(noted)
        self._tell(new, self._ledger.record(new, self._clock.now()))

    def _tell(self, new: NewVersion, ids: object) -> None:
        about = self._about(new.folder_id, new.path)
        if new.standing is Standing.MATCHED:
            log.info("file_settled", **about, size=new.signs.size, deliveries=ids)
        elif new.reason:
            event = f"file_{new.standing}"
            log.warning(event, **about, kind=str(new.reason.kind), why=new.reason.message)
        for plan in new.planned:
            self._wake(plan.destination)

    def _about(self, folder_id: int, path: str) -> dict[str, str]:
        folder = self._rulings.folders.get(folder_id)
        return {"folder": escape(folder.path) if folder else "", "path": escape(path)}


def _as_version(noted: _Noted) -> NewVersion:
    return NewVersion(
        folder_id=noted.folder_id,
        path=noted.path,
        signs=noted.signs,
        standing=noted.standing,
        reason=noted.reason,
    )


def _first_seen(latest: FileVersion | None) -> datetime | None:
    """A path keeps the day it was first seen while no rule has taken it yet."""
    return latest.first_seen if latest and latest.standing in (Standing.UNMATCHED, Standing.PARKED) else None


def _may_be_the_same(latest: FileVersion | None) -> bool:
    """Say whether the bytes of the newest version are known, or will be: only other ones make a new one."""
    if latest is None or latest.standing is Standing.GONE:
        return False
    return latest.standing is Standing.MATCHED or (
        latest.standing is Standing.EXISTING and latest.sha256 is not None
    )
