"""A service with something of everything to do, in processes that are killed, and what must hold then."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from attachd.simulator.server import Simulator

DRIVER = Path(__file__).with_name("driver.py")
ENTITY = 1_000_000  # of a run step, above its own id
UNKNOWN = 900_001

RULES = """
version: 1
keep: 90d
destinations:
  ion: {{kind: ion, url: {ion}, token: {ion_token}, workers: 3, retry: {{first: 20ms, cap: 100ms}}}}
  glue: {{kind: glue, url: {glue}, token: {glue_token}, workers: 3, retry: {{first: 20ms, cap: 100ms}}}}
folders:
  - path: old
    existing: ignore
    settle: 50ms
    rules: [{{name: old, match: "*", to: ion, target: {{run_step: "1"}}}}]
  - path: drop
    existing: upload
    settle: 50ms
    rescan: 300ms
    rules:
      - {{name: kept, match: "keep/{{run_step:int}}/*", to: ion, target: {{run_step: "{{run_step}}"}}}}
      - {{name: deleted, match: "delete/*", to: ion, target: {{run_step: "2"}}, after: delete}}
      - {{name: moved, match: "move/*", to: ion, target: {{run_step: "3"}},
          after: {{move: "{sent}/{{file}}"}}}}
      - {{name: across, match: "across/*", to: ion, target: {{run_step: "4"}},
          after: {{move: "{elsewhere}/{{file}}"}}}}
      - {{name: stuck, match: "stuck/*", to: ion, target: {{run_step: "5"}},
          after: {{move: "{blocked}/{{file}}"}}}}
      - {{name: mistaken, match: "mistaken/*", to: ion, target: {{run_step: "{mistaken}"}}}}
      - {{name: to ION too, match: "both/*", to: ion, target: {{run_step: "8"}}, continue: true,
          after: {{move: "{sent}/{{file}}"}}}}
      - {{name: posted, match: "{{way:both|post}}/*", to: glue, target: {{message: "Here is {{file}}"}}}}
      {more}
