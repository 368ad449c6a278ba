import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from attachd.ledger import evidence
from attachd.ledger.copying import copy_of
from attachd.ledger.reports import Reports
from attachd.model import Standing, State

PATHS = ["a.jpg", "d/a.jpg", "d/b.jpg", "d/e/c.jpg", "d.x/a.jpg", "z/a.jpg", "d/a.jpg"]


@pytest.fixture
def filled(desk, monkeypatch):
    """Files in several directories, one of them in two versions, read two at a time."""
    monkeypatch.setattr(evidence, "PAGE", 2)
    for path in PATHS:
        desk.drop(path)
    desk.record("d/unmatched.txt", standing=Standing.UNMATCHED)
    return desk


@pytest.mark.parametrize(
    ("below", "found"),
    [
        (
            "",
            [
                "a.jpg",
                "d/a.jpg",
                "d/a.jpg",
                "d/b.jpg",
                "d/unmatched.txt",
                "d.x/a.jpg",
                "d/e/c.jpg",
                "z/a.jpg",
            ],
        ),
        ("d", ["d/a.jpg", "d/a.jpg", "d/b.jpg", "d/unmatched.txt", "d/e/c.jpg"]),
        ("d/a.jpg", ["d/a.jpg", "d/a.jpg"]),
        ("a.jpg", ["a.jpg"]),
        ("d/e", ["d/e/c.jpg"]),
        ("d/nothing", []),
    ],
)
def test_every_version_at_or_below_a_path_comes_once(filled, reports, below, found):
    """Pages lose and double nothing, and a name that only begins like the path is not below it."""
    given = list(reports.recorded("/srv/drop", below))
    assert [each.file.path for each in given] == found
    assert [each.newest for each in given if each.file.path == "d/a.jpg"] in ([], [False, True])
    assert list(reports.recorded("/srv/other", below)) == []


def test_a_duplicate_is_proved_by_its_elder(desk, reports):
    """The attachment to ask for is the elder's; what is not attached has none."""
    for name in ("elder", "follower", "held"):
        desk.drop(f"{name}.jpg", target="43" if name == "held" else "42")
    elder, follower, held = desk.claim().values()
    desk.identify(elder)
    desk.identify(follower)
    assert desk.move(elder, State.DONE, remote_id="77")
    desk.hold(held)
    given = {each.file.path: each.proofs[0] for each in reports.recorded("/srv/drop")}
    assert {path: proof.attached_by and proof.attached_by.remote_id for path, proof in given.items()} == {
        "elder.jpg": "77",
        "follower.jpg": "77",
        "held.jpg": None,
    }


def test_names_are_those_that_are_not_gone(filled, reports):
    """What lies in one directory, each name once."""
    assert reports.names("/srv/drop", "d") == {"a.jpg", "b.jpg", "unmatched.txt"}
    assert reports.names("/srv/drop", "nowhere") == set()


def test_a_copy_is_whole_and_leaves_the_ledger_alone(desk, path, tmp_path):
    """The copy has what the ledger has at that moment, with waiting ones due; the ledger stays as it was."""
    waiting = desk.dropped("a.jpg")
    assert desk.move(waiting, State.WAITING, next_attempt_at=desk.later(10**6))
    place = str(tmp_path / "copy.db")
    with closing(copy_of(path, place)) as copy:
        assert [each.id for each in copy.claim("ion", "run 2", datetime.now(UTC), 9)] == [waiting.id]
    with Reports.open(path) as original:
        assert original.entry(waiting.id).state == "waiting"
        assert original.last_id() == waiting.id


def test_a_copy_of_nothing_is_a_new_ledger(tmp_path):
    """Before the first start there is none to copy, and none is made there."""
    with closing(copy_of(str(tmp_path / "none.db"), str(tmp_path / "copy.db"))):
        assert not Path(tmp_path / "none.db").exists()
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("SELECT count(*) FROM deliveries").fetchone() == (0,)
