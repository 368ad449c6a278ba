"""Holds the documents that attachd would send against the schema that the other side describes.

Types are asked for one by one, as far as the documents reach (spec.graphql.org/October2021, section 4): a
whole schema is megabytes, and what attachd needs of it is a few dozen lines.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from attachd.destinations.documents import (
    Document,
    Literal,
    NotADocument,
    Selection,
    Value,
    Variable,
    read_document,
)
from attachd.destinations.graphql import GraphQL
from attachd.destinations.shapes import TYPE, Look, Member, Type, read_type

ROOTS = "query Roots { __schema { queryType { name } mutationType { name } } }"
"""Asks for the types that have the queries and the mutations."""

_BUILT_IN = "__typename"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A document that attachd would send.

    Attributes:
        purpose: what it is for, as people know it.
        document: its text.
        variables: as they would be sent; of values only objects matter, by the names of their fields.
    """

    purpose: str
    document: str
    variables: Mapping[str, Any] = field(default_factory=dict)


def unfit(graphql: GraphQL, documents: Collection[Sent]) -> Iterator[str]:
    """Say what the schema lacks for each document, everything at once; nothing where all of them fit.

    Raises:
        Trouble: the schema cannot be asked for.
    """
    reply = graphql.ask(ROOTS, {})
    roots = {
        "query": reply.at("__schema", "queryType", "name"),
        "mutation": reply.at("__schema", "mutationType", "name"),
    }

    @cache
    def look(name: str) -> Type:
        return read_type(graphql.ask(TYPE, {"name": name}).at("__type"))

    for sent in documents:
        for fault in dict.fromkeys(faults_of(sent, roots, look)):
            yield f"{sent.purpose}: {fault}"


def faults_of(sent: Sent, roots: Mapping[str, str | None], look: Look) -> Iterator[str]:
    """Say what the schema lacks for one document. Pure.

    Args:
        sent: the document.
        roots: the name of the root type of each kind of operation.
        look: gives a type by its name.
    """
    try:
        document = read_document(sent.document)
    except NotADocument as error:
        yield f"it is no GraphQL document: {error}"
        return
    root = roots.get(document.operation)
    if not root:
        yield f"the schema has no {document.operation}"
        return
    yield from _Check(document, sent.variables, look).selections(document.selections, root)


@dataclass(frozen=True, slots=True)
class _Check:
    """One document on its way through the schema."""

    document: Document
    variables: Mapping[str, Any]
    look: Look

    def selections(
        self, selections: tuple[Selection, ...], on: str, spreads: frozenset[str] = frozenset()
    ) -> Iterator[str]:
        """Go through what is selected of a type; `spreads` are the fragments that lead here."""
        for each in selections:
            if each.spread:
                yield from self._spread(each.spread, spreads)
            elif not each.name:
                yield from self.selections(each.below, each.on or on, spreads)
            elif each.name != _BUILT_IN:
                yield from self._field(each, on, spreads)

    def _spread(self, name: str, spreads: frozenset[str]) -> Iterator[str]:
        fragment = self.document.fragments.get(name)
        if fragment is None:
            yield f"there is no fragment `{name}`"
        elif name not in spreads:
            yield from self.selections(fragment.below, fragment.on, spreads | {name})

    def _field(self, selected: Selection, on: str, spreads: frozenset[str]) -> Iterator[str]:
        member = self.look(on).fields.get(selected.name)
        if member is None:
            yield f"{on} has no field `{selected.name}`"
            return
        where = f"{on}.{selected.name}"
        yield from self._given(selected.args, member.args, where, "argument")
        has_fields = bool(self.look(member.ref.name).fields)
        if selected.below and not has_fields and not _only_fragments(selected):
            yield f"{where} is {member.ref.text}, which has no fields"
        elif has_fields and not selected.below:
            yield f"{where} is {member.ref.text}: its fields have to be named"
        else:
            yield from self.selections(selected.below, member.ref.name, spreads)

    def _given(
        self, given: Mapping[str, Value], wanted: Mapping[str, Member], where: str, what: str
    ) -> Iterator[str]:
        """Hold arguments, or the fields of an input, against what the schema wants."""
        for name, value in given.items():
            if name not in wanted:
                yield f"{where} takes no {what} `{name}`"
            else:
                yield from self._value(value, wanted[name], f"{where}({name})")
        for name, member in wanted.items():
            if member.needed and name not in given:
                yield f"{where} wants the {what} `{name}: {member.ref.text}`"

    def _value(self, value: Value, wanted: Member, where: str) -> Iterator[str]:
        if isinstance(value, Variable):
            yield from self._variable(value.name, wanted, where)
        elif isinstance(value, Mapping):
            yield from self._given(value, self.look(wanted.ref.name).inputs, wanted.ref.name, "field")

    def _variable(self, name: str, wanted: Member, where: str) -> Iterator[str]:
        declared = self.document.variables.get(name)
        if declared is None:
            yield f"`${name}` is not declared"
        elif not _fits(declared, wanted):
            yield f"{where} is {wanted.ref.text}, and `${name}` is declared as {declared}"
        elif isinstance(self.variables.get(name), Mapping):
            fields = dict.fromkeys(self.variables[name], Literal())
            yield from self._given(fields, self.look(wanted.ref.name).inputs, wanted.ref.name, "field")


def _fits(declared: str, wanted: Member) -> bool:
    """Say whether a variable may stand where a type is wanted: it may refuse null more, never less."""
    null_allowed = not wanted.needed
    if not null_allowed and not declared.endswith("!"):
        return False
    return declared.replace("!", "") == wanted.ref.text.replace("!", "")


def _only_fragments(selected: Selection) -> bool:
    """Say whether a union could be selected like this: it has no fields of its own."""
    return all(not each.name or each.name == _BUILT_IN for each in selected.below)
