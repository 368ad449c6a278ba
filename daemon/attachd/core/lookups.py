"""Lookups: queries in a row that lead from the captures of a path to exactly one entity.

Pure: the answers are arguments, whoever asks lives elsewhere. Each query has to leave exactly one row. None,
and the target is not there yet; several, and a person has to say which is meant: the first of them is never
taken. A row that may stand on a page nobody has read counts as neither.

JMESPath is the language of `rows`, `where` and `give` (https://jmespath.org/specification.html).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jmespath  # type: ignore[import-untyped]
from jmespath.exceptions import JMESPathError  # type: ignore[import-untyped]

from attachd.core.sentences import TextError
from attachd.core.templates import Template

ENTITY = "entity"
"""What the last query of a lookup gives."""

CURSOR = "after"
"""The variable by which a query asks for the page after a cursor; a query that declares it is paged."""

MOST_LISTED = 20
"""Rows that a message about several targets tells one by one."""

_LONGEST_VALUE = 60
_LONGEST_FAULT = 200
_VARIABLE = re.compile(
    r"\$(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*:\s*(?P<type>[\[\]!A-Za-z0-9_]*)\s*(?P<default>=)?"
)
_NUMBER = re.compile(r"-?[0-9]{1,18}")


class ExpressionError(TextError):
    """A text is no JMESPath expression; `offset` says from where on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A compiled JMESPath expression; two with the same text are equal."""

    text: str
    _search: Callable[[Any], Any] = field(repr=False, compare=False)

    def of(self, value: Any) -> Any:
        """Give what the expression finds in a JSON value, None where it finds nothing.

        Raises:
            ExpressionError: one of its functions cannot be applied to what is there.
        """
        try:
            return self._search(value)
        except JMESPathError as error:
            raise ExpressionError(f"`{self.text}` cannot be applied: {str(error)[:_LONGEST_FAULT]}") from None


def compile_expression(text: str) -> Expression:
    """Compile a JMESPath expression.

    Raises:
        ExpressionError: it is none.
    """
    try:
        compiled = jmespath.compile(text)
    except (JMESPathError, RecursionError) as error:
        offset = getattr(error, "lex_position", 0)
        raise ExpressionError(
            "is no JMESPath expression from here on", offset=offset, hint="see jmespath.org"
        ) from None
    return Expression(text=text, _search=compiled.search)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query of a lookup.

    Attributes:
        document: GraphQL, sent as it stands: never a template.
        variables: one template each. What the document declares as `Int` is sent as a number.
        rows: over the answer's `data`; a list, one row by itself, or a Relay connection (its nodes).
        where: every one has to hold for a row to be left: what the expression finds in it, as text, equals
            the rendered template.
        give: what later queries may use, found in the one row.
    """

    document: str
    variables: Mapping[str, Template]
    rows: Expression
    where: tuple[tuple[Expression, Template], ...] = ()
    give: Mapping[str, Expression] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Give the names that its templates use, each once, in order of first use."""
        templates = (*self.variables.values(), *(template for _, template in self.where))
        return tuple(dict.fromkeys(name for template in templates for name in template.names))

    @property
    def is_paged(self) -> bool:
        """Say whether the document takes a cursor, so that further pages can be asked for."""
        return CURSOR in declared_variables(self.document)

    def variables_for(self, known: Mapping[str, str]) -> dict[str, str | int]:
        """Render the variables as they are sent."""
        types = declared_variables(self.document)
        rendered = {name: template.render(known) for name, template in self.variables.items()}
        return {name: _typed(text, types.get(name, "").rstrip("!?")) for name, text in rendered.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A configured lookup: its name and its queries, in order."""

    name: str
    queries: tuple[Query, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Give the captures and built-ins that it starts from: what no earlier query gives."""
        given: set[str] = set()
        needed: dict[str, None] = {}
        for query in self.queries:
            needed |= dict.fromkeys(name for name in query.names if name not in given)
            given |= set(query.give)
        return tuple(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Exactly one row is left; `values` are what it gives, as text."""

    values: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoTarget:
    """No row is left; `rows` is how many there were before `where`."""

    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralTargets:
    """More than one row is left: `listed` tells each by what it gives, `more` counts those left out."""

    listed: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """The answer cannot be used as the lookup says; `why` is one clause, `hint` what to do."""

    why: str
    hint: str


Outcome = Found | NoTarget | SeveralTargets | Unusable


def choose(query: Query, answers: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> Outcome:
    """Decide which row of a query's answers is meant.

    Args:
        query: that was asked.
        answers: the `data` of each page, in order; one where the query is not paged.
        known: the values that templates may use.
    """
    try:
        rows = [row for answer in answers for row in _rows(query.rows.of(answer))]
        left = [row for row in rows if _holds(query, row, known)]
        if len(left) > 1:
            return _several(query, left)
        if _is_cut(answers):
            return _cut(query)
        return _found(query, left[0]) if left else NoTarget(rows=len(rows))
    except ExpressionError as error:
        return Unusable(why=error.message, hint="correct the expression in rules.yaml")


def declared_variables(document: str) -> dict[str, str]:
    """Give the variables that a document declares, with their types; what may be left out ends with `?`."""
    return {
        found["name"]: found["type"] + ("?" if found["default"] or not found["type"].endswith("!") else "")
        for found in _VARIABLE.finditer(document)
    }


def text_of(value: Any) -> str | None:
    """Give a JSON value as the text it is compared by; None for null, lists and objects: equal to nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return None


def next_cursor(answer: Mapping[str, Any]) -> str | None:
    """Give the cursor after which an answer goes on, None where it is whole (Relay's `pageInfo`)."""
    for value in answer.values():
        if _has_next(value):
            return text_of(value["pageInfo"].get("endCursor"))
    return None


def describe(query: Query, known: Mapping[str, str]) -> str:
    """Say what a query goes by: `serial AB1234, station cleaning`."""
    return ", ".join(f"{name} {shortened(known.get(name, ''))}" for name in query.names) or "nothing"


def preview(lookup: Lookup, known: Mapping[str, str]) -> tuple[dict[str, Any], ...]:
    """Tell what would be asked, query by query; what an earlier one gives stands as `<name>`."""
    told = []
    values = dict(known)
    for query in lookup.queries:
        where = {expression.text: template.render(values) for expression, template in query.where}
        variables = {name: template.render(values) for name, template in query.variables.items()}
        told.append({"query": query.document, "variables": variables, "where": where})
        values |= {name: f"<{name}>" for name in query.give}
    return tuple(told)


def shortened(text: str) -> str:
    """Shorten a value in the middle, for a message."""
    half = _LONGEST_VALUE // 2
    return text if len(text) <= _LONGEST_VALUE else f"{text[:half]}…{text[-half:]}"


def _typed(text: str, type_name: str) -> str | int:
    return int(text) if type_name == "Int" and _NUMBER.fullmatch(text) else text


def _rows(value: Any) -> list[Any]:
    if isinstance(value, Mapping) and isinstance(value.get("edges"), list):
        value = [edge.get("node") if isinstance(edge, Mapping) else None for edge in value["edges"]]
    rows = value if isinstance(value, list) else [value]
    return [row for row in rows if row is not None]


def _holds(query: Query, row: Any, known: Mapping[str, str]) -> bool:
    return all(text_of(expression.of(row)) == template.render(known) for expression, template in query.where)


def _found(query: Query, row: Any) -> Found | Unusable:
    values = {name: text_of(expression.of(row)) for name, expression in query.give.items()}
    for name, value in values.items():
        if not value:
            return Unusable(
                why=f"`give.{name}: {query.give[name].text}` finds no text or number in the one row",
                hint="correct `give` in rules.yaml, or ask for that field in the query",
            )
    return Found(values={name: value for name, value in values.items() if value})


def _several(query: Query, rows: Sequence[Any]) -> SeveralTargets:
    listed = tuple(_told(query, row) for row in rows[:MOST_LISTED])
    return SeveralTargets(listed=listed, more=max(0, len(rows) - MOST_LISTED))


def _told(query: Query, row: Any) -> str:
    given = {name: text_of(expression.of(row)) or "-" for name, expression in query.give.items()}
    return " ".join(f"{name} {shortened(value)}" for name, value in given.items()) or "a row"


def _cut(query: Query) -> Unusable:
    why = "the answer has more pages than were read, and what is meant may stand on one of them"
    if query.is_paged:
        return Unusable(why=why, hint="narrow the query's filters, or ask for more rows a page")
    return Unusable(
        why=why, hint=f"narrow the query's filters, or declare `${CURSOR}: String` and use it as its cursor"
    )


def _is_cut(answers: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether a page is missing: after the last answer, or of a connection inside a connection."""
    last = answers[-1].values() if answers else ()
    inner = (below for answer in answers for value in answer.values() for below in _below(value))
    return any(_has_next(value) for value in last) or any(_cut_inside(value) for value in inner)


def _cut_inside(value: Any) -> bool:
    return _has_next(value) or any(_cut_inside(below) for below in _below(value))


def _below(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return tuple(value.values())
    return value if isinstance(value, list) else ()


def _has_next(value: Any) -> bool:
    info = value.get("pageInfo") if isinstance(value, Mapping) else None
    return isinstance(info, Mapping) and info.get("hasNextPage") is True
