import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MODULES = sorted(TESTS.rglob("test_*.py"))
CHECKS = ("raises", "assert", "check", "expect", "wait", "fail")


def sentences_of(module: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(module.read_text())
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]


def can_fail(test: ast.FunctionDef) -> bool:
    """A bare assert, or a call whose name says that it checks."""
    for node in ast.walk(test):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call) and any(word in ast.unparse(node.func).lower() for word in CHECKS):
            return True
    return False


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(TESTS)))
def test_every_test_says_what_it_holds_and_can_fail(module: Path):
    """Each test has a sentence and something that can go wrong."""
    tests = sentences_of(module)
    assert [test.name for test in tests if not ast.get_docstring(test)] == []
    assert [test.name for test in tests if not can_fail(test)] == []


def test_file_names_are_unique():
    """Two test files of one name would be told apart by nobody in a report."""
    names = [module.name for module in MODULES]
    assert sorted(names) == sorted(set(names))
