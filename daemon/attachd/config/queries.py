"""Checks `lookups`: JMESPath expressions, templates, and that the last query gives the entity."""

import jmespath  # type: ignore[import-untyped]
from jmespath.exceptions import JMESPathError  # type: ignore[import-untyped]

from attachd.config.document import Query
from attachd.config.report import Report
from attachd.config.wording import Location
from attachd.core.templates import AFTER_HASH, BUILT_INS, TemplateError, parse_template


def check_lookup(queries: list[Query], at: Location, captures: frozenset[str], report: Report) -> None:
    """Check one lookup; `captures` are the names that the rules of the file capture."""
    known = captures | (BUILT_INS - AFTER_HASH)
    for index, query in enumerate(queries):
        _check_query(query, (*at, index), known, report)
        known |= frozenset(query.give or ())
    last = (*at, len(queries) - 1, "give")
    if "entity" not in (queries[-1].give or ()) and not report.has_error_at(last):
        report.error(last, "the last query gives no `entity`", "add `give: {entity: …}`")


def _check_query(query: Query, at: Location, known: frozenset[str], report: Report) -> None:
    if query.rows is not None:
        _check_expression(query.rows, (*at, "rows"), report)
    for name, text in (query.variables or {}).items():
        _check_template(text, (*at, "variables", name), known, report)
    for expression, text in (query.where or {}).items():
        _check_expression(expression, (*at, "where", expression), report, key=True)
        _check_template(text, (*at, "where", expression), known, report)
    for name, expression in (query.give or {}).items():
        _check_expression(expression, (*at, "give", name), report)


def _check_template(text: str, at: Location, known: frozenset[str], report: Report) -> None:
    try:
        parse_template(text, allowed=known)
    except TemplateError as error:
        report.error(at, error.message, error.hint, offset=error.offset)


def _check_expression(text: str, at: Location, report: Report, *, key: bool = False) -> None:
    try:
        jmespath.compile(text)
    except (JMESPathError, RecursionError) as error:
        offset = getattr(error, "lex_position", 0)
        report.error(at, "is no JMESPath expression from here on", "see jmespath.org", offset=offset, key=key)
