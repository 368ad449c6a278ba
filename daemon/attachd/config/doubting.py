"""`doubt` of a destination: the query that settles doubt, checked as far as it can be without asking."""

import re

from attachd.config.context import Context
from attachd.config.document import Doubt
from attachd.config.wording import Location
from attachd.core.lookups import Expression, ExpressionError, compile_expression
from attachd.core.settings import DoubtQuery

_VARIABLE = re.compile(r"\$(\w+)\s*:")
_KNOWN = ("entityId", "s3Key", "after")


def build_doubt(given: Doubt | None, kind: str | None, at: Location, context: Context) -> DoubtQuery | None:
    """Check the query and give its settings, which are good only if nothing was reported."""
    if given is None:
        return None
    if kind == "glue":
        context.report.error(at, "is only for kind ion", "leave it out", key=True)
    _check_document(given, at, context)
    given_at = {name: (getattr(given, name), (*at, name)) for name in ("rows", "key", "id", "page")}
    found = {name: _expression(text, where, context) for name, (text, where) in given_at.items()}
    default = DoubtQuery(query="", rows=compile_expression("@"))
    return DoubtQuery(
        query=given.query or default.query,
        rows=found["rows"] or default.rows,
        key=found["key"] or default.key,
        id=found["id"] or default.id,
        page=found["page"],
    )


def _expression(text: str | None, at: Location, context: Context) -> Expression | None:
    try:
        return None if text is None else compile_expression(text)
    except ExpressionError as error:
        context.report.error(at, error.message, error.hint, offset=error.offset)
        return None


def _check_document(given: Doubt, at: Location, context: Context) -> None:
    text = given.query
    if text is None:
        return
    declared = _VARIABLE.findall(text.partition("{")[0])
    report, where = context.report, (*at, "query")
    if not re.match(r"\s*query\b", text):
        report.error(where, "is no query", "write `query($entityId: ID!) { … }`")
        return
    if "entityId" not in declared:
        report.error(where, "declares no `$entityId`", "write `query($entityId: ID!) { … }`")
    for name in declared:
        if name not in _KNOWN:
            report.error(where, f"declares `${name}`, which attachd does not give", f"known: {_dollars()}")
    if (given.page is None) == ("after" in declared):
        report.error(where, "`page` and `$after` belong together", "give both, or neither")


def _dollars() -> str:
    return ", ".join(f"${name}" for name in _KNOWN)
