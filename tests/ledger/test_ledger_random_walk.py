import random
import sqlite3
from dataclasses import replace

import pytest

from attachd.core.protocols import Place
from attachd.core.states import TRANSITIONS
from attachd.errors import InvariantBroken
from attachd.ledger.store import SqliteLedger
from attachd.model import State

NAMES = ("a.jpg", "b/a.jpg", "b/c.jpg", "d.jpg")
HASHES = ("ab" * 32, "cd" * 32)


class Walk:
    """A seeded walk over everything that intake, workers and people can do."""

    def __init__(self, desk, seed):
        self.desk = desk
        self.chance = random.Random(seed)

    def step(self):
        kind = self.chance.choice(
            ("drop", "drop", "note", "gone", "same", "work", "work", "work", "retry", "recover")
        )
        getattr(self, kind)()

    def name(self):
        return self.chance.choice(NAMES)

    def drop(self):
        targets = self.chance.sample(("1", "2"), self.chance.choice((1, 2)))
        self.desk.record(self.name(), *(self.desk.plan(target=each) for each in targets))

    def note(self):
        self.desk.record(self.name())

    def gone(self):
        self.desk.ledger.gone(self.desk.folder.id, self.name(), self.desk.now())

    def same(self):
        desk = self.desk
        desk.ledger.same_bytes(
            desk.folder.id, self.name(), desk.signs(), self.chance.choice(HASHES), desk.now()
        )

    def retry(self):
        self.desk.ledger.retry(None, self.desk.now(), "retry")

    def recover(self):
        self.desk.ledger.recover(self.chance.choice(("run 1", "run 2")), self.desk.now())

    def work(self):
        for delivery in self.desk.claim(limit=self.chance.choice((1, 3))).values():
            place = self.desk.identify(delivery, self.chance.choice(HASHES))
            if place is Place.FIRST and self.chance.random() < 0.8:
                self.deliver(delivery)
        for delivery in self.desk.ledger.doubtful("ion"):
            if self.chance.random() < 0.5:
                self.move(delivery)

    def deliver(self, delivery):
        if self.chance.random() < 0.5:
            assert self.desk.ledger.record_intent(delivery, "register")
        self.move(delivery)

    def move(self, delivery):
        to = self.chance.choice(sorted(TRANSITIONS[delivery.state] - {State.DUPLICATE}))
        try:
            assert self.desk.move(delivery, to, close_intent=self.chance.random() < 0.7)
        except InvariantBroken:  # an open intent, or doubt without one: refused, and nothing is written
            return
        if to is State.HELD and self.chance.random() < 0.3:
            self.desk.move(replace(delivery, state=State.HELD, run=None), State.DISMISSED)


@pytest.mark.parametrize("seed", range(6))
def test_books_balance_after_a_random_walk(desk, path, seed):
    """Counts equal a fresh count, history tells each state, and no follower is left behind nobody."""
    walk = Walk(desk, seed)
    for _ in range(150):
        walk.step()
    with sqlite3.connect(path) as stranger:
        ask = lambda query: stranger.execute(query).fetchall()  # noqa: E731 - shorter than a function
        counted = ask(
            "SELECT folder_id, destination, state, count FROM counts WHERE count > 0 ORDER BY 1, 2, 3"
        )
        fresh = ask(
            "SELECT folder_id, destination, state, count(*) FROM deliveries GROUP BY 1, 2, 3"
            " UNION ALL SELECT folder_id, '', standing, count(*) FROM files JOIN directories"
            " ON directories.id = directory_id WHERE standing IN ('unmatched', 'parked', 'existing')"
            " GROUP BY 1, 3 ORDER BY 1, 2, 3"
        )
        assert counted == fresh
        told = ask(
            "SELECT d.id FROM deliveries d WHERE d.state <> (SELECT to_state FROM history"
            " WHERE delivery_id = d.id ORDER BY id DESC LIMIT 1)"
        )
        assert told == []
        broken = ask(
            "SELECT a.id FROM history a JOIN history b ON b.delivery_id = a.delivery_id AND b.id ="
            " (SELECT min(id) FROM history WHERE delivery_id = a.delivery_id AND id > a.id)"
            " WHERE b.from_state <> a.to_state"
        )
        assert broken == []
        stuck = ask(
            "SELECT f.id, f.state, e.state FROM deliveries f JOIN deliveries e ON e.id = f.elder_id"
            " WHERE f.state = 'waiting' AND f.next_attempt_at IS NULL"
            " AND e.state NOT IN ('ready', 'active', 'waiting', 'doubtful')"
        )
        assert stuck == []
        doubles = ask(
            "SELECT bytes_key, target, group_concat(id) FROM deliveries WHERE bytes_key IS NOT NULL"
            " AND elder_id IS NULL AND state IN ('ready', 'active', 'waiting', 'doubtful')"
            " GROUP BY destination, target, bytes_key HAVING count(*) > 1"
        )
        assert doubles == []
        assert ask("PRAGMA foreign_key_check") == []
    stranger.close()


def test_reopened_ledger_is_the_same(desk, path, reports):
    """Nothing of the state lives in memory only: what was seen before is seen after, and work goes on."""
    walk = Walk(desk, 99)
    for _ in range(40):
        walk.step()
    before = list(reports.entries())
    desk.ledger.close()
    desk.ledger = SqliteLedger.open(path, create=False)
    try:
        assert list(reports.entries()) == before
        for _ in range(40):
            walk.step()
        assert list(reports.entries()) != before
    finally:
        desk.ledger.close()
