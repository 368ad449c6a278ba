"""Finish: does what `after` says once a file is attached everywhere, one after-action after the other.

The names are recorded before anything is done, so that the next start finds what this one left. What cannot
be done now is tried again with growing pauses, in this table of its own: a delivery that is attached stays
so, whatever becomes of its file.
"""

import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta

import structlog

from attachd.core.afters import (
    AfterAction,
    AfterKind,
    AfterLedger,
    AfterState,
    Mover,
    PlannedAfter,
    final_target,
    held_name,
    pause_after,
)
from attachd.core.heart import Heart
from attachd.core.paths import escape
from attachd.core.protocols import Clock
from attachd.errors import (
    FileChanged,
    FileError,
    FileGone,
    FileUnreadable,
    LedgerError,
    MoveRefused,
    NameTaken,
    NotRegular,
    StopRequested,
)
from attachd.pipeline.patience import until_written

log = structlog.get_logger("attachd")

GATHER_SECONDS = 0.02
"""How long it waits for company once something was attached: the ledger is asked once for all of them."""

POLL_SECONDS = 0.5
"""The longest wait: so soon it notices what became due without a word (a person's command, a pause's end)."""

NAMES_TRIED = 20
"""How often in one attempt another program may take the name that was just found free."""


class Finisher:
    """The thread that acts on attached files. Owns nothing but its own state.

    `judge` says what the rules in force make of the file, which may not be what was planned when it settled;
    `folders` gives the ids of the folders that are there now; `in_place` says of one whether it is still the
    same, so that a file that is not to be found is gone; `marker` gives the path of a file's marker.
    """

    def __init__(
        self,
        *,
        ledger: AfterLedger,
        mover: Mover,
        clock: Clock,
        judge: Callable[[AfterAction], PlannedAfter | None],
        folders: Callable[[], Collection[int]],
        in_place: Callable[[int], bool],
        marker: Callable[[AfterAction], str | None],
    ) -> None:
        self._ledger = ledger
        self._mover = mover
        self._clock = clock
        self._judge = judge
        self._folders = folders
        self._in_place = in_place
        self._marker = marker
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._busy = False
        self._thread = threading.Thread(target=self._guard, name="finish", daemon=True)
        self.failure: BaseException | None = None
        self.heart = Heart(clock)

    def start(self) -> None:
        """Start the thread; what an earlier run left comes first, as it has been due for longest."""
        self._thread.start()

    def wake(self) -> None:
        """Say that a delivery was attached."""
        self._wake.set()

    def stop(self) -> None:
        """Begin nothing more, and end a copy under way: the next start makes it anew."""
        self._stop.set()
        self._wake.set()

    def join(self, deadline: float) -> None:
        """Wait for the thread until `deadline` (monotonic seconds)."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline - self._clock.monotonic()))

    @property
    def is_busy(self) -> bool:
        """Say whether an after-action is under way, or could be done now."""
        return self._busy or self._ledger.left(self._folders(), self._clock.now()).now

    @property
    def is_behind(self) -> bool:
        """Say whether an after-action could not be done when it was tried, and is tried again later."""
        return self._ledger.left(self._folders(), self._clock.now()).later

    def _guard(self) -> None:
        try:
            self._loop()
        except BaseException as error:  # noqa: BLE001 - a thread that dies must end the service, see `failure`
            self.failure = error

    def _loop(self) -> None:
        until_written(lambda: self._ledger.reconsider(self._clock.now()), self._stop)
        while not self._stop.is_set():
            until_written(self._turn, self._stop)
        self.heart.rest()

    def _turn(self) -> None:
        self.heart.beat()
        self._wake.clear()
        self._busy = True
        action = self._ledger.due(self._folders(), self._clock.now())
        if action is not None:
            self.heart.rest()  # a copy takes as long as the file is large
            self._attempt_guarded(action)
        self._busy = False
        if action is None and self._wake.wait(POLL_SECONDS):
            self._stop.wait(GATHER_SECONDS)

    def _attempt_guarded(self, action: AfterAction) -> None:
        try:
            self._attempt(action)
        except (LedgerError, MemoryError):
            raise
        except Exception as error:  # one file that meets a bug must not stop the others
            log.exception("after_action_failed_by_a_bug", **_about(action))
            self._postpone(action, f"attachd itself failed: {type(error).__name__}; the log has the details")

    def _attempt(self, action: AfterAction) -> None:
        try:
            self._do(action)
        except FileGone:
            self._gone(action, AfterState.SKIPPED, "there is no file to act on any more")
        except (FileChanged, NotRegular) as error:
            self._end(action, AfterState.SKIPPED, f"left alone: {error}")
        except MoveRefused as error:
            self._end(action, AfterState.FAILED, f"the file stays: {error}")
        except (FileUnreadable, NameTaken) as error:
            self._postpone(action, str(error))
        except StopRequested:
            log.info("after_action_interrupted", **_about(action))

    def _do(self, action: AfterAction) -> None:
        taken: AfterAction | None = action
        if action.state is not AfterState.TAKEN:
            wanted = self._judge(action)
            if wanted is None:
                self._end(action, AfterState.SKIPPED, "the rules in force let the file stay")
                return
            taken = self._begin(action, wanted)
        for _ in range(NAMES_TRIED):
            if taken is None:  # a delivery came, or newer bytes: it is not to be done any more, or not yet
                return
            try:
                self._mover.carry_out(taken, self._stop.is_set)
            except NameTaken:
                taken = self._take(taken)
            except FileGone:
                self._gone(taken, *_when_gone(taken))
                return
            else:
                self._end(taken, AfterState.DONE, _what_was_done(taken))
                return
        raise NameTaken("every name that was free is taken by the time it is used")

    def _begin(self, action: AfterAction, wanted: PlannedAfter) -> AfterAction | None:
        if wanted.fault:
            raise MoveRefused(wanted.fault)
        self._mover.verify(action)
        return self._take(replace(action, rule=wanted.rule, kind=wanted.kind, target=wanted.target))

    def _take(self, action: AfterAction) -> AfterAction | None:
        chosen = None
        if action.target is not None:
            target = final_target(action.target, action.sha256)
            if target is None:
                raise MoveRefused("its path asks for {sha256}, and attachd never read the bytes")
            chosen = self._mover.choose(target)
        held_as = held_name(action.id, action.path.rpartition("/")[2])
        return self._ledger.take(action, chosen, held_as, self._clock.now())

    def _gone(self, action: AfterAction, state: AfterState, detail: str) -> None:
        if self._in_place(action.folder_id):
            self._end(action, state, detail)
        else:
            self._postpone(action, "its folder is out")

    def _end(self, action: AfterAction, state: AfterState, detail: str) -> None:
        if state is AfterState.DONE:
            detail += self._send_marker_after(action)
        self._ledger.finish(action, state, detail, self._clock.now())
        event = f"after_action_{state}"
        if state is AfterState.FAILED:
            log.warning("after_action_failed", **_about(action), why=detail)
        else:
            log.info(event, **_about(action), detail=detail)

    def _send_marker_after(self, action: AfterAction) -> str:
        marker = self._marker(action)
        if marker is None:
            return ""
        try:
            self._mover.send_after(action, marker)
        except FileError as error:
            log.warning("marker_left", folder=escape(action.folder), path=escape(marker), why=str(error))
            return f"; its marker stays: {error}"
        return ", and its marker with it"

    def _postpone(self, action: AfterAction, why: str) -> None:
        now = self._clock.now()
        seconds = pause_after(action.attempts + 1)
        self._ledger.postpone(action, f"tried again by itself: {why}", now + timedelta(seconds=seconds), now)
        log.warning("after_action_postponed", **_about(action), why=why, seconds=seconds)


def _about(action: AfterAction) -> dict[str, str]:
    return {
        "action": str(action.kind),
        "folder": escape(action.folder),
        "path": escape(action.path),
        "rule": action.rule,
    }


def _what_was_done(action: AfterAction) -> str:
    return "deleted" if action.chosen is None else f"moved to {escape(action.chosen)}"


def _when_gone(action: AfterAction) -> tuple[AfterState, str]:
    """Say what it means that a file whose action had begun is not to be found."""
    if action.kind is AfterKind.DELETE:
        return AfterState.DONE, "deleted"
    where = escape(action.chosen or "")
    return AfterState.FAILED, f"the file is neither in its folder nor at {where}: somebody else took it away"
