"""The ground of the state machine: the disk, the other side's own account, and what must always hold."""

import functools
import sqlite3
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from hypothesis.stateful import RuleBasedStateMachine, invariant

from attachd.core.afters import AfterKind, PlannedAfter
from attachd.core.protocols import NewVersion
from attachd.core.replanning import Judgement
from attachd.core.states import ATTACHED, TRANSITIONS
from attachd.ledger import rows
from attachd.ledger.persons import Word
from attachd.ledger.store import SqliteLedger
from attachd.model import Delivery, ErrorInfo, ErrorKind, PlannedDelivery, Signs, Standing, State

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a real file, without waiting for a disk

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CALLS = {"ion": ("register",), "glue": ("create", "message")}
NO_RULE = ErrorInfo(kind=ErrorKind.NO_RULE, message="no rule took it", hint="add a rule")
PATHS = ("x.jpg", "y.jpg", "d/x.jpg")
BYTES = (b"", b"one", b"two")

PHOTOS = PlannedDelivery(rule="photos", destination="ion", target={"run_step": "42"}, filename="")
COPIES = PlannedDelivery(rule="copies", destination="glue", target={"message": "new"}, filename="")
RULES = {
    "both": (PHOTOS, COPIES),
    "photos": (PHOTOS,),
    "elsewhere": (replace(PHOTOS, target={"run_step": "43"}), COPIES),
    "each": (replace(PHOTOS, dedupe=False), COPIES),
    "first bytes": (replace(PHOTOS, ignores_changes=True), replace(COPIES, max_versions=2)),
    "none": (),
}

NEVER = {
    "counts that are wrong": """
        SELECT * FROM (
            SELECT folder_id, destination, state, count FROM counts WHERE count > 0
            EXCEPT SELECT * FROM real_counts) UNION ALL SELECT * FROM (
            SELECT * FROM real_counts EXCEPT SELECT folder_id, destination, state, count FROM counts)
    """,
    "a follower of somebody who will not come": """
        SELECT f.id, f.state, e.state FROM deliveries f JOIN deliveries e ON e.id = f.elder_id
        WHERE f.state = 'waiting' AND f.next_attempt_at IS NULL
        AND e.state NOT IN ('ready', 'active', 'waiting', 'doubtful')
    """,
    "two elders of the same bytes": """
        SELECT bytes_key, target, group_concat(id) FROM deliveries WHERE bytes_key IS NOT NULL
        AND elder_id IS NULL AND state IN ('ready', 'active', 'waiting', 'doubtful', 'held', 'done')
        GROUP BY destination, target, bytes_key HAVING count(*) > 1
    """,
    "a duplicate of nothing": """
        SELECT d.id, e.id, e.state FROM deliveries d JOIN deliveries e ON e.id = d.elder_id
        JOIN files f ON (f.directory_id, f.name, f.version) = (d.directory_id, d.name, d.version)
        JOIN files g ON (g.directory_id, g.name, g.version) = (e.directory_id, e.name, e.version)
        WHERE d.state = 'duplicate' AND (e.state <> 'done' OR f.sha256 <> g.sha256 OR d.target <> e.target)
    """,
    "a file that a rule took, with no delivery": """
        SELECT * FROM files f WHERE standing = 'matched' AND NOT EXISTS (SELECT 1 FROM deliveries d
            WHERE (d.directory_id, d.name, d.version) = (f.directory_id, f.name, f.version))
    """,
    "a superseded delivery that nobody took over from": """
        SELECT d.id FROM deliveries d JOIN files f USING (directory_id, name, version)
        WHERE d.state = 'superseded' AND f.standing = 'matched'
        AND NOT EXISTS (SELECT 1 FROM files n WHERE n.directory_id = f.directory_id AND n.name = f.name
            AND n.version > f.version)
        AND NOT EXISTS (SELECT 1 FROM deliveries s WHERE s.directory_id = f.directory_id
            AND s.name = f.name AND s.version = f.version AND s.state <> 'superseded')
    """,
    "a broken reference": "PRAGMA foreign_key_check",
}
REAL_COUNTS = """
    CREATE TEMP VIEW real_counts AS
    SELECT folder_id, destination, state, count(*) AS count FROM deliveries GROUP BY 1, 2, 3
    UNION ALL SELECT folder_id, '', standing, count(*) FROM files JOIN directories ON directories.id =
        directory_id WHERE standing IN ('unmatched', 'parked', 'existing') GROUP BY 1, 3
"""
OF_PATH = """
    SELECT d.* FROM deliveries d JOIN directories i ON i.id = d.directory_id
    WHERE i.folder_id = ? AND i.path = ? AND d.name = ?
"""


@dataclass(frozen=True)
class File:
    content: bytes
    signs: Signs

    @property
    def sha256(self):
        return sha256(self.content).hexdigest()


