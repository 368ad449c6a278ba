"""Watches one folder, in a thread of its own: hints, looks, scans, and what to do when it is out."""

import math
import threading
from collections.abc import Collection, Sequence
from dataclasses import replace

import structlog

from attachd.core.folder_ledger import FolderLedger
from attachd.core.heart import Heart
from attachd.core.measure import UNMEASURED, Measure
from attachd.core.noise import Noise
from attachd.core.paths import escape
from attachd.core.protocols import Clock
from attachd.core.rules import Rule
from attachd.core.settings import FolderSettings
from attachd.core.wholeness import WITHIN, Complete, Demands
from attachd.errors import LedgerDamaged, LedgerError
from attachd.folders import reach
from attachd.folders.backlog import in_words
from attachd.folders.examining import Examiner
from attachd.folders.existing import ExistingFiles
from attachd.folders.lookout import Lookout
from attachd.folders.looks import Looks
from attachd.folders.mailbox import Mailbox
from attachd.folders.mounts import is_network
from attachd.folders.root import Root
from attachd.folders.rounds import Rounds
from attachd.folders.scan import BATCH
from attachd.folders.sieve import Sieve
from attachd.folders.sink import FolderHealth, Sink
from attachd.folders.walk import RootOut
from attachd.model import FolderRecord

SETTLE_LOCAL, SETTLE_NETWORK = 2.0, 30.0
"""Seconds without a change that make a file complete, where `settle` does not say."""

RESCAN_WITH_EVENTS, RESCAN_WITHOUT = 300.0, 10.0
"""Seconds between scans, where `rescan` does not say."""

PULSE = 2.0
"""Seconds between looks at the folder itself, and at the threads that bring events."""

HINTS, BRANCHES = 256, 0.05
"""In one turn: hints that are taken, and seconds for reading the directories that hints told of."""

log = structlog.get_logger("attachd")


