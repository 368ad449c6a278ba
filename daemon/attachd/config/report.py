"""Collects what is wrong, with its place in the file. One report per load, used by one thread."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from attachd.config.wording import Location, one_line, spelled
from attachd.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands.

    Attributes:
        line: of the value, from 1.
        column: of the value, from 1.
        key_line: of its key, or of the value where it stands in a list.
        key_column: as `key_line`.
        raw: a scalar as the file spells it, quotes included; "" for lists and mappings.
        tag: the YAML tag.
    """

    line: int
    column: int
    key_line: int
    key_column: int
    raw: str
    tag: str


@dataclass(slots=True)
class Report:
    """The problems found so far and the places of all values.

    Attributes:
        places: by location; filled by the tree walk.
        problems: in the order found.
        faulty: locations that have an error of their own already, so that it is not said twice.
        around: those, and every location around one.
    """

    places: dict[Location, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    faulty: set[Location] = field(default_factory=set)
    around: set[Location] = field(default_factory=set)
    _said: set[Problem] = field(default_factory=set)

    def error(
        self, at: Location, what: str, hint: str = "", *, offset: int | None = None, key: bool = False
    ) -> None:
        """Note an error.

        Args:
            at: the location; where nothing stands there, the nearest one around it is pointed at.
            what: the fault, as one clause without a full stop.
            hint: what to do about it.
            offset: how many characters into the scalar's value the fault lies; None for all of it.
            key: point at the key instead of the value.
        """
        self.mark(at)
        line, column = self._point(at, offset=offset, key=key)
        self._add(Problem(line, column, spelled(at), one_line(what), one_line(hint)))

    def error_at(self, place: Place, at: Location, what: str, hint: str = "") -> None:
        """Note an error at a place that is no value of its own, such as a key that cannot be used."""
        self._add(Problem(place.line, place.column, spelled(at), one_line(what), one_line(hint)))

    def warn(self, at: Location, what: str, hint: str = "") -> None:
        """Note something that is worth saying and stops nothing."""
        line, column = self._point(at, offset=None, key=False)
        self._add(Problem(line, column, spelled(at), one_line(what), one_line(hint), warning=True))

    def position(self, at: Location) -> tuple[int, int]:
        """Give line and column of a location, or of the nearest one around it."""
        return self._point(at, offset=None, key=False)

    def mark(self, at: Location) -> None:
        """Note that a location has its error, without saying another one."""
        self.faulty.add(at)
        self.around.update(at[:length] for length in range(len(at) + 1))

    def has_error_at(self, at: Location) -> bool:
        """Say whether the location, or something inside it, has an error already."""
        return at in self.around

    def has_errors(self) -> bool:
        """Say whether anything but warnings was noted."""
        return any(not problem.warning for problem in self.problems)

    def _add(self, problem: Problem) -> None:
        if problem not in self._said:
            self._said.add(problem)
            self.problems.append(problem)

    def _point(self, at: Location, *, offset: int | None, key: bool) -> tuple[int, int]:
        place = self.places.get(at)
        if place is None:
            around = _nearest(self.places, at)
            return (around.key_line, around.key_column) if around else (1, 1)
        if key:
            return place.key_line, place.key_column
        return place.line, place.column + (0 if offset is None else _raw_offset(place.raw, offset))


def _nearest(places: Mapping[Location, Place], at: Location) -> Place | None:
    for length in range(len(at) - 1, -1, -1):
        place = places.get(at[:length])
        if place is not None:
            return place
    return None


def _raw_offset(raw: str, offset: int) -> int:
    """Turn an offset into a scalar's value into one into its spelling; 0 where that cannot be told."""
    if "\n" in raw or raw[:1] in {"|", ">", "&", "!"}:
        return 0
    if raw[:1] in {'"', "'"}:
        return _quoted_offset(raw, offset)
    return offset


def _quoted_offset(raw: str, offset: int) -> int:
    index = 1
    for _ in range(offset):
        index += _width(raw, index)
    return min(index, len(raw) - 1)


def _width(raw: str, index: int) -> int:
    """Give how many characters spell the one at `index`: YAML 1.1 sections 9.1 and 9.2."""
    pair = raw[index : index + 2]
    if raw[0] == "'":
        return 2 if pair == "''" else 1
    escapes = {"\\x": 4, "\\u": 6, "\\U": 10}
    return escapes.get(pair, 2) if pair.startswith("\\") else 1
