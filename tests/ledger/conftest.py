from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from attachd.core.protocols import Change, NewVersion, Place
from attachd.ledger.store import SqliteLedger
from attachd.model import Delivery, ErrorInfo, ErrorKind, PlannedDelivery, Signs, Standing, State

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Desk:
    """A ledger with one folder, and short words for what intake, workers and people do with it."""

    no_rule = ErrorInfo(kind=ErrorKind.NO_RULE, message="no rule took it", hint="add a rule")
    network = ErrorInfo(kind=ErrorKind.NETWORK, message="no connection", hint="wait")
    unknown_target = ErrorInfo(kind=ErrorKind.UNKNOWN_TARGET, message="no such run step", hint="look it up")

    def __init__(self, ledger) -> None:
        self.ledger = ledger
        self.run = "run 1"
        self.seconds = 0
        self.folder = ledger.open_folder("/srv/drop", "ext4", START)

    def now(self) -> datetime:
        self.seconds += 1
        return START + timedelta(seconds=self.seconds)

    def later(self, seconds: float) -> datetime:
        return START + timedelta(seconds=self.seconds + seconds)

    def signs(self, size: int = 7) -> Signs:
        stamp = (10**6 + self.seconds) * 10**9 + 123_456_789
        return Signs(size=size, mtime_ns=stamp, ctime_ns=stamp + 1)

    def plan(self, *, target="42", to="ion", dedupe=True, filename="a.jpg", rule="photos") -> PlannedDelivery:
        return PlannedDelivery(
            rule=rule, destination=to, target={"run_step": target}, filename=filename, dedupe=dedupe
        )

    def record(
        self, path, *plans, standing=None, signs=None, size=7, sha256=None, folder=None, after=None
    ) -> list[int]:
        """Record a settled file: matched where plans are given, else as `standing` says."""
        at = self.now()
        standing = standing or (Standing.MATCHED if plans else Standing.UNMATCHED)
        new = NewVersion(
            folder_id=(folder or self.folder).id,
            path=path,
            signs=signs or self.signs(size),
            standing=standing,
            reason=self.no_rule if standing in {Standing.UNMATCHED, Standing.PARKED} else None,
            planned=plans,
            sha256=sha256,
            after=after,
        )
        return list(self.ledger.record(new, at))

    def drop(self, path, **plan) -> int:
        """Record a new file with one delivery and give its id."""
        size = plan.pop("size", 7)
        return self.record(path, self.plan(**plan), size=size)[0]

    def claim(self, limit=100, *, to="ion", run=None) -> dict[int, Delivery]:
        return {each.id: each for each in self.ledger.claim(to, run or self.run, self.now(), limit)}

    def dropped(self, path, **plan) -> Delivery:
        """Drop a file and claim its delivery (and everything else that is ready)."""
        delivery_id = self.drop(path, **plan)
        return self.claim(to=plan.get("to", "ion"))[delivery_id]

    def identify(self, delivery, sha256="ab" * 32):
        return self.ledger.identify(delivery, sha256, self.now(), self.run)

    def pair(self) -> tuple[Delivery, Delivery]:
        """Drop an elder and a follower that waits behind it, both with a worker."""
        self.drop("elder.jpg")
        self.drop("follower.jpg")
        elder, follower = self.claim().values()
        assert self.identify(elder) is Place.FIRST
        assert self.identify(follower) is Place.FOLLOWS
        return elder, follower

    def move(self, delivery, to, **values) -> bool:
        if to in {State.HELD, State.WAITING, State.DOUBTFUL}:
            values.setdefault("error", self.network)
        if to is State.WAITING:
            values.setdefault("next_attempt_at", self.later(60))
        if to is State.DONE:
            values.setdefault("remote_id", "900")
        return self.ledger.change(delivery, Change(to=to, at=self.now(), by=self.run, **values))

    def doubt(self, delivery, call="register") -> None:
        """Lose the answer to a call."""
        assert self.ledger.record_intent(delivery, call)
        assert self.move(delivery, State.DOUBTFUL)

    def hold(self, delivery) -> None:
        assert self.move(delivery, State.HELD, error=self.unknown_target)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "attachd.db")


@pytest.fixture
def ledger(path: str) -> Iterator[SqliteLedger]:
    opened = SqliteLedger.open(path, create=True)
    yield opened
    opened.close()


@pytest.fixture
def desk(ledger) -> Desk:
    return Desk(ledger)


@pytest.fixture
def reports(ledger, path):
    from attachd.ledger.reports import Reports

    with Reports.open(path) as opened:
        yield opened


@pytest.fixture
def state(reports):
    """Ask for the state of a delivery by its id."""
    return lambda delivery_id: reports.entry(delivery_id).state
