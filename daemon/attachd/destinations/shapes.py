"""Finds in an introspected schema a query that lists the attachments of an entity. Pure.

Names are guesses after the vendor's other queries: Relay connections, `filters` with `{eq: …}`, `s3Key` on
attachments. A schema that has none of these shapes gives none, and doubt is then left to a person.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from attachd.core.lookups import compile_expression
from attachd.core.settings import DoubtQuery

TYPE = """
query Shape($name: String!) {
  __type(name: $name) {
    fields { name args { name defaultValue type { ...Ref } } type { ...Ref } }
    inputFields { name defaultValue type { ...Ref } }
  }
}
fragment Ref on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }
"""
"""Asks for one type of the schema."""

ROOT = "query Shape { __schema { queryType { name } } }"
"""Asks for the name of the type that has the queries."""

_LISTS = ("fileAttachments", "attachments")
_FILTERS = ("filters", "filter", "where")
_PAGING = frozenset({"first", "last", "after", "before", "limit", "offset", "skip", "take", "page"})
_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """A reference to a type.

    Attributes:
        text: as GraphQL writes it, `[FileAttachment!]!`.
        name: of the type inside.
    """

    text: str
    name: str

    @property
    def is_list(self) -> bool:
        """Say whether it is a list."""
        return self.text.startswith("[")

    @property
    def is_required(self) -> bool:
        """Say whether null is refused."""
        return self.text.endswith("!")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A field of a type, an argument, or a field of an input; `needed`: it cannot be left out."""

    ref: Ref
    needed: bool = False
    args: Mapping[str, "Member"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """The members of one type: `fields` of an object, `inputs` of an input."""

    fields: Mapping[str, Member] = field(default_factory=dict)
    inputs: Mapping[str, Member] = field(default_factory=dict)


Look = Callable[[str], Type]
"""Gives a type of the schema by its name; an unknown one has no members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _List:
    """What is selected of a list, and where its rows and page are below the field."""

    selection: str
    rows: str
    page: str | None
    whole: bool


def read_type(given: Any) -> Type:
    """Read the answer to `TYPE`; what is not in its form counts as not there."""
    found = given if isinstance(given, Mapping) else {}
    return Type(fields=_members(found.get("fields")), inputs=_members(found.get("inputFields")))


def choose(root: Type, look: Look) -> DoubtQuery | None:
    """Give the first shape that the schema has, or None."""
    return next(chain(_below_entity(root, look), _by_filter(root, look)), None)


def _below_entity(root: Type, look: Look) -> Iterator[DoubtQuery]:
    entity = root.fields.get("entity")
    if entity is None or "id" not in entity.args or not _only(entity.args, {"id"}):
        return
    below = look(entity.ref.name)
    for name in _LISTS:
        member = below.fields.get(name)
        if member is not None and _only(member.args, _PAGING):
            types = {"entityId": entity.args["id"].ref.text}
            yield from _query(name, member, {}, types, look, around=("entity(id: $entityId)", "entity"))


def _by_filter(root: Type, look: Look) -> Iterator[DoubtQuery]:
    for name in _LISTS:
        member = root.fields.get(name, Member(ref=Ref(text="", name="")))
        for arg in ("entityId", *_FILTERS):
            if arg in member.args and _only(member.args, _PAGING | {arg}):
                value, types = _condition(arg, member.args[arg], look)
                if value:
                    yield from _query(name, member, {arg: value}, types, look)


def _condition(arg: str, member: Member, look: Look) -> tuple[str, dict[str, str]]:
    """Give the value of an argument that leaves the attachments of one entity, and the variables in it."""
    if arg == "entityId":
        return "$entityId", {"entityId": member.ref.text}
    inputs = look(member.ref.name).inputs
    if "entityId" not in inputs or not _only(inputs, {"entityId", "s3Key"}):
        return "", {}
    parts: list[str] = []
    types: dict[str, str] = {}
    for name in ("entityId", "s3Key"):
        operators = look(inputs[name].ref.name).inputs if name in inputs else {}
        if "eq" in operators:
            parts.append(f"{name}: {{eq: ${name}}}")
            types[name] = operators["eq"].ref.text
        elif name in inputs and not operators and not inputs[name].ref.is_list:
            parts.append(f"{name}: ${name}")
            types[name] = inputs[name].ref.text
    return (f"{{{', '.join(parts)}}}", types) if "entityId" in types else ("", {})


def _query(
    name: str,
    member: Member,
    given: Mapping[str, str],
    types: Mapping[str, str],
    look: Look,
    around: tuple[str, str] | None = None,
) -> Iterator[DoubtQuery]:
    """Write the document for a list field; `around` is the call and the name of the field it stands in."""
    listed = _connection(member, look) or _plain(member, look)
    if listed is None:
        return
    args, declared = dict(given), dict(types)
    if "first" in member.args:
        args["first"] = str(_PAGE_SIZE)
    if "after" in member.args and not member.args["after"].ref.is_required and listed.page is not None:
        args["after"] = "$after"
        declared["after"] = member.args["after"].ref.text
    call = f"{name}({', '.join(f'{arg}: {value}' for arg, value in args.items())})" if args else name
    inner = f"{call} {{ {listed.selection} }}"
    path = f"{around[1]}.{name}" if around else name
    head = ", ".join(f"${variable}: {text}" for variable, text in declared.items())
    yield DoubtQuery(
        query=f"query Listing({head}) {{ {f'{around[0]} {{ {inner} }}' if around else inner} }}",
        rows=compile_expression(path + listed.rows),
        page=None if listed.page is None else compile_expression(path + listed.page),
        whole=listed.whole,
    )


def _connection(member: Member, look: Look) -> _List | None:
    if member.ref.is_list:
        return None
    connection = look(member.ref.name).fields
    edges = connection.get("edges")
    node = look(edges.ref.name).fields.get("node") if edges and edges.ref.is_list else None
    if node is None or not _is_attachment(look(node.ref.name)):
        return None
    info = look(connection["pageInfo"].ref.name).fields if "pageInfo" in connection else {}
    if not {"hasNextPage", "endCursor"} <= set(info):
        return _List(selection="edges { node { id s3Key } }", rows=".edges[].node", page=None, whole=False)
    selection = "edges { node { id s3Key } } pageInfo { hasNextPage endCursor }"
    return _List(selection=selection, rows=".edges[].node", page=".pageInfo", whole=False)


def _plain(member: Member, look: Look) -> _List | None:
    if not member.ref.is_list or not _is_attachment(look(member.ref.name)):
        return None
    # A list that can be asked for in parts may be cut where nobody asked for a part.
    return _List(selection="id s3Key", rows="", page=None, whole=_PAGING.isdisjoint(member.args))


def _is_attachment(given: Type) -> bool:
    return {"id", "s3Key"} <= set(given.fields)


def _only(members: Mapping[str, Member], given: frozenset[str] | set[str]) -> bool:
    """Say whether everything that cannot be left out is among what is given."""
    return all(name in given for name, member in members.items() if member.needed)


def _members(given: Any) -> dict[str, Member]:
    entries = given if isinstance(given, list) else []
    return {each["name"]: _member(each) for each in entries if isinstance(each, Mapping) and "name" in each}


def _member(given: Mapping[str, Any]) -> Member:
    ref = _ref(given.get("type"))
    needed = ref.is_required and given.get("defaultValue") is None
    return Member(ref=ref, needed=needed, args=_members(given.get("args")))


def _ref(given: Any) -> Ref:
    if not isinstance(given, Mapping):
        return Ref(text="", name="")
    if given.get("kind") not in {"NON_NULL", "LIST"}:
        name = str(given.get("name") or "")
        return Ref(text=name, name=name)
    inner = _ref(given.get("ofType"))
    wrapped = f"{inner.text}!" if given["kind"] == "NON_NULL" else f"[{inner.text}]"
    return Ref(text=wrapped, name=inner.name)
