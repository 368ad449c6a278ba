"""Deliveries of more than one call that must not be repeated: what stands in the ledger between them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Event

import pytest

from attachd.core.protocols import NewVersion
from attachd.core.settings import DestinationSettings, OnDoubt, RetryPolicy
from attachd.destinations.registry import build
from attachd.destinations.signin import FixedSecret, GivenToken
from attachd.errors import LedgerError
from attachd.folders.local import LocalFiles
from attachd.ledger.reports import Reports
from attachd.ledger.store import SqliteLedger
from attachd.model import PlannedDelivery, Signs, Standing, State
from attachd.pipeline.deliver import Worker
from attachd.pipeline.doubt import Reconciler
from attachd.service.verify import Level, Verifier
from attachd.simulator import Simulator

RUN = "run 1"


class SteadyClock:
    """A clock that stands still."""

    def now(self):
        return datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def monotonic(self):
        return 1000.0


class DiskFullAfterCreate:
    """The ledger on a disk that takes no answer any more."""

    def __init__(self, ledger):
        self._ledger = ledger

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    def record_answer(self, *_):
        raise LedgerError("no space left on the disk")


class Bench:
    """A worker for Glue with a real ledger and real files."""

    def __init__(self, root, glue):
        self.root = root / "drop"
        self.root.mkdir()
        self.glue = glue
        self.place = str(root / "attachd.db")
        self.ledger = SqliteLedger.open(self.place, create=True)
        self.clock = SteadyClock()
        self.ledger.begin_run(1, "here", self.clock.now())
        self.folder = self.ledger.open_folder(str(self.root), "ext4", self.clock.now())
        settings = DestinationSettings(name="glue", kind="glue", url=glue.glue_url)
        self.account = build(settings, GivenToken(FixedSecret(glue.glue_token)), self.clock)
        self.cut = Event()

    def close(self):
        self.account.close()
        self.ledger.close()

    def drop(self, name, data=b"abc", **target):
        """Put a file into the folder and give its claimed delivery."""
        (self.root / name).write_bytes(data)
        planned = PlannedDelivery(rule="r", destination="glue", target=target, filename=name)
        new = NewVersion(
            folder_id=self.folder.id,
            path=name,
            signs=Signs.of((self.root / name).stat()),
            standing=Standing.MATCHED,
            planned=[planned],
        )
        self.ledger.record(new, self.clock.now())
        return self.claim()

    def claim(self):
        (delivery,) = self.ledger.claim("glue", RUN, self.clock.now(), 1)
        return delivery

    def attempt(self, delivery, ledger=None):
        worker = Worker(
            destination=self.account,
            ledger=ledger or self.ledger,
            files=LocalFiles(),
            clock=self.clock,
            run=RUN,
            retry=RetryPolicy(),
            waits={},
            look=lambda *_: None,
            in_place=lambda _: True,
            attached=lambda: None,
            cut=self.cut,
        )
        return worker.attempt(delivery)

    def settle(self, delivery):
        reconciler = Reconciler(
            destination=self.account, ledger=self.ledger, clock=self.clock, run=RUN, on_doubt=OnDoubt.HOLD
        )
        assert reconciler.settle(delivery)

    def history(self, delivery_id):
        with Reports.open(self.place) as reports:
            return reports.history(delivery_id)


@pytest.fixture
def bench(tmp_path) -> Iterator[Bench]:
    """Give a bench with a Glue behind it."""
    with Simulator() as glue:
        made = Bench(tmp_path, glue)
        yield made
        made.close()


def test_an_answer_that_cannot_be_kept_leaves_doubt(bench):
    """A file whose id could not be written down is never created twice: the delivery is doubtful."""
    delivery = bench.drop("a.pdf", message="hi")
    bench.cut.set()
    bench.cut.is_set = lambda: False  # the stop comes while the answer is on its way
    bench.attempt(delivery, DiskFullAfterCreate(bench.ledger))
    (doubtful,) = bench.ledger.doubtful("glue")
    assert (doubtful.intent, doubtful.error.message) == (
        "create",
        "the answer to `create` was lost: no space left on the disk",
    )
    assert bench.glue.call_counts["message"] == 0
    bench.settle(doubtful)
    bench.attempt(bench.claim())
    assert (bench.glue.call_counts["create"], bench.glue.call_counts["message"]) == (1, 1)


def test_a_call_that_was_answered_is_not_made_again(bench):
    """After a passing refusal of the message, the next attempt sends the message and nothing else."""
    delivery = bench.drop("a.pdf", message="hi")
    bench.glue.fault(call="message", do={"status": 503})
    bench.attempt(delivery)
    with Reports.open(bench.place) as reports:
        assert reports.entry(delivery.id).state == State.WAITING
    bench.ledger.retry([delivery.id], bench.clock.now(), "anna")
    bench.attempt(bench.claim())
    counts = bench.glue.call_counts
    assert [counts[call] for call in ("open", "put", "create", "message")] == [1, 1, 1, 2]
    with Reports.open(bench.place) as reports:
        entry = reports.entry(delivery.id)
    assert (entry.state, entry.remote_id) == (State.DONE, bench.glue.messages[0].id)


def test_what_a_call_has_to_tell_is_in_the_history(bench):
    """Bytes that Glue has already are reused, and the history says as what."""
    bench.attempt(bench.drop("old.pdf"))
    delivery = bench.drop("new.pdf", message="hi")
    bench.attempt(delivery)
    (file,) = bench.glue.files
    expected = f"reused {file.id}, which Glue has as 'old.pdf', for 'new.pdf'"
    assert bench.history(delivery.id)[-1].detail == expected
    assert bench.history(delivery.id)[-1].after == "done"


def test_a_lost_create_is_found_and_goes_on_with_the_message(bench):
    """Where Glue has the file, doubt about its making ends by itself and the message is sent."""
    delivery = bench.drop("a.pdf", message="hi")
    bench.glue.fault(call="create", do={"work_then": "reset"})
    bench.attempt(delivery)
    (doubtful,) = bench.ledger.doubtful("glue")
    bench.settle(doubtful)
    bench.attempt(bench.claim())
    counts = bench.glue.call_counts
    assert [counts[call] for call in ("put", "create", "message")] == [1, 1, 1]
    assert bench.history(delivery.id)[-1].after == "done"


@pytest.mark.parametrize(("content", "level"), [(False, Level.PRESENT), (True, Level.CONTENT)])
def test_what_was_attached_can_be_verified(bench, content, level):
    """A file, a reused one under another name, and the file of a message are all found and fetched."""
    bench.attempt(bench.drop("old.pdf"))
    bench.attempt(bench.drop("new.pdf", note="other"))
    bench.attempt(bench.drop("said.pdf", b"def", message="hi"))
    verifier = Verifier(destinations={"glue": bench.account}, content=content)
    with Reports.open(bench.place) as reports:
        found = list(verifier.verify(reports.recorded(str(bench.root), "")))
    assert [(each.recorded.file.path, each.level, each.why) for each in found] == [
        ("new.pdf", level, ""),
        ("old.pdf", level, ""),
        ("said.pdf", level, ""),
    ]


def test_doubt_that_finds_another_name_keeps_it(bench):
    """A file that settles doubt under another name is told in the history, and is no wrong one later."""
    delivery = bench.drop("new.pdf")
    bench.glue.fault(call="create", do={"status": 500})
    bench.attempt(delivery)
    bench.attempt(bench.drop("old.pdf", note="other"))
    (doubtful,) = bench.ledger.doubtful("glue")
    bench.settle(doubtful)
    assert "which Glue has as 'old.pdf'" in bench.history(delivery.id)[-1].detail
    verifier = Verifier(destinations={"glue": bench.account}, content=False)
    with Reports.open(bench.place) as reports:
        (checked,) = verifier.verify(reports.recorded(str(bench.root), "new.pdf"))
    assert checked.safe_to_delete