@dataclass
class Hand:
    """A worker with a delivery, and how far it is."""

    delivery: Delivery
    receipts: dict
    stage: str = "claimed"

    @property
    def call(self):
        """The next final call."""
        return next(each for each in CALLS[self.delivery.destination] if each not in self.receipts)


@dataclass
class World:
    """The disk and the other side."""

    disk: dict = field(default_factory=dict)
    sent: dict = field(default_factory=dict)  # (delivery, call) -> SHA-256 of what it was made with
    effects: Counter = field(default_factory=Counter)  # by version, target and call, and by bytes instead
    allowed: Counter = field(default_factory=Counter)  # effects that were there when somebody allowed another
    lied: set = field(default_factory=set)  # deliveries of which somebody said that they may go again

    def keys(self, delivery, call):
        target = (delivery.destination, tuple(sorted(delivery.target.items())), call)
        yield (delivery.folder, delivery.path, delivery.version, *target)
        if delivery.dedupe:
            name = delivery.filename if delivery.signs.size == 0 else ""
            yield (self.sent[delivery.id, call], name, *target)

    def take(self, delivery, call, content_hash):
        """Carry a call out."""
        self.sent[delivery.id, call] = content_hash
        for key in self.keys(delivery, call):
            self.effects[key] += 1
            assert self.effects[key] <= self.allowed[key] + 1, f"sent twice: {key}"

    def allow(self, delivery, call):
        """Somebody takes a double into account: what was sent may be sent once more."""
        if (delivery.id, call) in self.sent:
            self.lied.add(delivery.id)
            for key in self.keys(delivery, call):
                self.allowed[key] = self.effects[key]


@functools.lru_cache(maxsize=1)
def empty_ledger():
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        SqliteLedger.open(f"{directory}/attachd.db", create=True).close()
        return Path(directory, "attachd.db").read_bytes()


