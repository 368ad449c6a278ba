import re
import sqlite3

import pytest

from attachd.ledger import (
    changes,
    claims,
    evidence,
    files,
    folders,
    followers,
    moves,
    replans,
    reports,
    thinning,
)
from attachd.model import State

QUERIES = {
    "claim, due": claims.DUE,
    "claim, put off": claims.PUT_OFF,
    "claim, ready": claims.READY,
    "claim, ready ahead": claims.AHEAD,
    "claim, make ready": claims._MAKE_READY,
    "claim, ready now": claims._READY_NOW,
    "claim, make active": claims._MAKE_ACTIVE,
    "begin call": claims._BEGIN_CALL,
    "receipt": claims._KEEP_RECEIPT,
    "intent": claims._ANNOUNCE,
    "mark gone": moves._MARK_GONE,
    "known": folders._KNOWN,
    "known, some": folders._KNOWN_AMONG,
    "thin, ended": thinning.ENDED,
    "thin, forget": thinning.FORGET,
    "next_due": claims.NEXT_DUE,
    "doubtful": claims.DOUBTFUL,
    "recover": claims.ABANDONED,
    "identify": followers.SAME_BYTES,
    "cascade": moves._FOLLOWERS,
    "move": moves._MOVE,
    "path": files._OF_PATH,
    "newest": files._NEWEST,
    "newer": changes.NEWER,
    "attached before": files._ATTACHED,
    "versions": files._VERSIONS,
    "judge anew, page": replans.UNDELIVERED_PAGE,
    "judge anew, siblings": replans._SIBLINGS,
    "judge anew, again": replans._OF_VERSION,
    "judge anew, unmatched": replans.UNMATCHED_PAGE,
    "pending deliveries": folders._PENDING_DELIVERIES,
    "pending files": folders._PENDING_FILES,
    "entries": reports.DELIVERIES,
    "files": reports.FILES,
    "oldest": reports.OLDEST,
    "names": reports.NAMES,
    "verify, directories": evidence.DIRECTORIES,
    "verify, files": evidence.FILES,
    "verify, deliveries": evidence._OF_FILE,
}


OF_A_FEW = ("SCAN json_each", "SCAN (subquery")
"""A list that was given, and what an inner query found; a table that this one scans shows for itself."""

SORTS_A_FEW = {"recover", "doubtful", "cascade", "path", "judge anew, siblings", "judge anew, again"}
"""Questions that find few rows by an index and put those in order."""


BY_STATE = {"recover", "doubtful", "entries", "thin, ended"}
"""Questions about everything in one state; any other one must not go through a backlog."""


def values_for(query):
    """Give a value to each place holder of a query."""
    named, numbered = set(re.findall(r":(\w+)", query)), set(re.findall(r"\?(\d)", query))
    return dict.fromkeys(named) if named else [None] * (len(numbered) or query.count("?"))


@pytest.mark.parametrize("name", QUERIES)
def test_no_question_walks_the_whole_ledger(desk, path, name):
    """Every query of the hot path and of the lists goes along an index, and none sorts everything."""
    connection = sqlite3.connect(path)
    query = QUERIES[name]
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values_for(query))]
    connection.close()
    by_state = any("deliveries_by_state" in step for step in steps)
    assert not by_state or name in BY_STATE
    scans = {step for step in steps if step.startswith("SCAN") and not step.startswith(OF_A_FEW)}
    assert steps
    assert scans <= ({"SCAN folders"} if name == "oldest" else set())
    assert name in SORTS_A_FEW or not any("TEMP B-TREE FOR ORDER BY" in step for step in steps)


def test_cost_of_a_claim_does_not_grow_with_the_ledger(desk, path):
    """A claim does the same number of virtual machine steps after ten times as many finished deliveries."""

    def steps_of_a_claim(target):
        desk.drop(f"{target}.jpg", target=target)
        counted = 0

        def count():
            nonlocal counted
            counted += 1
            return 0

        writer = desk.ledger._writer
        writer.run(lambda connection: connection.set_progress_handler(count, 10))
        (delivery,) = desk.claim().values()
        writer.run(lambda connection: connection.set_progress_handler(None, 0))
        assert desk.move(delivery, State.DONE)
        return counted

    steps_of_a_claim("warm")
    small = steps_of_a_claim("small")
    for number in range(300):
        desk.drop(f"many/{number}.jpg", target=str(number))
    for delivery in desk.claim(limit=1000).values():
        assert desk.move(delivery, State.DONE)
    assert steps_of_a_claim("large") <= small * 1.3
