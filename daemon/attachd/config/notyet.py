"""Keys that are known and checked, and whose function is not there yet: data, one line each.

Whoever builds the function deletes its line.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from attachd.config.report import Report
from attachd.config.wording import Location

ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """A key, with the values of it that work already; `*` in `at` is any name or position."""

    at: tuple[str, ...]
    works: tuple[object, ...] = ()


_RULE = ("folders", ANY, "rules", ANY)
_DESTINATION = ("destinations", ANY)

NOT_YET = (
    NotYet(at=(*_DESTINATION, "kind"), works=("ion",)),
    NotYet(at=("service", "status")),
    NotYet(at=("service", "status_token")),
    NotYet(at=("folders", ANY, "require_mount"), works=("auto",)),
    NotYet(at=(*_RULE, "target", "message")),
    NotYet(at=(*_RULE, "target", "reply_to")),
    NotYet(at=(*_RULE, "target", "thread")),
    NotYet(at=(*_RULE, "target", "recipients")),
    NotYet(at=(*_RULE, "target", "subject")),
    NotYet(at=(*_RULE, "complete")),
)


def report_not_yet(values: dict[str, object], report: Report) -> None:
    """Report every value that is not available yet; one that is no value of its key has its own error."""
    for entry in NOT_YET:
        for at, value in _found(values, entry.at, ()):
            if not _works(value, entry.works) and at not in report.faulty:
                report.error(at, *_words(entry), key=True)


def _words(entry: NotYet) -> tuple[str, str]:
    name = entry.at[-1]
    if not entry.works:
        return f"`{name}` is not yet available", "leave it out for now; a later version brings it"
    works = f"`{name}: {entry.works[0]}`"
    return f"this `{name}` is not yet available", f"only {works} is for now; a later version brings more"


def _works(value: object, works: tuple[object, ...]) -> bool:
    return any(type(value) is type(each) and value == each for each in works)


def _found(value: object, pattern: tuple[str, ...], at: Location) -> Iterator[tuple[Location, object]]:
    if not pattern:
        yield at, value
    elif isinstance(value, dict):
        for key in value if pattern[0] == ANY else ([pattern[0]] if pattern[0] in value else []):
            yield from _found(value[key], pattern[1:], (*at, key))
    elif isinstance(value, list) and pattern[0] == ANY:
        for index, item in enumerate(value):
            yield from _found(item, pattern[1:], (*at, index))