"""

LATER_RULE = '- {name: odd, match: "odd/*", to: ion, target: {run_step: "7"}}'
FILE, MESSAGE = "a file at Glue", "a message at Glue"
PLACES = {"keep": 1, "delete": 2, "move": 3, "across": 4, "stuck": 5, "mistaken": 6, "odd": 7, "both": 8}
"""Run step that the files of each directory are attached to."""

IN_DOUBT = {("ion", "lost.png"), ("glue", "unanswered.png")}
"""Whose last call is done and its answer lost, without any kill."""


class Driver:
    """The process that forks the killed ones. Owner: one worker of the test run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def order(self, **order: object) -> int:
        """Run a command line and give its exit code, negative where a signal ended it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate(timeout=30)


@dataclass
class Sent:
    """What is expected of a version of a file: one attachment, file or message, under one of these names."""

    names: set[str]
    way: str
    at: int | str
    content: bytes

    @property
    def destination(self) -> str:
        return "ion" if isinstance(self.at, int) else "glue"

    def marks(self) -> set[tuple]:
        return {(name, self.at, hashlib.sha256(self.content).hexdigest()) for name in self.names}

    def is_among(self, deliveries: set[tuple[str, str]]) -> bool:
        return any((self.destination, name) in deliveries for name in self.names)


@dataclass
class Work:
    """Two spells of work in one directory, a simulator that keeps the record, and who was in doubt."""

    directory: Path
    elsewhere: Path
    simulator: Simulator
    driver: Driver
    expected: list[Sent] = field(default_factory=list)
    in_doubt: set[tuple[str, str]] = field(default_factory=set)
    kills: int = 0

    @property
    def drop(self) -> Path:
        return self.directory / "drop"

    def write(self, path: str, content: bytes, *, sent: bool = True) -> None:
        """Write a file; it is to be attached as its directory says, unless that comes later."""
        file = self.drop / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        if sent:
            self.expect({file.name}, path.partition("/")[0], content)

    def expect(self, names: set[str], way: str, content: bytes) -> None:
        """Expect what a directory's rules make of a file."""
        places: list[int | str] = [ENTITY + PLACES[way]] if way in PLACES else []
        places += [FILE, MESSAGE] if way in {"both", "post"} else []
        self.expected += [Sent(names, way, at, content) for at in places]

    def write_rules(self, *, mistaken: int, more: str = "") -> None:
        (self.directory / "rules.yaml").write_text(
            RULES.format(
                ion=self.simulator.graphql_url,
                ion_token=self.simulator.token,
                glue=self.simulator.glue_url,
                glue_token=self.simulator.glue_token,
                sent=self.directory / "sent",
                elsewhere=self.elsewhere,
                blocked=self.directory / "blocked",
                mistaken=mistaken,
                more=more,
            )
        )

    def begin(self) -> None:
        """Make the folders and write the rules."""
        (self.directory / "old").mkdir(parents=True)
        (self.directory / "old" / "lay-there.txt").write_bytes(b"before the first start")
        self.drop.mkdir()
        self.write_rules(mistaken=UNKNOWN)

    def first_spell(self) -> None:
        """Drop something for every way that a file can go."""
        self.begin()
        (self.directory / "blocked").write_bytes(b"a file where a directory is wanted")
        self.write("keep/1/a.png", b"the same bytes", sent=False)
        self.write("keep/1/b.png", b"the same bytes", sent=False)
        self.expect({"a.png", "b.png"}, "keep", b"the same bytes")
        self.write("keep/1/changes.png", b"version 1")
        self.write("keep/1/lost.png", b"its answer is lost")
        self.write("delete/c.png", b"to be deleted")
        self.write("move/d.png", b"to be moved")
        self.write("across/e.png", b"to be moved far" * 1000)
        self.write("stuck/f.png", b"to be moved later")
        self.write("mistaken/g.png", b"its target was wrong", sent=False)
        self.write("odd/h.txt", b"no rule took it", sent=False)
        self.write("gone/i.txt", b"no rule took it, and it goes", sent=False)
        self.write("post/j.png", b"to be posted")
        self.write("post/asked.png", b"its file is made and the answer lost")
        self.write("post/unanswered.png", b"its message is sent and the answer lost")
        self.write("both/k.png", b"to both")
        for call, name in (("register", "lost"), ("create", "asked"), ("message", "unanswered")):
            self.simulator.fault(call=call, do={"work_then": "reset"}, match={"filename": f"{name}.png"})

    def second_spell(self) -> None:
        """Change what a person would change."""
        (self.drop / "keep/1/a.png").touch()
        self.write("keep/1/changes.png", b"version 2, which is longer")
        (self.drop / "gone/i.txt").unlink()
        (self.directory / "blocked").unlink()
        self.expect({"g.png"}, "mistaken", b"its target was wrong")
        self.expect({"h.txt"}, "odd", b"no rule took it")
        self.write_rules(mistaken=PLACES["mistaken"], more=LATER_RULE)

    def run(self, *words: str, **order: object) -> int:
        """Run `attachd` until it ends or is killed; note whose call was announced and not answered."""
        code = self.driver.order(
            words=["--config", "rules.yaml", *(words or ("run", "--once", "--deadline", "60s"))],
            directory=str(self.directory),
            log=str(self.directory / "log.txt"),
            **order,
        )
        if code == -signal.SIGKILL:
            self.kills += 1
            self.in_doubt |= self.deliveries("state = 'active' AND intent IS NOT NULL")
        return code

    def finish(self) -> None:
        """Run until nothing is left but what needs a person."""
        end = time.monotonic() + 60
        while (code := self.run()) == 75:
            assert time.monotonic() < end, self.log()
        assert code in {0, 4}, self.log()

    def rows(self, condition: str = "1") -> list[sqlite3.Row]:
        """Give rows of the ledger's deliveries, none where there is no ledger yet."""
        ledger = self.directory / "attachd.db"
        if not ledger.exists() or not ledger.stat().st_size:
            return []
        with closing(sqlite3.connect(ledger)) as connection:
            connection.row_factory = sqlite3.Row
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'deliveries'").fetchone():
                return []
            return connection.execute(f"SELECT * FROM deliveries WHERE {condition}").fetchall()

    def deliveries(self, condition: str) -> set[tuple[str, str]]:
        """Give destination and filename of deliveries."""
        return {(row["destination"], row["filename"]) for row in self.rows(condition)}

    def in_doubt_still(self) -> set[tuple[str, str]]:
        return self.deliveries("error_kind = 'unknown_outcome'")

    def attached(self) -> Counter:
        """Count what ION and Glue have, by name, place and hash."""
        count = Counter((a.filename, a.entity_id, a.sha256) for a in self.simulator.attachments)
        count.update((file.name, FILE, file.sha256) for file in self.simulator.files)
        files = {file.id: file for file in self.simulator.files}
        count.update(
            (files[each].name, MESSAGE, files[each].sha256)
            for message in self.simulator.messages
            for each in message.attachments
        )
        return count

    def log(self) -> str:
        return (self.directory / "log.txt").read_text()

    def check_promise(self, tally: Callable[..., None]) -> None:
        """Hold the record against what was dropped: nothing lost, doubled or wrong; add up the figures."""
        attached, in_doubt = self.attached(), self.in_doubt_still()
        counts = [(sent, sum(attached[key] for key in sent.marks())) for sent in self.expected]
        lost = [sent for sent, count in counts if count == 0 and not sent.is_among(in_doubt)]
        doubled = [sent for sent, count in counts if count > 1]
        files = len({(frozenset(sent.names), sent.content) for sent in self.expected})
        tally(points=self.kills, files=files, lost=len(lost), doubled=len(doubled), doubtful=len(in_doubt))
        assert lost == [], self.log()
        assert doubled == [], self.log()
        assert set(attached) <= set().union(*(sent.marks() for sent in self.expected))
        assert in_doubt <= self.in_doubt | IN_DOUBT

    def check_files(self) -> None:
        """Every file lies where its `after` wants it, once; those in doubt lie where they were dropped."""
        names = {name for _, name in self.in_doubt_still()}
        sent, blocked = self.directory / "sent", self.directory / "blocked"
        places = {"delete": None, "move": sent, "across": self.elsewhere, "stuck": blocked, "both": sent}
        for each in self.expected:
            for name in each.names if each.way in places else ():
                assert (self.drop / each.way / name).exists() == (name in names), (name, self.log())
                place = places[each.way]
                if place is not None and name not in names:
                    assert (place / name).read_bytes() == each.content
        for root in (self.directory, self.elsewhere):
            assert [path.name for path in root.rglob(".attachd-*")] == []


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    made = Driver()
    yield made
    made.close()


@pytest.fixture
def work(tmp_path: Path, driver: Driver) -> Iterator[Callable[[], Work]]:
    """Make places to work in; moves lead to another file system where there is one."""
    made: list[Work] = []
    shared = Path("/dev/shm")
    far = shared if os.access(shared, os.W_OK) else tmp_path

    def make() -> Work:
        simulator = Simulator()
        simulator.start()
        elsewhere = Path(tempfile.mkdtemp(dir=far, prefix="attachd-crash-"))
        made.append(Work(tmp_path / str(len(made)), elsewhere, simulator, driver))
        return made[-1]

    yield make
    for each in made:
        each.simulator.stop()
        shutil.rmtree(each.elsewhere)
