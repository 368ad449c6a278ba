"""Draws the table of every event that attachd logs; run it to put it into docs/logs.md anew.

Names, levels and fields are read from the calls of `log` in the code, what they mean from
`attachd.log_events`. A name may be chosen between two, or be the beginning of several, as in
`f"file_{standing}"`: then it stands for those of the table that begin so and are logged nowhere else by name.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from attachd.log_events import GROUPED, MEANINGS

PAGE = Path(__file__).parent / "logs.md"
SOURCE = Path(__file__).parents[1] / "daemon" / "attachd"
OPENING, CLOSING = "| event | level | fields | meaning |\n", "\n\n"
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "critical": "critical"}
LEVELS |= {"exception": "error"}
ALWAYS = ("destination", "folder", "rule", "delivery", "path")
BEGINNING = "*"


@dataclass(slots=True)
class Logged:
    """How one event is logged, wherever it is."""

    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Scope:
    """A module and one of its functions, in which names stand for what is assigned to them."""

    module: ast.Module
    function: ast.AST

    def assigned(self, name: str) -> list[ast.expr]:
        """Give every value that a name is given in the function, or added to it."""
        found: list[ast.expr] = []
        for node in ast.walk(self.function):
            if isinstance(node, ast.Assign):
                found += [value for target in node.targets for value in paired(target, node.value, name)]
            elif isinstance(node, ast.AnnAssign | ast.AugAssign) and is_name(node.target, name):
                found += [node.value] if node.value else []
        return found

    def returned(self, name: str) -> Iterator[ast.expr]:
        """Give what functions and methods of this name return."""
        for node in ast.walk(self.module):
            if isinstance(node, ast.FunctionDef) and node.name == name:
                values = (each.value for each in ast.walk(node) if isinstance(each, ast.Return))
                yield from (value for value in values if value)

    def levels(self, called: ast.expr) -> set[str]:
        """Give the levels that a call of this logs at; none where it is no call of `log`."""
        match called:
            case ast.Attribute(value=ast.Name(id="log"), attr=name):
                return {LEVELS[name]} if name in LEVELS else set()
            case ast.IfExp(body=one, orelse=other):
                return self.levels(one) | self.levels(other)
            case ast.Name(id=name):
                return {level for value in self.assigned(name) for level in self.levels(value)}
        return set()

    def names(self, event: ast.expr) -> set[str]:
        """Give the names that an expression stands for; one that only begins so ends with a star."""
        match event:
            case ast.Constant(value=str(name)):
                return {name}
            case ast.IfExp(body=one, orelse=other):
                return self.names(one) | self.names(other)
            case ast.JoinedStr(values=[ast.Constant(value=str(beginning)), *_]):
                return {beginning + BEGINNING}
            case ast.Name(id=name):
                return {each for value in self.assigned(name) for each in self.names(value)}
        raise ValueError(f"cannot tell which event this is: {ast.unparse(event)}")

    def fields(self, given: ast.expr) -> set[str]:
        """Give the keys of a mapping that is spread into a call, as far as the code tells."""
        match given:
            case ast.Dict(keys=keys, values=values):
                spread = [self.fields(value) for key, value in zip(keys, values, strict=True) if key is None]
                return set().union({key.value for key in keys if isinstance(key, ast.Constant)}, *spread)
            case ast.IfExp(body=one, orelse=other) | ast.BinOp(left=one, right=other):
                return self.fields(one) | self.fields(other)
            case ast.Name(id=name):
                return {each for value in self.assigned(name) for each in self.fields(value)}
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                return {each for value in self.returned(name) for each in self.fields(value)}
        return set()


def is_name(node: ast.expr, name: str) -> bool:
    """Say whether a node is just this name."""
    return isinstance(node, ast.Name) and node.id == name


def paired(target: ast.expr, value: ast.expr, name: str) -> Iterator[ast.expr]:
    """Give what an assignment gives to a name, alone or as one of several."""
    if is_name(target, name):
        yield value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        yield from (each for one, each in zip(target.elts, value.elts, strict=True) if is_name(one, name))


def logged(module: ast.Module) -> dict[str, Logged]:
    """Give the events of a module."""
    found: dict[str, Logged] = {}
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef):
            scope = Scope(module, function)
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                _note(found, scope, call)
    return found


def _note(found: dict[str, Logged], scope: Scope, call: ast.Call) -> None:
    levels = scope.levels(call.func)
    if not levels:
        return
    fields = {word.arg for word in call.keywords if word.arg}
    fields |= {each for word in call.keywords if not word.arg for each in scope.fields(word.value)}
    for name in scope.names(call.args[0]):
        event = found.setdefault(name, Logged())
        event.levels |= levels
        event.fields |= fields - {"exc_info"}


def events() -> dict[str, Logged]:
    """Give every event of attachd; a beginning stands for those of the table that begin so."""
    found: dict[str, Logged] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for name, event in logged(ast.parse(path.read_text())).items():
            known = found.setdefault(name, Logged())
            known.levels |= event.levels
            known.fields |= event.fields
    literal = set(found)
    for name in [each for each in found if each.endswith(BEGINNING)]:
        event = found.pop(name)
        meant = [each for each in MEANINGS if each.startswith(name[:-1]) and each not in literal]
        found |= dict.fromkeys(meant, event)
    found["repeated"] = Logged(set(), {"what", "times", "seconds", "kind", "why", "hint", "latest"})
    return found


def draw() -> str:
    """Give the rows, in the order of the table."""
    found = events()
    lines = ["|---|---|---|---|"]
    for name, meaning in MEANINGS.items():
        event = found[name]
        order = [each for each in ALWAYS if each in event.fields]
        fields = " ".join(f"`{each}`" for each in [*order, *sorted(event.fields - set(order))])
        levels = " or ".join(each for each in LEVELS if each in event.levels) or "of what is repeated"
        star = r" \*" if name in GROUPED else ""
        lines.append(f"| `{name}`{star} | {levels} | {fields} | {meaning} |")
    return "\n".join(lines)


def renewed(page: str) -> str:
    """Give the page with the table as the code has it now."""
    before, _, rest = page.partition(OPENING)
    _, _, after = rest.partition(CLOSING)
    return before + OPENING + draw() + CLOSING + after


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
