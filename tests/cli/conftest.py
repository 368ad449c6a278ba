"""A project directory with a rules.yaml, a ledger built through the real store, and real processes."""

import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from attachd.core.protocols import Change, NewVersion
from attachd.ledger.store import SqliteLedger
from attachd.model import (
    Delivery,
    ErrorInfo,
    ErrorKind,
    FolderRecord,
    PlannedDelivery,
    Signs,
    Standing,
    State,
)

RULES = """\
version: 1
destinations:
  ion:
    kind: ion
    url: {env: ATTACHD_TEST_UNSET_URL}
    token: {env: ATTACHD_TEST_UNSET_TOKEN}
folders:
  - path: drop
    existing: upload
    ignore: ["*.bak"]
    rules:
      - name: photos
        match: "{station}/{run_step:int}/**/*.{jpg|png}"
        to: ion
        target: {run_step: "{run_step}"}
        filename: "{station}-{file}"
        continue: true
        examples:
          - {path: "st-3/42/a.jpg", target: {run_step: "42"}}
      - name: hashed
        match: "{station}/{run:int}/*.png"
        to: ion
        target: {run: "{run}"}
        filename: "{sha256}.png"
"""

BIRTH = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

HOSTILE = (
    "[red]markup[/red].jpg",
    "esc\x1b[31mape.jpg",
    "new\nline\ttab.jpg",
    os.fsdecode(b"bytes\xff\xfe.jpg"),
    "back\\slash.jpg",
    "mirror\u202egpj.exe",
    "c1\x9b31m.jpg",
    "-rf.jpg",
    "{braces}.jpg",
    "détail 測定.jpg",
)


@dataclass
class Project:
    """A directory with rules.yaml, and its ledger while it is built."""

    directory: Path
    at: datetime = BIRTH
    store: SqliteLedger | None = None
    folder: FolderRecord | None = None
    paths: list[str] = field(default_factory=list)

    @property
    def rules(self) -> Path:
        return self.directory / "rules.yaml"

    @property
    def ledger(self) -> str:
        return str(self.directory / "attachd.db")

    @property
    def drop(self) -> str:
        return str(self.directory / "drop")

    def build(self, fill: Callable[["Project"], None]) -> None:
        """Open the ledger for writing, fill it, close it."""
        self.store = SqliteLedger.open(self.ledger, create=True)
        with closing(self.store):
            self.folder = self.store.open_folder(self.drop, "ext4", self.tick())
            fill(self)

    def tick(self) -> datetime:
        self.at += timedelta(minutes=1)
        return self.at

    def add(self, path: str, *, rule: str = "photos", run_step: str = "42") -> int:
        """Record a file with one delivery, ready, and give its id."""
        planned = PlannedDelivery(
            rule=rule, destination="ion", target={"run_step": run_step}, filename="shown.jpg"
        )
        return self._record(path, Standing.MATCHED, planned=[planned])[0]

    def add_file(self, path: str, standing: Standing, kind: ErrorKind) -> None:
        """Record a file without a delivery."""
        self._record(path, standing, reason=ErrorInfo(kind=kind, message="no rule takes it", hint="a hint"))

    def _record(self, path, standing, *, planned=(), reason=None):
        signs = Signs(size=1400000, mtime_ns=len(self.paths), ctime_ns=1)
        self.paths.append(path)
        new = NewVersion(
            folder_id=self.folder.id,
            path=path,
            signs=signs,
            standing=standing,
            reason=reason,
            planned=planned,
        )
        return self.store.record(new, self.tick())

    def claim(self) -> Delivery:
        """Make the oldest ready delivery active."""
        return self.store.claim("ion", "run 1", self.tick(), 1)[0]

    def move(self, delivery: Delivery, to: State, **values: object) -> None:
        """Move a claimed delivery."""
        assert self.store.change(delivery, Change(to=to, at=self.tick(), by="run 1", **values))

    def attach(self, path: str, remote_id: str = "4242") -> int:
        """Record a file and bring its delivery to `done`."""
        number = self.add(path)
        self.move(self.claim(), State.DONE, detail="attached", remote_id=remote_id, counts=True)
        return number

    def hold(self, path: str, message: str = "permission denied") -> int:
        """Record a file and bring its delivery to `held`."""
        number = self.add(path)
        error = ErrorInfo(kind=ErrorKind.PERMISSION, message=message, hint="ask for the permission")
        self.move(self.claim(), State.HELD, detail=message, error=error, counts=True)
        return number


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Give an empty project; the working directory is its own, and nothing of the environment leads away."""
    for name in ("ATTACHD_CONFIG", "ATTACHD_TEST_UNSET_URL", "ATTACHD_TEST_UNSET_TOKEN", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path)
    made.rules.write_text(RULES)
    (tmp_path / "drop").mkdir()
    return made


@dataclass
class Ended:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def attachd(project: Project) -> Callable[..., Ended]:
    """Run a command as a real process in the project, its output in pipes."""

    def run(*words: str, **environ: str) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "attachd", *words],
            cwd=project.directory,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def on_terminal(project: Project) -> Callable[..., Ended]:
    """Run a command as a real process whose standard output and error are a terminal of 200 columns."""

    def run(*words: str, **environ: str) -> Ended:
        ours, theirs = pty.openpty()
        try:
            with subprocess.Popen(
                [sys.executable, "-m", "attachd", *words],
                cwd=project.directory,
                env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "200", **environ},
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
            ) as child:
                os.close(theirs)
                text = b"".join(_read_all(ours)).decode()
                return Ended(child.wait(60), text, "")
        finally:
            os.close(ours)

    return run


def _read_all(descriptor: int) -> Iterator[bytes]:
    while select.select([descriptor], [], [], 60)[0]:
        try:
            block = os.read(descriptor, 65536)
        except OSError:  # EIO is a terminal's end of file
            return
        if not block:
            return
        yield block


@pytest.fixture
def call(project: Project, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a command in this process, its output captured."""
    from attachd.cli.main import run_command

    def run(*words: str) -> Ended:
        capsys.readouterr()
        code = run_command(words)
        written = capsys.readouterr()
        return Ended(code, written.out, written.err)

    return run


@pytest.fixture
def hostile() -> tuple[str, ...]:
    """Give names that try to draw, hide or break something."""
    return HOSTILE
