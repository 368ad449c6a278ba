"""Lists of attachments: the query that asks for one, how its answer is read, and what follows from it. Pure.

No published page of ION names such a query, so its document comes from rules.yaml (`doubt`) or is put
together from the schema (see `shapes`). The storage key is known before the registration, so a list that
shows it tells whether a registration whose answer was lost took effect.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from attachd.core.lookups import Expression, ExpressionError
from attachd.core.protocols import Answer
from attachd.core.settings import DoubtQuery
from attachd.destinations.graphql import id_text

_VARIABLE = re.compile(r"\$(entityId|s3Key|after)\s*:\s*\[?\s*(\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a list.

    Attributes:
        rows: storage key and id of each attachment that has both.
        sound: every row could be read, and so could what tells whether there is another page.
        after: the cursor of the next page, or None where there is none or it cannot be asked for.
        last: nothing comes after this page.
    """

    rows: tuple[tuple[str, str], ...]
    sound: bool
    after: str | None
    last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a list shows of one storage key.

    Attributes:
        ids: of the attachments that have it.
        whole: the list was read to its end, so that what it does not show is not there.
    """

    ids: frozenset[str]
    whole: bool


def variables_of(listing: DoubtQuery, known: Mapping[str, str | None]) -> dict[str, Any]:
    """Give the variables that the document declares, out of `entityId`, `s3Key` and `after`.

    One that is declared as `Int` is sent as a number; the vendor's pages declare ids both ways.
    """
    declared = dict(_VARIABLE.findall(listing.query))
    return {name: _typed(known[name], declared[name]) for name in declared}


def pages_on(listing: DoubtQuery) -> bool:
    """Say whether the document can ask for a further page."""
    return "after" in dict(_VARIABLE.findall(listing.query))


def read_page(listing: DoubtQuery, data: Mapping[str, Any]) -> Page:
    """Read one answer."""
    rows = _at(listing.rows, data)
    listed = rows if isinstance(rows, list) else []
    read = [(_at(listing.key, row), id_text(_at(listing.id, row))) for row in listed]
    kept = tuple((key, id_) for key, id_ in read if isinstance(key, str) and id_ is not None)
    more, after = _next_page(listing, data)
    return Page(
        rows=kept,
        sound=isinstance(rows, list) and len(kept) == len(listed) and more is not None,
        after=after if more and pages_on(listing) else None,
        last=more is False,
    )


def found_in(pages: Iterable[Page], s3_key: str) -> Found:
    """Sum up the pages of one list, in order."""
    ids: set[str] = set()
    whole = False
    sound = True
    for page in pages:
        ids |= {id_ for key, id_ in page.rows if key == s3_key}
        sound = sound and page.sound
        whole = sound and page.last
    return Found(ids=frozenset(ids), whole=whole)


def verdict(found: Found) -> Answer:
    """Say what a list proves: exactly one is ours; none of a whole list is none; anything else is nothing."""
    if len(found.ids) == 1:
        return Answer.TOOK_EFFECT
    return Answer.DID_NOT if found.whole and not found.ids else Answer.CANNOT_TELL


def _at(expression: Expression, value: Any) -> Any:
    try:
        return expression.of(value)
    except ExpressionError:  # one of its functions does not fit what is there
        return None


def _typed(value: str | None, type_name: str) -> str | int | None:
    is_number = type_name == "Int" and value is not None and value.isascii() and value.isdigit()
    return int(value) if is_number and value is not None else value


def _next_page(listing: DoubtQuery, data: Mapping[str, Any]) -> tuple[bool | None, str | None]:
    """Say whether there is another page (None: nobody can tell), and its cursor."""
    if listing.page is None:
        return (False if listing.whole else None), None
    info = _at(listing.page, data)
    more = info.get("hasNextPage") if isinstance(info, Mapping) else None
    cursor = info.get("endCursor") if isinstance(info, Mapping) else None
    if not isinstance(more, bool):
        return None, None
    return more, cursor if isinstance(cursor, str) and cursor else None
