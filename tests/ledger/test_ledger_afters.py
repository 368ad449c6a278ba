import sqlite3

import pytest

from attachd.core.afters import AfterKind, AfterState, PlannedAfter
from attachd.ledger import after_tables, afters
from attachd.model import State

DELETE = PlannedAfter(rule="photos", kind=AfterKind.DELETE)

QUERIES = {
    "due": afters.DUE,
    "later": afters.LATER,
    "put off": afters.PUT_OFF,
    "plan": afters._PLAN,
    "forget": afters._FORGET,
    "overtake": afters._OVERTAKE,
    "again": afters._AGAIN,
    "reconsider": afters._RECONSIDER,
    "take": afters._TAKE,
    "not yet": afters._NOT_YET,
    "postpone": afters._POSTPONE,
    "finish": afters._FINISH,
    "of delivery": afters.OF_DELIVERY,
    "read": afters._ACTION + " WHERE a.id = ?",
}


def record(desk, path, after, *plans):
    return desk.record(path, *(plans or (desk.plan(),)), after=after)


def due(desk):
    return desk.ledger.afters.due([desk.folder.id], desk.later(1000))


def attach(desk):
    for delivery in desk.claim().values():
        desk.identify(delivery, f"{delivery.id:064x}")
        assert desk.move(delivery, State.DONE)


def test_words_are_those_of_the_core():
    """The CHECKs list the states and actions of `core.afters`, in its order."""
    table = " ".join(after_tables.AFTER_TABLES[0].split())
    states = ", ".join(f"'{each}'" for each in AfterState)
    assert f"CHECK (state IN ({states}))" in table
    assert f"CHECK (action IN ({', '.join(repr(str(each)) for each in AfterKind)}))" in table


@pytest.mark.parametrize("name", QUERIES)
def test_no_question_walks_the_whole_table(desk, path, name):
    """Every statement about after-actions goes along an index."""
    query = QUERIES[name]
    numbered = [character for character in "1234567" if f"?{character}" in query]
    values = [None] * (len(numbered) or query.count("?"))
    connection = sqlite3.connect(path)
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    connection.close()
    scans = [step for step in steps if step.startswith("SCAN") and "json_each" not in step]
    assert all("after_actions_failed" in step for step in scans)
    assert not [step for step in steps if "TEMP B-TREE FOR ORDER BY" in step]


def test_it_is_due_when_the_last_delivery_is_attached(desk):
    """The move of the last delivery makes it due, in the same transaction."""
    record(desk, "a.jpg", DELETE, desk.plan(target="1"), desk.plan(target="2"))
    first, second = desk.claim().values()
    desk.identify(first)
    assert desk.move(first, State.DONE)
    assert due(desk) is None
    desk.identify(second)
    assert desk.move(second, State.DONE)
    action = due(desk)
    assert (action.path, action.kind, action.state) == ("a.jpg", AfterKind.DELETE, AfterState.PLANNED)
    assert action.sha256 == "ab" * 32
    assert desk.ledger.afters.due([desk.folder.id + 1], desk.later(1000)) is None


def test_a_follower_becomes_due_with_its_elder(desk):
    """What is attached by its elder is attached: both files are acted on."""
    record(desk, "a.jpg", DELETE)
    record(desk, "b.jpg", DELETE)
    elder, follower = desk.claim().values()
    desk.identify(elder)
    desk.identify(follower)
    assert due(desk) is None
    assert desk.move(elder, State.DONE)
    first = due(desk)
    desk.ledger.afters.finish(first, AfterState.DONE, "deleted", desk.now())
    assert {first.path, due(desk).path} == {"a.jpg", "b.jpg"}


def test_taken_stays_due_until_it_ends(desk):
    """What a killed run had taken is the first thing that the next one finds; an end is an end."""
    record(desk, "a.jpg", DELETE)
    attach(desk)
    book = desk.ledger.afters
    taken = book.take(due(desk), None, ".attachd-1-a.jpg", desk.now())
    assert due(desk) == taken
    assert taken.state is AfterState.TAKEN
    book.postpone(taken, "no", desk.later(1500), desk.now())
    assert due(desk) is None
    assert book.left([desk.folder.id], desk.later(1000)).later
    assert book.left([desk.folder.id], desk.later(6000)).now
    book.finish(taken, AfterState.DONE, "deleted", desk.now())
    book.finish(taken, AfterState.FAILED, "too late", desk.now())
    left = book.left([desk.folder.id], desk.later(9000))
    assert (left.now, left.later) == (False, False)


def test_postponing_counts(desk, reports):
    """Each try in vain is counted, and `show` has the last reason."""
    (delivery,) = record(desk, "a.jpg", DELETE)
    attach(desk)
    for number in range(3):
        action = due(desk)
        assert action.attempts == number
        desk.ledger.afters.postpone(action, f"reason {number} \udce9", desk.later(1), desk.now())
    entry = reports.after_of(delivery)
    assert (entry.action, entry.state, entry.detail) == ("delete", "planned", "reason 2 \\udce9")


def test_a_file_that_stays_has_nothing(desk, reports):
    """`keep` needs no row."""
    (delivery,) = record(desk, "a.jpg", None)
    attach(desk)
    assert due(desk) is None
    assert reports.after_of(delivery).action == "keep"


def test_the_same_bytes_again_make_it_due_again(desk):
    """A file that is dropped again after it was deleted is deleted again."""
    record(desk, "a.jpg", DELETE)
    attach(desk)
    action = due(desk)
    desk.ledger.afters.finish(action, AfterState.DONE, "deleted", desk.now())
    version = desk.ledger.latest(desk.folder.id, "a.jpg")
    assert desk.ledger.same_bytes(desk.folder.id, "a.jpg", desk.signs(), version.sha256, desk.now())
    assert due(desk).id == action.id
    assert due(desk).attempts == 0


def test_other_bytes_are_not_acted_on(desk, reports):
    """A new version takes over: the old one's action is skipped, and the new one has its own."""
    (old,) = record(desk, "a.jpg", DELETE)
    (new,) = record(desk, "a.jpg", None)
    assert reports.after_of(old).state == "skipped"
    assert "version 2" in reports.after_of(old).detail
    assert reports.after_of(new).action == "keep"


def test_paths_are_kept_to_the_byte(desk):
    """A target that is not UTF-8 comes back as it was."""
    target = "/sent/caf\udce9 \\x41.jpg"
    record(desk, "a.jpg", PlannedAfter(rule="r", kind=AfterKind.MOVE, target=target))
    attach(desk)
    assert due(desk).target == target
    taken = desk.ledger.afters.take(due(desk), target + "2", ".attachd-1-\udce9", desk.now())
    assert (taken.chosen, taken.held_as) == (target + "2", ".attachd-1-\udce9")


@pytest.mark.parametrize(
    "change",
    [
        "state = 'lost'",
        "action = 'copy'",
        "state = 'taken'",
        "action = 'move'",
        "state = 'done', due_at = '2026'",
    ],
)
def test_the_database_refuses_what_cannot_be(desk, path, change):
    """Unknown words, a take without names, a move without a target, and a due end are refused."""
    record(desk, "a.jpg", DELETE)
    stranger = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError):
        stranger.execute(f"UPDATE after_actions SET {change}")
    stranger.close()
