import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "daemon" / "attachd"
MODULES = sorted(SOURCE.rglob("*.py"))
MODULE_LINES = 400
FUNCTION_LINES = 40
CLASS_METHODS = 20
MOST_UNDER = 200
VAGUE = ("manager", "helper", "utils", "misc", "common")


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def length_without_docstring(function: ast.FunctionDef) -> int:
    length = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        length -= (first.end_lineno or first.lineno) - first.lineno + 1
    return length


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module_keeps_the_budgets(module: Path):
    """No module is over 400 lines, no function over 40, and no name says nothing."""
    text = module.read_text()
    tree = ast.parse(text)
    too_long = [
        f"{function.name}: {length_without_docstring(function)} lines"
        for function in functions(tree)
        if length_without_docstring(function) > FUNCTION_LINES
    ]
    assert text.count("\n") <= MODULE_LINES
    assert too_long == []
    assert not any(word in module.stem for word in VAGUE)


def test_most_modules_are_under_200_lines():
    """The median stays small, so that a module can be read in one sitting."""
    small = [module for module in MODULES if module.read_text().count("\n") < MOST_UNDER]
    assert len(small) >= 0.75 * len(MODULES)


def crowded_classes(module: Path) -> list[str]:
    classes = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.ClassDef)]
    methods = {
        node.name: [f for f in node.body if isinstance(f, ast.FunctionDef) and not f.name.startswith("_")]
        for node in classes
    }
    return [name for name, public in methods.items() if len(public) > CLASS_METHODS]


def test_no_class_has_too_many_public_methods():
    """A class that does everything is found before it grows up; the ledger is one protocol on purpose."""
    crowded = {name for module in MODULES for name in crowded_classes(module)}
    assert crowded <= {"Ledger", "SqliteLedger"}


def test_no_error_is_swallowed():
    """Every except handler does something that can be seen."""
    silent = [
        f"{module.relative_to(SOURCE)}:{node.lineno}"
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ExceptHandler) and all(isinstance(step, ast.Pass) for step in node.body)
    ]
    assert silent == []
