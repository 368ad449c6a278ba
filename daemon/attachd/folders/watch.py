"""Watches one folder, in a thread of its own: hints, looks, scans, and what to do when it is out."""

import math
import threading
from collections.abc import Collection
from dataclasses import replace

import structlog

from attachd.core.noise import Noise
from attachd.core.paths import escape
from attachd.core.protocols import Clock, FolderLedger
from attachd.core.settings import FolderSettings
from attachd.errors import LedgerError
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
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._pulse = pulse
        self._name = escape(settings.path)
        self._mailbox = Mailbox()
        self._root = Root(settings.path, record.filesystem)
        self._lookout = Lookout(settings.path, settings.watch, self._mailbox, clock, first_pause=pulse)
        self._existing = ExistingFiles(settings.existing, record)
        sieve = Sieve(settings.path, noise, protected)
        self._looks = Looks(root=settings.path, folder_id=record.id, sieve=sieve, sink=sink, clock=clock)
        self._rounds = Rounds(
            root=self._root,
            record=record,
            ledger=ledger,
            sieve=sieve,
            looks=self._looks,
            existing=self._existing,
            clock=clock,
        )
        self._outage = self._stall = ""
        self._is_in = False
        self._pulse_at = -math.inf
        self._is_idle = False
        self._health = self._take_health()
        self._thread = threading.Thread(target=self._run, name=f"folder {self._name}", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Begin watching; returns at once."""
        self._thread.start()

    def stop(self, within: float) -> bool:
        """Ask the thread to end and wait for it, at most `within` seconds; say whether it ended."""
        self._mailbox.stop()
        if self._thread.ident is not None:
            self._thread.join(within)
        return not self._thread.is_alive()

    def hint(self, path: str) -> None:
        """Have a path looked at, although it was reported: a worker did not find the file that settled."""
        self._mailbox.put(path, doubted=True)

    def scan_now(self) -> None:
        """Have the folder scanned as soon as possible, and looked for if it is out."""
        self._mailbox.want_scan()

    def health(self) -> FolderHealth:
        """Give how the folder fares, as of the thread's last step."""
        is_idle = self._is_idle  # before the mailbox: the thread takes hints only while it is not idle
        return replace(self._health, is_idle=is_idle and not self._mailbox.has_post)

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
            self._lookout.end()

    def _turn(self) -> None:
        """Do what is due, one step of each kind."""
        self._is_idle = False
        try:
            self._tend()
            if self._can_work:
                self._work()
        except RootOut as error:
            self._go_out(str(error))
        except LedgerError as error:
            log.warning("folder_stalled", folder=self._name, reason=str(error))
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
        if self._looks.settler.room >= BATCH:
            self._rounds.step()

    def _take_hints(self) -> None:
        if self._mailbox.take_hints_lost():
            log.warning("hints_overflowed", folder=self._name)
            self._existing.end()
        for path, doubted in self._mailbox.take_hints(self._looks.settler.room):
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
        check = self._root.check()
        if check.problem:
            self._go_out(check.problem)
        elif check.is_new or not self._is_in:
            self._come_in()
        elif self._lookout.tend():
            self._existing.end()
        self._rounds.hints_expected = self._lookout.is_on

    def _go_out(self, problem: str) -> None:
        if not self._outage:
            log.warning("folder_out", folder=self._name, reason=problem)
        self._outage, self._is_in = problem, False
        self._leave()
        self._mailbox.clear()

    def _come_in(self) -> None:
        """Begin with a folder that is there for the first time, again, or made anew: watch, then scan."""
        self._leave()
        default = SETTLE_NETWORK if is_network(self._root.filesystem) else SETTLE_LOCAL
        self._looks.begin(default if self._settings.settle is None else self._settings.settle)
        self._lookout.begin(self._root.filesystem)
        event = "folder_back" if self._outage or self._is_in else "folder_started"
        log.info(event, folder=self._name, watch=self._lookout.word, filesystem=self._root.filesystem)
        self._outage, self._is_in = "", True

    def _leave(self) -> None:
        self._rounds.abandon()
        if self._lookout.end():
            self._existing.end()  # what happens until the next watch stands leaves no hint

    def _take_health(self) -> FolderHealth:
        details = (
            [self._outage] if self._outage else [self._stall, self._rounds.unreadable, self._lookout.detail]
        )
        return FolderHealth(
            path=self._settings.path,
            watch=self._lookout.word,
            healthy=not (self._outage or self._stall or self._rounds.unreadable),
            is_out=bool(self._outage),
            detail="; ".join(detail for detail in details if detail),
            last_scan_at=self._rounds.last_scan_at,
            files_seen=self._rounds.files_seen,
            found_by_hint=self._looks.found_by_hint,
            found_by_scan=self._looks.found_by_scan,
            scanning=self._rounds.is_scanning,
            settling=len(self._looks.settler),
            is_idle=False,
        )
