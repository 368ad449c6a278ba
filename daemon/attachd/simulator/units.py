"""Units, their runs and the steps of those: what lookups lead through. There are none until they are learned.

A unit is a part inventory with a serial number, which is unique for each part only: the same serial with
another part is another unit. Shapes after the vendor's examples of `partInventories`, `runs` and
`run { steps }`; the `serialNumber` filter follows their pattern and was seen in none of them.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attachd.simulator import lists
from attachd.simulator.targets import SPAN

FIRST_UNIT = 31001
"""Id of the first unit that is learned."""

SDL = """
extend type Query {
  partInventories(
    filters: PartInventoriesInputFilters, first: Int, after: String
  ): PartInventoryConnection!
  runs(filters: RunsInputFilters, first: Int, after: String): RunConnection!
}
type PartInventory { id: ID! serialNumber: String! part: Part! }
type PartInventoryConnection { edges: [PartInventoryEdge!]! pageInfo: PageInfo! }
type PartInventoryEdge { cursor: String! node: PartInventory! }
type RunConnection { edges: [RunEdge!]! pageInfo: PageInfo! }
type RunEdge { cursor: String! node: Run! }
extend type Run { title: String status: String steps: [RunStep!]! }
extend type RunStep { title: String position: Int }
input PartInventoriesInputFilters { id: UnitsID partId: UnitsID serialNumber: UnitsText }
input RunsInputFilters { id: UnitsID partInventoryId: UnitsID status: UnitsText }
input UnitsID { eq: ID in: [ID!] }
input UnitsText { eq: String in: [String!] }
"""
"""What units add to the schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A part inventory."""

    id: int
    serial: str
    part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that makes or checks a unit; `steps` are ids and titles, in order."""

    id: int
    unit: int
    title: str
    status: str
    steps: tuple[tuple[int, str], ...]


class Units:
    """What one simulator has learned of units, safe to use from all its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._units: dict[tuple[str, int], Unit] = {}
        self._runs: dict[int, Run] = {}

    def learn(
        self,
        serial: str,
        part: int,
        run: int | None = None,
        steps: Sequence[tuple[int, str]] = (),
        *,
        status: str = "in_progress",
    ) -> int:
        """Learn a unit, or another run of one that is known by serial and part; give the unit's id.

        Args:
            serial: its serial number.
            part: id of the part that it is one of.
            run: id of its run; None for a unit without one.
            steps: id and title of the run's steps, in order.
            status: of the run.

        Raises:
            ValueError: an id is no object id, or the run is another unit's.
        """
        for each in (part, *([] if run is None else [run]), *(step for step, _ in steps)):
            if not 0 < each < SPAN:
                raise ValueError(f"{each!r} is no id: they are 1 to {SPAN - 1}")
        with self._lock:
            known = self._units.get((serial, part))
            unit = known or Unit(id=FIRST_UNIT + len(self._units), serial=serial, part=part)
            if run is not None:
                self._learn_run(run, unit, steps, status)
            self._units[serial, part] = unit
            return unit.id

    def _learn_run(self, run: int, unit: Unit, steps: Sequence[tuple[int, str]], status: str) -> None:
        if run in self._runs and self._runs[run].unit != unit.id:
            raise ValueError(f"run {run} is another unit's")
        title = f"Build {unit.serial}"
        self._runs[run] = Run(id=run, unit=unit.id, title=title, status=status, steps=tuple(steps))

    def inventories(self, filters: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        """Give the units that pass `PartInventoriesInputFilters`, by id, with the id of their part."""
        with self._lock:
            units = list(self._units.values())
        nodes = [{"id": unit.id, "partId": unit.part, "serialNumber": unit.serial} for unit in units]
        return [node for node in nodes if lists.fits(node, filters)]

    def runs(self, filters: Mapping[str, Any] | None) -> list[int]:
        """Give the ids of the runs that pass `RunsInputFilters`, in order."""
        with self._lock:
            runs = sorted(self._runs.values(), key=lambda run: run.id)
        facts = [{"id": run.id, "partInventoryId": run.unit, "status": run.status} for run in runs]
        return [run.id for run, fact in zip(runs, facts, strict=True) if lists.fits(fact, filters)]

    def run(self, run_id: int) -> Run | None:
        """Find a run that was learned."""
        with self._lock:
            return self._runs.get(run_id)

    def step(self, step_id: int) -> dict[str, Any]:
        """Give title and position of a step of a run that was learned; empty where none has it."""
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            for position, (each, title) in enumerate(run.steps, 1):
                if each == step_id:
                    return {"title": title, "position": position}
        return {}

    def record(self) -> list[dict[str, Any]]:
        """Give every unit with its runs as JSON values."""
        with self._lock:
            units, runs = list(self._units.values()), sorted(self._runs.values(), key=lambda run: run.id)
        return [
            {
                "id": unit.id,
                "serial": unit.serial,
                "part": unit.part,
                "runs": [_shown(run) for run in runs if run.unit == unit.id],
            }
            for unit in units
        ]


def parse_unit(given: Any) -> dict[str, Any]:
    """Read the arguments of `Units.learn` from JSON, where `steps` is a list of `{id, title}`.

    Raises:
        ValueError: it is none; the text says why.
    """
    if not isinstance(given, dict) or not {"serial", "part"} <= set(given) <= _KEYS:
        raise ValueError("a unit is an object with serial, part and perhaps run, steps, status")
    steps = given.get("steps", [])
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise ValueError("steps is a list of objects with id and title")
    ids = (given["part"], given.get("run", 1), *(step.get("id") for step in steps))
    if not all(isinstance(each, int) for each in ids):
        raise ValueError("part, run and the id of a step are numbers")
    return {
        "serial": str(given["serial"]),
        "part": given["part"],
        "run": given.get("run"),
        "steps": [(step.get("id"), str(step.get("title", ""))) for step in steps],
        "status": str(given.get("status", "in_progress")),
    }


_KEYS = {"serial", "part", "run", "steps", "status"}


def _shown(run: Run) -> dict[str, Any]:
    steps = [{"id": step_id, "title": title} for step_id, title in run.steps]
    return {"id": run.id, "title": run.title, "status": run.status, "steps": steps}