class FolderWatch:
    """One folder under watch. `start`, `stop`, `hint`, `scan_now` and `health` are for any thread.

    Everything else is owned by the folder's thread, which `start` begins and nothing but `stop` ends. When
    that thread dies of something unexpected, `failure` holds it.

    Args:
        settings: the folder as rules.yaml has it.
        record: the folder as the ledger has it.
        ledger: asked one directory at a time.
        sink: told of what settles, of what is gone, and of what is no file to attach.
        clock: both clocks.
        noise: names that are no files.
        protected: absolute paths that are never uploaded, such as the ledger with its `-wal` and rules.yaml.
        pulse: seconds between looks at the folder itself.
        measure: told of what settles and of hints that are lost.
        within: seconds for which a file that is not whole is waited for, where its rule does not say.
    """

    def __init__(  # noqa: PLR0913 - the parts are handed in, so that nothing is shared between folders
        self,
        settings: FolderSettings,
        record: FolderRecord,
        ledger: FolderLedger,
        sink: Sink,
        clock: Clock,
        noise: Noise,
        protected: Collection[str] = (),
        *,
        pulse: float = PULSE,
        measure: Measure = UNMEASURED,
        within: float = WITHIN,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._pulse = pulse
        self._number = record.id
        self._measure = measure
        self._name = escape(settings.path)
        self._mailbox = Mailbox()
        self._root = Root(settings.path, record.filesystem, settings.require_mount, reach.identify)
        self._ledger = ledger
        self._seen_on = record.filesystem
        self._lookout = Lookout(settings.path, settings.watch, self._mailbox, clock, first_pause=pulse)
        self._existing = ExistingFiles(settings.existing, record)
        self._demands = Demands(settings.rules)
        sieve = Sieve(settings.path, noise, protected, self._demands)
        self._looks = self._make_looks(sieve, sink, within)
        self._rounds = self._make_rounds(sieve, record)
        self._outage = self._stall = ""
        self._is_in = self._is_far = False
        self._pulse_at = -math.inf
        self._is_idle = False
        self._health = self._take_health()
        self._thread = threading.Thread(target=self._run, name=f"folder {self._name}", daemon=True)
        self.failure: BaseException | None = None
        self.heart = Heart(clock)

    def _make_looks(self, sieve: Sieve, sink: Sink, within: float) -> Looks:
        return Looks(
            root=self._settings.path,
            folder_id=self._number,
            sieve=sieve,
            sink=sink,
            clock=self._clock,
            examiner=Examiner(self._settings.path, self._demands, within=within),
            measure=self._measure,
        )

    def _make_rounds(self, sieve: Sieve, record: FolderRecord) -> Rounds:
        return Rounds(
            root=self._root,
            record=record,
            ledger=self._ledger,
            sieve=sieve,
            looks=self._looks,
            existing=self._existing,
            clock=self._clock,
        )

    def start(self) -> None:
        """Begin watching; returns at once."""
        self._thread.start()

    def stop(self, within: float) -> bool:
        """Ask the thread to end and wait for it, at most `within` seconds; say whether it ended."""
        self._mailbox.stop()
        reach.let_go(self._settings.path)
        if self._thread.ident is not None:
            self._thread.join(within)
        return not self._thread.is_alive()

    def hint(self, path: str) -> None:
        """Have a path looked at, although it was reported: a worker did not find the file that settled."""
        self._mailbox.put(path, doubted=True)

    def rule_by(self, rules: Sequence[Rule]) -> None:
        """Let other rules say when a file is whole; where any asks for more than usual, scan at once."""
        differs = any(rule.complete != Complete() for rule in (*self._demands.rules, *rules))
        self._demands.rules = tuple(rules)
        if differs:
            self._rounds.names_changed = True
            self.scan_now()

    def scan_now(self) -> None:
        """Have the folder scanned as soon as possible, and looked for if it is out."""
        self._mailbox.want_scan()

    def health(self) -> FolderHealth:
        """Give how the folder fares, as of the thread's last step."""
        is_idle = self._is_idle  # before the mailbox: the thread takes hints only while it is not idle
        now = replace(self._health, is_idle=is_idle and not self._mailbox.has_post)
        doubt = reach.doubt(self._settings.path)
        details = (detail for detail in (now.detail, doubt) if detail)
        return replace(now, healthy=False, detail="; ".join(details)) if doubt else now

    def is_in_place(self) -> bool:
        """Look whether the folder is there and the same at this moment; while it is not, no file is gone."""
        return not self._root.problem()

    def _run(self) -> None:
        try:
            while not self._mailbox.is_stopping:
                self._turn()
                self._rest()
        except Exception as error:
            log.exception("folder_failed", folder=self._name)
            self.failure = error
        finally:
            self._is_idle = False
            self.heart.rest()
            self._lookout.end()

    def _turn(self) -> None:
        """Do what is due, one step of each kind."""
        self._beat()
        self._is_idle = False
        try:
            self._tend()
            if self._can_work:
                self._work()
        except RootOut as error:
            self._go_out(str(error))
        except LedgerDamaged:
            raise
        except LedgerError as error:
            log.warning("folder_stalled", folder=self._name, why=str(error))
            self._stall = f"the ledger does not answer: {error}"
            self._rounds.abandon()
        self._health = self._take_health()

    def _rest(self) -> None:
        """Wait until something is due, is put into the mailbox, or can go on."""
        has_room = self._looks.settler.room >= BATCH
        if self._rounds.is_active and has_room and self._can_work:
            return
        self._is_idle = self._has_nothing_to_do()
        due = [self._pulse_at]
        if self._can_work:
            due += [self._looks.settler.next_due or math.inf, self._next_round()]
        self._mailbox.wait(
            max(min(due) - self._clock.monotonic(), 0.0),
            for_hints=has_room and self._can_work,
            for_wishes=not self._rounds.is_scanning and not self._stall,
        )

    @property
    def _can_work(self) -> bool:
        return self._is_in and not self._stall

    def _has_nothing_to_do(self) -> bool:
        is_waiting = self._rounds.is_active or len(self._looks.settler) > 0
        return self._rounds.completed > 0 and not is_waiting and self._can_work

    def _work(self) -> None:
        self._looks.look_at_due()
        self._take_hints()
        if not self._rounds.is_scanning and (
            self._mailbox.take_scan_wanted() or self._clock.monotonic() >= self._next_round()
        ):
            self._rounds.begin()
        self._read_on()

    def _read_on(self) -> None:
        """Go on with what is being scanned; a burst of hints does not hold up the directories in it."""
        end = self._clock.monotonic() + BRANCHES
        while self._looks.settler.room >= BATCH:
            self._rounds.step()
            if not self._rounds.has_branches or self._clock.monotonic() >= end:
                return

    def _take_hints(self) -> None:
        if lost := self._mailbox.take_hints_lost():
            self._measure.hints_dropped(self._number, lost)
            log.warning("hints_overflowed", folder=self._name)
            self._existing.end()
        for path, doubted in self._mailbox.take_hints(min(self._looks.settler.room, HINTS)):
            if not path:
                self._mailbox.want_scan()
                continue
            self._existing.note_hint(path)
            if self._looks.look_at_hint(path, doubted=doubted):
                self._rounds.add_branch(path)

    def _next_round(self) -> float:
        if self._rounds.is_scanning:
            return math.inf
        default = RESCAN_WITH_EVENTS if self._lookout.sees_all else RESCAN_WITHOUT
        return self._rounds.due_at(default if self._settings.rescan is None else self._settings.rescan)

    def _tend(self) -> None:
        """Look at the folder itself and at the watch on it, every now and then."""
        if self._clock.monotonic() < self._pulse_at and not (self._outage and self._mailbox.has_post):
            return
        self._pulse_at = self._clock.monotonic() + self._pulse
        self._stall = ""
        reach.choose(self._settings.path, is_share=self._root.should_be_share)
        check = self._root.check()
        if check.problem:
            self._go_out(check.problem)
            return
        self._note_filesystem()
        if check.is_new or not self._is_in or self._is_far != reach.is_far(self._settings.path):
            self._come_in()
        elif self._lookout.tend():
            self._existing.end()
        self._rounds.hints_expected = self._lookout.is_on

    def _beat(self) -> None:
        if reach.is_far(self._settings.path):
            self.heart.rest()  # from here on it waits for a server, which ends by itself
        else:
            self.heart.beat()

    def _note_filesystem(self) -> None:
        """Have the ledger remember a share: from then on a plain directory in its place is not the folder."""
        filesystem = self._root.filesystem
        if filesystem != self._seen_on and is_network(filesystem):
            self._ledger.note_filesystem(self._number, filesystem)
            self._seen_on = filesystem

    def _go_out(self, problem: str) -> None:
        if self._outage != problem:
            log.warning("folder_out", folder=self._name, why=problem)
        self._outage, self._is_in = problem, False
        self._leave()
        self._mailbox.clear()

    def _come_in(self) -> None:
        """Begin with a folder that is there for the first time, again, or made anew: watch, then scan."""
        self._leave()
        is_remote = self._is_far = reach.is_far(self._settings.path)
        default = SETTLE_NETWORK if is_remote else SETTLE_LOCAL
        settle = default if self._settings.settle is None else self._settings.settle
        self._looks.begin(settle, is_remote=is_remote)
        self._lookout.begin(self._root.filesystem)
        event = "folder_back" if self._outage or self._is_in else "folder_started"
        log.info(event, folder=self._name, watch=self._lookout.word, filesystem=self._root.filesystem)
        self._outage, self._is_in = "", True

    def _leave(self) -> None:
        self._rounds.abandon()
        if self._lookout.end():
            self._existing.end()  # what happens until the next watch stands leaves no hint

    def _take_health(self) -> FolderHealth:
        backlog = self._rounds.first_count.found
        taken_up = "" if backlog is None or self._stall else in_words(backlog)
        doubts = [self._stall, self._rounds.unreadable, self._lookout.detail, taken_up]
        details = [self._outage] if self._outage else doubts
        return FolderHealth(
            path=self._settings.path,
            watch=self._lookout.word,
            healthy=not (self._outage or self._stall or self._rounds.unreadable),
            is_out=bool(self._outage),
            detail="; ".join(detail for detail in details if detail),
            last_scan_at=self._rounds.last_scan_at,
            scanned_at=self._rounds.scanned_at,
            files_seen=self._rounds.files_seen,
            found_by_hint=self._looks.found_by_hint,
            found_by_scan=self._looks.found_by_scan,
            directories=self._rounds.directories,
            watches=self._lookout.watches,
            watch_limit=self._lookout.limit,
            backlog=backlog,
            scanning=self._rounds.is_scanning,
            settling=len(self._looks.settler),
            is_idle=False,
        )
