"""Reads GraphQL documents far enough to hold them against a schema: fields, arguments, variables, fragments.

Written after the grammar of the GraphQL specification (spec.graphql.org/October2021, section 2). What a
schema check does not need (directives' arguments, descriptions) is read over.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r'[\s,\ufeff]+|\#[^\n]*|(?P<text>"""(?:\\"""|[^"]|"(?!""))*"""|"(?:\\.|[^"\\\n])*")'
    r"|(?P<number>-?[0-9][0-9.eE+-]*)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<mark>\.\.\.|[!$&()\[\]{}:=|@])"
)

_OPERATIONS = frozenset({"query", "mutation", "subscription"})
_DEEPEST = 50


class NotADocument(Exception):
    """A text is no GraphQL document; the message is one clause."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that is sent beside the document."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A value in the document of which nothing more need be known."""


Value = Variable | Literal | Mapping[str, "Value"]
"""What an argument is given; an input object by its fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A field with its arguments, or a fragment: `name` is "" then.

    Attributes:
        on: the type that a fragment applies to, "" for the one it stands in.
        spread: the name of the fragment that is meant, "" for one that stands here.
    """

    name: str = ""
    args: Mapping[str, Value] = field(default_factory=dict)
    below: tuple["Selection", ...] = ()
    on: str = ""
    spread: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One operation with its fragments; `variables` gives the declared type of each, as it is written."""

    operation: str
    variables: Mapping[str, str]
    selections: tuple[Selection, ...]
    fragments: Mapping[str, Selection]


def read_document(text: str) -> Document:
    """Read a document with exactly one operation.

    Raises:
        NotADocument: it is none, or has none or several.
    """
    return _Reader(_tokens(text)).document()


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise NotADocument(f"`{text[at : at + 10]}` is no GraphQL")
        if found.lastgroup:
            tokens.append(found[0])
        at = found.end()
    return tokens


@dataclass(slots=True)
class _Reader:
    """Goes through the tokens once. Owner: the one call that made it."""

    tokens: list[str]
    at: int = 0
    deep: int = 0

    def document(self) -> Document:
        operations: list[tuple[str, Mapping[str, str], tuple[Selection, ...]]] = []
        fragments: dict[str, Selection] = {}
        while self.at < len(self.tokens):
            if self._took("fragment"):
                name = self._next()
                self._want("on")
                fragments[name] = Selection(on=self._next(), below=self._directives_and_below())
            else:
                operations.append(self._operation())
        if len(operations) != 1:
            raise NotADocument(f"it has {len(operations) or 'no'} operations, and must have one")
        kind, variables, selections = operations[0]
        return Document(operation=kind, variables=variables, selections=selections, fragments=fragments)

    def _operation(self) -> tuple[str, Mapping[str, str], tuple[Selection, ...]]:
        if self._peek() == "{":
            return "query", {}, self._below()
        kind = self._next()
        if kind not in _OPERATIONS:
            raise NotADocument(f"`{kind}` stands where an operation should begin")
        if self._peek() not in {"(", "@", "{"}:
            self._next()
        variables = self._variables() if self._took("(") else {}
        return kind, variables, self._directives_and_below()

    def _variables(self) -> dict[str, str]:
        variables = {}
        while not self._took(")"):
            self._want("$")
            name = self._next()
            self._want(":")
            variables[name] = self._type()
            if self._took("="):
                self._value()
                variables[name] = variables[name].removesuffix("!") + "!"  # never null, whatever is sent
            self._directives()
        return variables

    def _type(self) -> str:
        if self._took("["):
            text = f"[{self._type()}]"
            self._want("]")
        else:
            text = self._next()
        return f"{text}!" if self._took("!") else text

    def _directives_and_below(self) -> tuple[Selection, ...]:
        self._directives()
        return self._below()

    def _directives(self) -> None:
        while self._took("@"):
            self._next()
            self._args()

    def _args(self) -> dict[str, Value]:
        return self._pairs(")") if self._took("(") else {}

    def _pairs(self, end: str) -> dict[str, Value]:
        pairs: dict[str, Value] = {}
        while not self._took(end):
            name = self._next()
            self._want(":")
            pairs[name] = self._value()
        return pairs

    def _value(self) -> Value:
        if self._took("$"):
            return Variable(self._next())
        if self._took("{"):
            return self._pairs("}")
        if self._took("["):
            while not self._took("]"):
                self._value()
            return Literal()
        self._next()
        return Literal()

    def _below(self) -> tuple[Selection, ...]:
        self._want("{")
        self.deep += 1
        if self.deep > _DEEPEST:
            raise NotADocument("it is nested too deeply")
        selections = []
        while not self._took("}"):
            selections.append(self._selection())
        self.deep -= 1
        return tuple(selections)

    def _selection(self) -> Selection:
        if not self._took("..."):
            return self._field()
        if self._peek() in {"on", "{", "@"}:
            on = self._next() if self._took("on") else ""
            return Selection(on=on, below=self._directives_and_below())
        name = self._next()
        self._directives()
        return Selection(spread=name)

    def _field(self) -> Selection:
        name = self._next()
        if self._took(":"):  # that was an alias
            name = self._next()
        args = self._args()
        self._directives()
        return Selection(name=name, args=args, below=self._below() if self._peek() == "{" else ())

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _next(self) -> str:
        if self.at >= len(self.tokens):
            raise NotADocument("it ends in the middle")
        self.at += 1
        return self.tokens[self.at - 1]

    def _took(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self.at += 1
        return True

    def _want(self, token: str) -> None:
        found = self._next()
        if found != token:
            raise NotADocument(f"`{found}` stands where `{token}` should")
