import ast
import re
import runpy
from pathlib import Path

HERE = Path(__file__).parent
SCRIPT = runpy.run_path(str(HERE / "page.py"))


def test_the_page_is_what_the_table_says():
    """docs/faults.md is not stale; `python tests/faults/page.py` writes it anew."""
    assert SCRIPT["PAGE"].read_text() == SCRIPT["written"]()


def test_every_class_names_a_test_that_exists():
    """No class of the page promises what no test shows."""
    tree = ast.parse((HERE / "test_fault_matrix.py").read_text())
    tests = {f"test_fault_matrix.py::{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef)}
    classes = [line for line in SCRIPT["PAGE"].read_text().splitlines() if line.startswith("| *")]
    assert classes
    assert all(set(re.findall(r"`(test_[^`]+)`", line)) <= tests for line in classes)
    assert all("`test_" in line for line in classes)
