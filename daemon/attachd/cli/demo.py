"""`attachd demo`: the main job from start to end, against the simulator, in a temporary directory."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

import click

from attachd.cli.demo_files import EARLY, FOLDER, LATE, Arrival, arrivals, drop
from attachd.cli.demo_stage import Service, stage
from attachd.cli.output import Column, complain, write, write_table
from attachd.cli.simulator import missing_simulator
from attachd.cli.stopping import stop_event
from attachd.core.paths import escape
from attachd.errors import LedgerError
from attachd.ledger.reports import Entry, Reports
from attachd.model import Standing, State

if TYPE_CHECKING:
    from attachd.simulator.server import Simulator
    from attachd.simulator.world import Attachment

LIMIT = 60.0
"""Seconds for everything to arrive."""

_LOOK = 0.2
_OUTCOMES = {
    State.DUPLICATE.value: sum(sample.duplicate for sample in (*EARLY, *LATE)),
    Standing.UNMATCHED.value: sum(sample.target is None for sample in (*EARLY, *LATE)),
}
_COLUMNS = (
    Column(heading="file", wraps=True),
    Column(heading="attached to"),
    Column(heading="entity id", right=True),
    Column(heading="bytes", right=True),
    Column(heading="remote id", right=True),
)
_WORDS = {"runStep": "run step", "runStepField": "run step field"}


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the temporary directory with its ledger and log.")
def command(*, keep: bool) -> int:
    """Attach sample files at the simulator: simulator + service + files, from start to end, on free ports.

    Works on a copy of rules.yaml in a temporary directory and needs no account. Exit code 0: every file
    arrived exactly once, or is accounted for; 1: not so.
    """
    try:
        from attachd.simulator.server import Simulator  # noqa: PLC0415 - needs an extra that may be missing
    except ModuleNotFoundError as error:
        raise missing_simulator(error) from error
    with stop_event() as stop, stage(keep=keep) as directory, Simulator() as simulator:
        write(f"simulator: {simulator.url}/", f"directory: {escape(str(directory))}")
        problems = _Demo(directory, simulator, stop).play()
        if keep:
            write(f"kept: {escape(str(directory))}")
    complain(*problems)
    return 1 if problems else 0


class _Demo:
    """One demo. Owner: the main thread."""

    def __init__(self, directory: Path, simulator: "Simulator", stop: Event) -> None:
        self._directory = directory
        self._simulator = simulator
        self._stop = stop
        self._expected = arrivals((*EARLY, *LATE))
        self._shown = 0

    def play(self) -> list[str]:
        """Run the whole thing and give what went wrong, with the end of the log; nothing if all is well."""
        folder = self._directory / FOLDER
        drop(EARLY, folder)
        service = Service(
            self._directory,
            {
                "ION_URL": self._simulator.graphql_url,
                "ION_TOKEN": self._simulator.token,
                "NO_PROXY": "127.0.0.1",
                "no_proxy": "127.0.0.1",
            },
        )
        try:
            self._wait(service, len(arrivals(EARLY)))
            drop(LATE, folder)
            self._wait(service, len(self._expected))
        finally:
            code = service.stop()
        problems = self._problems(code)
        self._show()
        return [*problems, "the end of the service's log:", *service.tail()] if problems else []

    def _wait(self, service: Service, count: int) -> None:
        """Wait until so many attachments are there and, at the end, all else is accounted for."""
        ends = monotonic() + LIMIT
        while service.is_running and monotonic() < ends and not self._stop.is_set():
            came = self._simulator.wait_for(lambda: len(self._simulator.attachments) >= count, _LOOK)
            self._say_new()
            if came and (count < len(self._expected) or self._accounted() == _OUTCOMES):
                return
            if came:
                self._stop.wait(_LOOK)

    def _say_new(self) -> None:
        for attachment in self._simulator.attachments[self._shown :]:
            self._shown += 1
            where = f"{attachment.filename} -> {_target(attachment)}"
            write(f"attached {self._shown} of {len(self._expected)}: {where}")

    def _accounted(self) -> dict[str, int]:
        return {state: len(self._entries(state)) for state in _OUTCOMES}

    def _entries(self, state: str) -> list[Entry]:
        try:
            with Reports.open(str(self._directory / "attachd.db")) as reports:
                return list(reports.entries({state}))
        except LedgerError:  # the service has not made it yet
            return []

    def _problems(self, code: int) -> list[str]:
        problems = mismatches(self._expected, [_arrival(each) for each in self._simulator.attachments])
        if self._accounted() != _OUTCOMES:
            problems.append(f"the ledger should have {_OUTCOMES} and has {self._accounted()}")
        if code != 0:
            problems.append(f"the service ended with exit code {code} instead of 0")
        if self._stop.is_set():
            problems.append("the demo was stopped")
        return problems

    def _show(self) -> None:
        write("")
        write_table(_COLUMNS, [_row(attachment) for attachment in self._simulator.attachments])
        write("")
        for entry in self._entries(State.DUPLICATE.value):
            write(f"duplicate: {escape(entry.path)}: the same bytes are attached to the same target already")
        for entry in self._entries(Standing.UNMATCHED.value):
            why = entry.error.message if entry.error else ""
            write(f"unmatched: {escape(entry.path)}: {why}")


def mismatches(expected: Sequence[Arrival], found: Sequence[Arrival]) -> list[str]:
    """Compare what should have arrived with what did; each line names one file too few or too many."""
    wanted, there = Counter(expected), Counter(found)
    missing = [f"missing: {each}" for each in (wanted - there).elements()]
    return missing + [f"not expected: {each}" for each in (there - wanted).elements()]


def _arrival(attachment: "Attachment") -> Arrival:
    return Arrival(
        kind=attachment.kind,
        object_id=attachment.object_id,
        filename=attachment.filename,
        sha256=attachment.sha256 or "",
    )


def _target(attachment: "Attachment") -> str:
    return f"{_WORDS.get(attachment.kind, attachment.kind)} {attachment.object_id}"


def _row(attachment: "Attachment") -> list[str]:
    return [
        attachment.filename,
        _target(attachment),
        str(attachment.entity_id),
        str(attachment.size),
        str(attachment.id),
    ]
