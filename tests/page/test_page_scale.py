import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from attachd.core.heart import Heart
from attachd.ledger.lock import Holder
from attachd.ledger.reports import Reports
from attachd.ledger.store import SqliteLedger
from attachd.service.clock import SystemClock
from attachd.service.paging import Inside

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LARGE = re.compile(r"SCAN (d|f|e|h|deliveries|files|history|directories)\b(?! USING (COVERING )?INDEX)")


@pytest.fixture
def inside(tmp_path):
    """Give what the page asks, with a ledger, and every statement that comes of it."""
    path = str(tmp_path / "attachd.db")
    with closing(SqliteLedger.open(path, create=True)) as ledger:
        ledger.open_folder("/srv/drop", "ext4", NOW)
    asked: list[str] = []
    with closing(Reports.open(path)) as reports:
        with reports._readers.borrow() as connection:
            connection.set_trace_callback(asked.append)
        yield (
            Inside(
                rooms=SimpleNamespace(),
                reports=reports,
                holder=Holder(pid=1, host="h", started_at=NOW),
                settings=lambda: SimpleNamespace(folders=(), destinations={}),
                facts=lambda: None,
                failures=list,
                trouble=lambda: None,
                stuck=list,
                main=Heart(SystemClock()),
            ),
            asked,
            path,
        )


def plans(path: str, asked: list[str]) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [
            row[3]
            for statement in dict.fromkeys(asked)
            if statement.lstrip().upper().startswith(("SELECT", "WITH"))
            for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]


def test_a_scrape_costs_the_same_in_a_ledger_of_years(inside):
    """Metrics come from counts that triggers keep, and from indexes: no table of files is gone through."""
    source, asked, path = inside
    assert source.status().oldest_undelivered_at is None
    found = plans(path, asked)
    assert "SEARCH c USING PRIMARY KEY (folder_id=?)" in found
    assert any("deliveries_undelivered" in step for step in found)
    assert [step for step in found if LARGE.search(step)] == []


def test_the_problems_on_the_page_are_read_along_an_index(inside):
    """Twenty of a million are found by reading twenty."""
    source, asked, path = inside
    assert source.problems(20) == []
    found = plans(path, asked)
    assert any("deliveries_by_state" in step for step in found)
    assert any("files_without_delivery" in step for step in found)
    assert [step for step in found if LARGE.search(step) or "TEMP B-TREE" in step] == []
