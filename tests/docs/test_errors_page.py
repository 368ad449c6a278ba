"""docs/errors.md against the tables in the code and the tests it names."""

import ast
import re
from pathlib import Path

import pytest

from attachd.destinations import graphql, storage
from attachd.model import ErrorKind, Severity

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text()
FIRST, CODES, STATUSES, API, GLUE, KINDS = (
    "ION's page of common errors",
    "Storage, by the code of its answer",
    "Storage, by status where no known code came with it",
    "ION and Glue, by status",
    "Glue, by call",
    "Every kind",
)


def table(section):
    """Give the rows of a section's table as lists of cells, without its head."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def word(cell):
    """Give the one word that stands in code marks."""
    (found,) = re.findall(r"`([^`]+)`", cell)
    return found


def existing_tests():
    """Give every test as `file::name`."""
    modules = (ROOT / "tests").rglob("test_*.py")
    return {
        f"{module.name}::{node.name}"
        for module in modules
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


ROWS = [
    (section, row, kind)
    for section in (FIRST, CODES, STATUSES, API, GLUE, KINDS)
    for row in table(section)
    for kind in (word(row[0 if section == KINDS else 1]),)
]


def test_every_row_names_a_test_that_exists():
    """No row promises what no test shows."""
    existing = existing_tests()
    named = {(row[0], each) for _, row, _ in ROWS for each in re.findall(r"`([^`]+)`", row[-1])}
    assert sorted(each for _, each in named if each not in existing) == []
    assert sorted(row[0] for _, row, _ in ROWS if "::" not in row[-1]) == []


def test_every_row_says_what_each_side_does():
    """What attachd does and what a person does is in every row, and every kind is one."""
    assert [row[0] for _, row, _ in ROWS if not all(row)] == []
    assert {kind for _, _, kind in ROWS} == set(ErrorKind)


@pytest.mark.parametrize(
    ("section", "known"),
    [
        (CODES, {code: each.kind for code, each in storage.BY_CODE.items()}),
        (STATUSES, {str(status): each.kind for status, each in storage.BY_STATUS.items()}),
        (API, {str(status): each.kind for status, each in graphql.BY_STATUS.items()}),
    ],
)
def test_the_tables_are_those_of_the_code(section, known):
    """Every code and status that attachd knows has a row, of the same kind, and no other has."""
    assert {word(row[0]): word(row[1]) for row in table(section)} == known


def test_every_kind_has_one_row():
    """The last table lists the contract's kinds, each once."""
    assert sorted(word(row[0]) for row in table(KINDS)) == sorted(ErrorKind)


def promised(refusal):
    """Give the words by which the page tells what follows from a refusal."""
    by_severity = {Severity.PASSING: "again", Severity.LASTING: "held", Severity.REFUSED: "gate"}
    words = {"new URL"} if refusal.fresh_url else set()
    return words | {"start over" if refusal.restart else by_severity[refusal.severity]}


@pytest.mark.parametrize(
    ("section", "known"), [(CODES, storage.BY_CODE), (STATUSES, storage.BY_STATUS)], ids=["code", "status"]
)
def test_what_attachd_does_is_what_the_code_says(section, known):
    """A refusal that is tried again, held, or met with a new URL is told so."""
    rows = {word(row[0]): row[2] for row in table(section)}
    told = {
        str(name): {
            part for part in ("new URL", "again", "held", "start over", "gate") if part in text.split(";")[0]
        }
        for name, text in rows.items()
    }
    assert told == {str(name): promised(each) for name, each in known.items()}


def test_the_words_of_the_page_are_explained():
    """The words that the tables use stand at its top."""
    head = PAGE.split("\n## ")[0]
    assert all(f"- *{each}*:" in head for each in ("again", "new URL", "start over", "held", "gate"))
