"""Looks at single files until they are settled, and reports them."""

import os
import stat
from collections import OrderedDict

import structlog

from attachd.core.measure import UNMEASURED, Measure
from attachd.core.paths import escape
from attachd.core.protocols import Clock
from attachd.core.settling import Settler, Settling, Verdict, is_leftover
from attachd.core.wholeness import Lack, not_complete
from attachd.errors import FileError, FileGone
from attachd.folders import reach, walk
from attachd.folders.examining import Examiner
from attachd.folders.scan import Found
from attachd.folders.sieve import Sieve
from attachd.folders.sink import Sink
from attachd.model import ErrorInfo, ErrorKind, SettledFile, Signs

REPORTED_KEPT = 10_000
REPORTED_FOR = 60.0
"""How many reports are remembered at most, and for how many seconds: by then intake has written them."""

log = structlog.get_logger("attachd")


class Looks:
    """The files of one folder on their way to being settled. Owned by the folder's thread.

    Hinted files are not compared with the ledger: a hint for a known file is rare and costs intake one
    look-up, while asking for a whole directory at every hint would cost more the fuller the directory is.
    """

    def __init__(
        self,
        *,
        root: str,
        folder_id: int,
        sieve: Sieve,
        sink: Sink,
        clock: Clock,
        examiner: Examiner,
        measure: Measure = UNMEASURED,
    ) -> None:
        self._root = root
        self._folder_id = folder_id
        self._sieve = sieve
        self._sink = sink
        self._clock = clock
        self._examiner = examiner
        self._measure = measure
        self._reported = _Reported()
        self._hinted: set[str] = set()
        self._doubted: set[str] = set()
        self.settler = Settler(0.0)
        self.found_by_hint = 0
        self.found_by_scan = 0

    def look_at_hint(self, path: str, *, doubted: bool) -> bool:
        """Look at a hinted path; True for a directory, which is to be scanned.

        Raises:
            RootOut: the folder itself cannot be opened.
        """
        for marked in self._examiner.demands.marked_by(path):
            self.reconsider(marked)
        if doubted:
            self._reported.forget(path)
        facts = self._facts(path)
        if facts is None:
            return False
        is_directory = stat.S_ISDIR(facts.st_mode)
        if self._sieve.ignores(path, is_directory):
            return False
        if is_directory:
            return True
        if doubted:
            self._doubted.add(path)
        self.settler.touched(path, self._clock.monotonic())
        self.consider(Found(path=path, signs=Signs.of(facts), kind=walk.kind_of(facts.st_mode)), hinted=True)
        return False

    def look_at_due(self) -> None:
        """Look again at every file whose wait is over.

        Raises:
            RootOut: the folder itself cannot be opened.
        """
        for path in self.settler.due(self._clock.monotonic()):
            facts = self._facts(path)
            if facts is None:
                continue
            if stat.S_ISDIR(facts.st_mode):
                self._forget(path)
            else:
                self.consider(Found(path=path, signs=Signs.of(facts), kind=walk.kind_of(facts.st_mode)))

    def reconsider(self, path: str) -> None:
        """Take up a file that lacked something, if it lacks nothing by now; whether it is parked or not.

        Raises:
            RootOut: the folder itself cannot be opened.
        """
        facts = self._facts(path)
        if facts is None or not stat.S_ISREG(facts.st_mode):
            return
        signs = Signs.of(facts)
        if is_leftover(signs) or self._lack(path, signs) is not None:
            return
        self._reported.forget(path)
        self.consider(Found(path=path, signs=signs, kind=None))

    def consider(self, found: Found, *, hinted: bool = False) -> bool:
        """Take in what one look showed; True where it is news: not reported and not waited for before."""
        now = self._clock.monotonic()
        if self._reported.holds(found.path, found.signs, now):
            self._forget(found.path)
            return False
        if found.kind is not None:
            self._report_irregular(found, found.kind, now)
            return True
        is_news = found.path not in self.settler
        if is_news and hinted:
            self._hinted.add(found.path)
        verdict = self.settler.observe(found.path, found.signs, now)
        if verdict.settling is Settling.SETTLED:
            lack = self._lack(found.path, found.signs)
            if lack is not None:
                verdict = self.settler.put_off(found.path, found.signs, verdict, lack, now)
        if verdict.settling is not Settling.WAIT:
            self._report(found, verdict, now)
        return is_news

    def report_gone(self, path: str) -> None:
        """Report that a path is gone; if the same file comes back, it is news."""
        self._forget(path)
        self._reported.forget(path)
        self._sink.gone(self._folder_id, path)

    def begin(self, settle: float, *, is_remote: bool) -> None:
        """Wait for no file yet, and for `settle` seconds for each from now on; a scan follows."""
        self.settler = Settler(settle)
        self._examiner.long_wait = self.settler.long_wait
        self._examiner.is_remote = is_remote
        self._hinted.clear()
        self._doubted.clear()

    def _lack(self, path: str, signs: Signs) -> Lack | None:
        try:
            return self._examiner.lack(path, signs)
        except FileGone:
            return None  # whoever opens it next says so

    def _facts(self, path: str) -> os.stat_result | None:
        try:
            return reach.look(self._root, path)
        except walk.RootOut:
            raise
        except FileError:
            self._forget(path)  # gone, or not to be looked at: when it can be, a scan finds it
            return None

    def _forget(self, path: str) -> None:
        self.settler.forget(path)
        self._hinted.discard(path)
        self._doubted.discard(path)

    def _report(self, found: Found, verdict: Verdict, now: float) -> None:
        by_hint, doubted = found.path in self._hinted, found.path in self._doubted
        self._forget(found.path)
        self._reported.add(found.path, found.signs, now)
        if verdict.settling is Settling.PARKED:
            reason = not_complete(verdict.reason, verdict.hint)
            self._sink.parked(self._folder_id, found.path, found.signs, reason)
            return
        if verdict.reason:
            about = {"folder": escape(self._root), "path": escape(found.path), "why": verdict.reason}
            log.info("settled_with_holes", **about)
        self.found_by_hint += by_hint
        self.found_by_scan += not by_hint
        self._measure.settled(self._folder_id, verdict.waited, by_hint=by_hint)
        self._sink.settled(
            SettledFile(
                folder_id=self._folder_id,
                path=found.path,
                signs=found.signs,
                found_by_hint=by_hint,
                doubted=doubted,
            )
        )

    def _report_irregular(self, found: Found, kind: str, now: float) -> None:
        self._forget(found.path)
        self._reported.add(found.path, found.signs, now)
        self._sink.unmatched(self._folder_id, found.path, found.signs, _not_regular(kind))


class _Reported:
    """The last reports, so that a scan does not repeat what intake has not written yet."""

    def __init__(self) -> None:
        self._reports: OrderedDict[str, tuple[Signs, float]] = OrderedDict()

    def add(self, path: str, signs: Signs, now: float) -> None:
        self._reports[path] = (signs, now)
        self._reports.move_to_end(path)
        while self._is_too_old(next(iter(self._reports.values())), now):
            self._reports.popitem(last=False)

    def holds(self, path: str, signs: Signs, now: float) -> bool:
        report = self._reports.get(path)
        return report is not None and report[0] == signs and now < report[1] + REPORTED_FOR

    def forget(self, path: str) -> None:
        self._reports.pop(path, None)

    def _is_too_old(self, oldest: tuple[Signs, float], now: float) -> bool:
        return len(self._reports) > REPORTED_KEPT or now >= oldest[1] + REPORTED_FOR


def _not_regular(kind: str) -> ErrorInfo:
    return ErrorInfo(
        kind=ErrorKind.NOT_REGULAR,
        message=f"This is {kind}; attachd attaches only regular files that lie in the folder itself.",
        hint="Put the file itself here, or add the name to the folder's `ignore`.",
    )