class Ground(RuleBasedStateMachine):
    """A real ledger, a disk and two destinations, without anything that happens to them."""

    def __init__(self):
        super().__init__()
        self.directory = tempfile.mkdtemp(dir=MEMORY)
        self.path = f"{self.directory}/attachd.db"
        Path(self.path).write_bytes(empty_ledger())
        self.world, self.hands = World(), []
        self.time, self.stamp, self.rules = START, 0, "both"
        self.attempts, self.told, self.states = Counter(), 0, {}
        self.open()
        self.folders = [self.ledger.open_folder(f"/srv/{name}", "ext4", START) for name in "ab"]

    def open(self):
        self.ledger = SqliteLedger.open(self.path, create=False)
        writer = self.ledger._writer
        writer._submit = lambda job: writer._write([job])  # one step at a time needs no other thread
        self.stranger = sqlite3.connect(self.path)
        self.stranger.row_factory = sqlite3.Row
        self.stranger.execute(REAL_COUNTS)
        self.run = self.ledger.begin_run(1, "here", self.now())
        self.ledger.recover(self.run, self.now())

    def close(self):
        self.stranger.close()
        self.ledger.close()

    def now(self):
        self.time += timedelta(seconds=1)
        return self.time

    def ask(self, query, *values):
        return self.stranger.execute(query, values).fetchall()

    def word(self):
        return Word(at=self.now(), by="anna")

    def read(self, delivery_id):
        """Read a delivery as it stands now."""
        (row,) = self.ask("SELECT destination, state FROM deliveries WHERE id = ?", delivery_id)
        (found,) = [
            each
            for file in self.ledger.undelivered_again([delivery_id])
            for each in file.deliveries
            if each.id == delivery_id
        ]
        assert (found.destination, found.state) == tuple(row)
        return found

    def some(self, states, pick):
        """Pick a delivery in one of these states, or None."""
        marks = ",".join("?" * len(states))
        rows = self.ask(f"SELECT id FROM deliveries WHERE state IN ({marks}) ORDER BY id", *states)
        return self.read(rows[pick % len(rows)]["id"]) if rows else None

    def plans(self, path):
        name = path.rpartition("/")[2]
        return tuple(replace(each, filename=name) for each in RULES[self.rules])

    def after(self, plans):
        return PlannedAfter(rule="photos", kind=AfterKind.DELETE) if len(plans) > 1 else None

    def write(self, spot, content):
        self.stamp += 1
        signs = Signs(size=len(content), mtime_ns=self.stamp, ctime_ns=self.stamp)
        self.world.disk[spot] = File(content, signs)

    def lies(self, delivery):
        return self.world.disk.get((delivery.folder_id - 1, delivery.path))

    def look(self, spot):
        """Do what intake does with a settled file, or with a path that is gone."""
        folder, path = self.folders[spot[0]], spot[1]
        lies = self.world.disk.get(spot)
        if lies is None:
            self.ledger.gone(folder.id, path, self.now())
            return
        latest = self.ledger.latest(folder.id, path)
        standing = latest.standing if latest else Standing.GONE
        if standing is Standing.MATCHED and latest.signs == lies.signs:
            return
        known = standing is Standing.MATCHED or (standing is Standing.EXISTING and latest.sha256 is not None)
        about = (folder.id, path, lies.signs)
        if known and self.ledger.same_bytes(*about, lies.sha256, self.now()):
            return
        self.ledger.record(self.judged(spot, lies, lies.sha256 if known else None), self.now())

    def judged(self, spot, lies, content_hash=None):
        plans = self.plans(spot[1])
        return NewVersion(
            folder_id=self.folders[spot[0]].id,
            path=spot[1],
            signs=lies.signs,
            standing=Standing.MATCHED if plans else Standing.UNMATCHED,
            reason=None if plans else NO_RULE,
            planned=plans,
            sha256=content_hash,
            after=self.after(plans),
        )

    def judge_anew(self):
        for folder in self.folders:
            for page in list(self.ledger.undelivered(folder.id)):
                judged = [(each.version, self.judgement(each.version.path)) for each in page]
                self.ledger.replan(judged, self.now(), self.run)
            for page in list(self.ledger.unmatched(folder.id)):
                spots = [((folder.id - 1, each.path), each) for each in page if self.plans(each.path)]
                self.ledger.match([self.judged(spot, each) for spot, each in spots], self.now())

    def judgement(self, path):
        plans = self.plans(path)
        reason = None if plans else NO_RULE
        return Judgement(planned=plans, reason=reason, after=self.after(plans), destinations=tuple(CALLS))

    # --- what must always hold ---

    @invariant()
    def all_is_well(self):
        self.history_is_unbroken_and_legal()
        self.attempts_only_grow()
        self.books_balance()

    def history_is_unbroken_and_legal(self):
        for row in self.ask("SELECT * FROM history WHERE id > ? ORDER BY id", self.told):
            self.told = row["id"]
            before = self.states.get(row["delivery_id"])
            assert row["from_state"] == before
            assert before is None or row["to_state"] in TRANSITIONS[State(before)]
            self.states[row["delivery_id"]] = row["to_state"]
        assert {
            row["id"]: row["state"] for row in self.ask("SELECT id, state FROM deliveries")
        } == self.states

    def attempts_only_grow(self):
        for row in self.ask("SELECT id, attempts FROM deliveries"):
            assert row["attempts"] >= self.attempts[row["id"]]
            self.attempts[row["id"]] = row["attempts"]

    def books_balance(self):
        for name, query in NEVER.items():
            assert [tuple(row) for row in self.ask(query)] == [], name

    def check_attached(self, action):
        states = {
            row["state"]
            for row in self.ask(
                "SELECT d.state FROM deliveries d JOIN after_actions a USING (directory_id, name, version)"
                " WHERE a.id = ?",
                action.id,
            )
        }
        assert states & ATTACHED
        assert states <= ATTACHED | {State.SUPERSEDED}

    def check_files(self):
        """Whatever lies on disk is attached as its rules say, or a person said that it is not needed."""
        for spot, lies in self.world.disk.items():
            folder, path = self.folders[spot[0]], spot[1]
            latest = self.ledger.latest(folder.id, path)
            assert latest.signs == lies.signs or latest.standing is Standing.EXISTING
            assert latest.standing is not Standing.UNMATCHED or not self.plans(path)
            versions = self.ask(OF_PATH, folder.id, *rows.split(path))
            for plan in self.plans(path) if latest.standing is Standing.MATCHED else ():
                stand = [row for row in versions if row["version"] == latest.version and is_for(row, plan)]
                earlier = plan.ignores_changes and any(is_for(row, plan) for row in versions)
                assert earlier or is_settled(stand), (spot, plan)

    def check_deliveries(self):
        """What is attached was sent with its own bytes, and what was sent is attached or accounted for."""
        for row in self.ask("SELECT * FROM deliveries JOIN files USING (directory_id, name, version)"):
            sent = self.world.sent.get((row["id"], CALLS[row["destination"]][-1]))
            if row["state"] == State.DONE and row["remote_id"] != "by hand":
                assert (row["remote_id"], sent) == (f"r{row['id']}", row["sha256"])
            assert not sent or row["state"] in {State.DONE, State.DISMISSED} or row["id"] in self.world.lied


def is_settled(stand):
    """Say whether a plan is fulfilled by these deliveries, or was not among the rules when it mattered.

    A file that is attached as the rules wanted it then is not judged again when a rule comes, or comes back.
    """
    if any(row["state"] in ATTACHED | {State.DISMISSED} for row in stand):
        return True
    return all(row["state"] == State.SUPERSEDED and row["detail"].startswith("other rules") for row in stand)


def is_for(row, plan):
    same = (row["destination"], row["target"]) == (plan.destination, rows.to_json(dict(plan.target)))
    return same or row["rule"] == plan.rule
