"""`lookups` → compiled queries: expressions, templates, and that the last query gives the entity."""

import re
from collections.abc import Mapping
from typing import TypeVar

from attachd.config.document import Query as GivenQuery
from attachd.config.report import Report
from attachd.config.wording import Location, quoted
from attachd.core.lookups import (
    ENTITY,
    Expression,
    ExpressionError,
    Lookup,
    Query,
    compile_expression,
    declared_variables,
)
from attachd.core.templates import AFTER_HASH, BUILT_INS, Template, TemplateError, parse_template

_EARLY = BUILT_INS - AFTER_HASH
_BELOW_DATA = re.compile(r"data\s*[.\[]")
_TAKEN = "lookup"
"""Stands for the lookup itself in the target of a delivery, beside the values that it starts from."""

_T = TypeVar("_T")


def build_lookup(
    name: str, queries: list[GivenQuery], captures: frozenset[str], report: Report
) -> Lookup | None:
    """Check one lookup and give it compiled; None where something in it was reported.

    `captures` are the names that the rules capture which use it.
    """
    at: Location = ("lookups", name)
    known = captures | _EARLY
    built = []
    for index, query in enumerate(queries):
        built.append(_query(query, (*at, index), known, report))
        known |= frozenset(query.give or ())
    last = (*at, len(queries) - 1, "give")
    if ENTITY not in (queries[-1].give or ()) and not report.has_error_at(last):
        report.error(last, "the last query gives no `entity`", "add `give: {entity: …}`")
    sound = tuple(query for query in built if query is not None)
    if report.has_error_at(at) or len(sound) < len(built):
        return None
    return Lookup(name=name, queries=sound)


def _query(given: GivenQuery, at: Location, known: frozenset[str], report: Report) -> Query | None:
    rows = None if given.rows is None else check_expression(given.rows, (*at, "rows"), report)
    variables = {
        name: _template(text, (*at, "variables", name), known, report)
        for name, text in (given.variables or {}).items()
    }
    where = []
    for text, template in (given.where or {}).items():
        here = (*at, "where", text)
        compared = check_expression(text, here, report, key=True), _template(template, here, known, report)
        where.append(compared)
    give = {
        name: check_expression(text, (*at, "give", name), report) for name, text in (given.give or {}).items()
    }
    _check_given(give, (*at, "give"), report)
    _check_variables(given, at, report)
    if given.rows is not None and _BELOW_DATA.match(given.rows):
        report.warn((*at, "rows"), "this is looked for below the answer's `data`", "leave `data.` out")
    if report.has_error_at(at) or given.query is None or rows is None:
        return None
    return Query(
        document=given.query,
        variables=_sound(variables),
        rows=rows,
        where=tuple((left, right) for left, right in where if left is not None and right is not None),
        give=_sound(give),
    )


def _check_variables(given: GivenQuery, at: Location, report: Report) -> None:
    if given.query is None or report.has_error_at((*at, "variables")):
        return
    values, declared = given.variables or {}, declared_variables(given.query)
    for name in values:
        if name not in declared:
            hint = f"write `query(${name}: String!) …`, and use it there"
            report.error((*at, "variables", name), f"the query declares no `${name}`", hint, key=True)
    for name, kind in declared.items():
        if name not in values and not kind.endswith("?"):
            what = f"`variables` has nothing for `${name}: {kind}`"
            report.error((*at, "query"), what, "add it, with a template for its value")


def _sound(values: Mapping[str, _T | None]) -> dict[str, _T]:
    return {name: value for name, value in values.items() if value is not None}


def _check_given(names: Mapping[str, object], at: Location, report: Report) -> None:
    for name in names:
        if name in BUILT_INS or name == _TAKEN:
            report.error((*at, name), f"{quoted(name)} has a meaning already", "choose another", key=True)


def _template(text: str, at: Location, known: frozenset[str], report: Report) -> Template | None:
    try:
        template = parse_template(text, allowed=known)
    except TemplateError as error:
        report.error(at, error.message, error.hint, offset=error.offset)
        return None
    if _TAKEN in template.names:
        report.error(
            at,
            f"{{{_TAKEN}}} cannot stand here: a target of this name is the lookup itself",
            "give the capture another name",
            offset=text.index(f"{{{_TAKEN}}}"),
        )
    return template


def check_expression(text: str, at: Location, report: Report, *, key: bool = False) -> Expression | None:
    """Compile a JMESPath expression, or report where it is none; `key`: it stands in a key."""
    try:
        return compile_expression(text)
    except ExpressionError as error:
        report.error(at, error.message, error.hint, offset=error.offset, key=key)
        return None
