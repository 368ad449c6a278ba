"""The YAML node tree → plain values and the place of each: duplicate keys, merges, empty values, traps."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from attachd.config.report import Place, Report
from attachd.config.traps import PREFIX, SCALAR_TAGS, TRAP, explain, plain_value
from attachd.config.wording import Location, is_secret, quoted

MOST_VALUES = 50_000
DEEPEST = 40
_MERGE = PREFIX + "merge"
_STRING = PREFIX + "str"

Pair = tuple[yaml.Node, yaml.Node]


class _TooLarge(Exception):
    """Aliases multiply the document beyond what anybody writes."""


@dataclass(slots=True)
class _Walk:
    """One walk over a document.

    Attributes:
        report: receives places and problems.
        text: the document.
        open: ids of the nodes we are inside of, to notice one that contains itself.
        count: values seen so far, counted through aliases.
    """

    report: Report
    text: str
    open: set[int] = field(default_factory=set)
    count: int = 0

    def value(self, node: yaml.Node, at: Location, key: yaml.Node | None = None) -> object:
        """Give the plain value of a node, noting its place."""
        self.count += 1
        if self.count > MOST_VALUES:
            raise _TooLarge
        self.report.places[at] = self._place(node, key or node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, at)
        if id(node) in self.open or len(at) > DEEPEST:
            self.report.error(
                at, "this contains itself, or is nested too deeply", "write it without the alias"
            )
            return TRAP
        self.open.add(id(node))
        try:
            return self._collection(node, at)
        finally:
            self.open.discard(id(node))

    def _collection(self, node: yaml.Node, at: Location) -> object:
        if node.tag not in {PREFIX + "map", PREFIX + "seq"}:
            self.report.error(at, "tags (`!…`) are not supported", "delete the tag")
        if isinstance(node, yaml.MappingNode) and _is_bare_braces(node):
            self.report.error(
                at, "`{…}` without quotes is a mapping, and this one has no values", _brace_hint(node)
            )
            return TRAP
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        return [self.value(child, (*at, index)) for index, child in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, at: Location) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, child in _own_pairs(node):
            name = self._key(key, child, at)
            if name is None or (not at and name.startswith("x-")):
                continue
            if (*at, name) in self.report.places:
                self._duplicate(key, at, name)
            else:
                self._set(values, child, (*at, name), key)
        for key, child in self._merged_pairs(node, at):
            if isinstance(key, yaml.ScalarNode) and (*at, key.value) not in self.report.places:
                self._set(values, child, (*at, key.value), key)
        return values

    def _set(self, values: dict[str, object], child: yaml.Node, at: Location, key: yaml.Node) -> None:
        value = self.value(child, at, key)
        if value is None:
            self.report.error(at, "nothing stands here", "give a value, or delete the key", key=True)
        else:
            values[str(at[-1])] = value

    def _duplicate(self, key: yaml.Node, at: Location, name: str) -> None:
        first = self.report.places[(*at, name)].key_line
        place = self._place(key, key)
        shown = "this key" if is_secret(at) else quoted(name)
        what = f"{shown} stands here twice: first in line {first}"
        self.report.error_at(place, (*at, name), what, "delete one of them")

    def _key(self, key: yaml.Node, child: yaml.Node, at: Location) -> str | None:
        place = self._place(key, key)
        if not isinstance(key, yaml.ScalarNode):
            self.report.error_at(place, at, "a key must be text", "quote text that starts with `{` or `[`")
            return None
        if _has_half_pair(key.value):
            self.report.error_at(place, at, "half of a surrogate pair is no character")
            return None
        if ":" in key.value and _is_empty(child):
            self.report.error_at(place, at, "there is no value here", "is a space missing after the `:`?")
            return None
        if key.tag != _STRING and key.tag != PREFIX + "value":
            trap = "" if is_secret(at) else explain(key.tag, key.value)
            what = f"a key must be text, and {trap}" if trap else "a key must be text"
            self.report.error_at(place, at, what, "quote it")
            self.report.mark((*at, str(key.value)))
        return str(key.value)

    def _merged_pairs(self, node: yaml.MappingNode, at: Location) -> Iterator[Pair]:
        for key, child in node.value:
            if key.tag == _MERGE:
                yield from self._merged(child, at, self._place(child, key), frozenset({id(node)}))

    def _merged(self, node: yaml.Node, at: Location, place: Place, inside: frozenset[int]) -> Iterator[Pair]:
        self.count += 1
        if self.count > MOST_VALUES:
            raise _TooLarge
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode) or id(source) in inside:
                self.report.error_at(place, at, "`<<` must name a mapping, or a list of mappings")
                continue
            yield from _own_pairs(source)
            for key, child in source.value:
                if key.tag == _MERGE:
                    yield from self._merged(child, at, place, inside | {id(source)})

    def _scalar(self, node: yaml.ScalarNode, at: Location) -> object:
        text = str(node.value)
        if node.tag not in SCALAR_TAGS:
            self.report.error(at, "tags (`!…`) are not supported", "delete the tag, or quote the text")
            return TRAP
        if _has_half_pair(text):
            self.report.error(at, "half of a surrogate pair is no character", "write the character itself")
            return TRAP
        return plain_value(node.tag, text)

    def _place(self, node: yaml.Node, key: yaml.Node) -> Place:
        start, end = node.start_mark, node.end_mark
        return Place(
            line=start.line + 1,
            column=start.column + 1,
            key_line=key.start_mark.line + 1,
            key_column=key.start_mark.column + 1,
            raw=self.text[start.index : end.index] if isinstance(node, yaml.ScalarNode) else "",
            tag=node.tag,
        )


def _has_half_pair(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _is_bare_braces(node: yaml.MappingNode) -> bool:
    """Say whether this is `{name}`: a template that somebody forgot to quote."""
    return node.flow_style is True and bool(node.value) and all(_is_empty(child) for _, child in node.value)


def _brace_hint(node: yaml.MappingNode) -> str:
    glued = any(isinstance(key, yaml.ScalarNode) and ":" in key.value for key, _ in node.value)
    return "put a space after the `:`, or quote it" if glued else "quote it"


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and not node.value


def _own_pairs(node: yaml.MappingNode) -> Iterator[Pair]:
    return (pair for pair in node.value if pair[0].tag != _MERGE)


def plain(node: yaml.Node | None, text: str, report: Report) -> dict[str, object]:
    """Give the document as plain mappings, lists and scalars; empty where it is no mapping.

    Empty values are left out after being reported; `x-…` keys at the top are left out in silence.
    """
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        report.error((), "the file is empty", "start from the example rules.yaml")
        return {}
    if not isinstance(node, yaml.MappingNode):
        report.error((), "the file is no mapping", "write keys such as `version: 1` at the start of the line")
        return {}
    try:
        value = _Walk(report=report, text=text).value(node, ())
    except _TooLarge:
        report.error((), f"there are more than {MOST_VALUES} values", "aliases multiply what they stand for")
        return {}
    return value if isinstance(value, dict) else {}
