"""What a worker writes of an attempt: a real ledger, a real file, and a destination that sends nothing."""

import threading
from datetime import UTC, datetime

import pytest

from attachd.core.protocols import Change, NewVersion
from attachd.core.settings import DestinationSettings, RetryPolicy
from attachd.destinations.linked import Given
from attachd.destinations.rehearsal import Rehearsal
from attachd.destinations.signin import FixedSecret, GivenToken
from attachd.errors import FileUnreadable, StopRequested
from attachd.folders.local import LocalFiles
from attachd.ledger.store import SqliteLedger
from attachd.model import ErrorInfo, ErrorKind, PlannedDelivery, Signs, Standing, State
from attachd.pipeline.deliver import Worker
from attachd.service.clock import SystemClock

TROUBLE = ErrorInfo(kind=ErrorKind.AUTH, message="the token is not accepted", hint="check the token")
SETTINGS = DestinationSettings(name="ion", kind="ion", url="https://ion.invalid/")


class Stops(Rehearsal):
    """Is stopped before it has sent anything."""

    def open(self, upload):
        raise StopRequested("the service stops")


class GivenUp(Rehearsal):
    """Is told, while it reads the file, that nobody waits for the share any more."""

    def open(self, upload):
        raise FileUnreadable("the server does not answer")


@pytest.fixture
def ledger(tmp_path):
    opened = SqliteLedger.open(str(tmp_path / "attachd.db"), create=True)
    yield opened
    opened.close()


def now():
    return datetime.now(UTC)


def record(ledger, tmp_path):
    """Record a real file with one delivery, and give what claims it."""
    drop = tmp_path / "drop"
    drop.mkdir()
    file = drop / "a.jpg"
    file.write_bytes(b"bytes")
    seen = file.stat()
    plan = PlannedDelivery(rule="photos", destination="ion", target={"run": "7"}, filename="a.jpg")
    new = NewVersion(
        folder_id=ledger.open_folder(str(drop), "ext4", now()).id,
        path="a.jpg",
        signs=Signs(size=seen.st_size, mtime_ns=seen.st_mtime_ns, ctime_ns=seen.st_ctime_ns),
        standing=Standing.MATCHED,
        planned=(plan,),
    )
    ledger.record(new, now())
    return lambda: ledger.claim("ion", "run 1", now(), 1)


def worker_of(ledger, destination, in_place=lambda _: True):
    return Worker(
        destination=destination(
            Given(settings=SETTINGS, token=GivenToken(FixedSecret("t")), clock=SystemClock())
        ),
        ledger=ledger,
        files=LocalFiles(),
        clock=SystemClock(),
        run="run 1",
        retry=RetryPolicy(),
        waits={},
        look=lambda *_: None,
        in_place=in_place,
        attached=lambda: None,
        cut=threading.Event(),
    )


def test_an_attempt_that_a_stop_cuts_short_leaves_the_last_error_standing(ledger, tmp_path):
    """Who asks after the stop sees what was wrong, and not an empty field."""
    claim = record(ledger, tmp_path)
    (first,) = claim()
    failed = Change(to=State.WAITING, at=now(), by="run 1", error=TROUBLE, next_attempt_at=now(), counts=True)
    assert ledger.change(first, failed)
    (second,) = claim()
    worker_of(ledger, Stops).attempt(second)
    (third,) = claim()
    assert (third.error, third.attempts) == (TROUBLE, 1)


def test_a_stop_asks_nothing_more_of_a_share_that_hangs(ledger, tmp_path):
    """What was cut off is ready again at once: a look at the folder would wait for its server as well."""
    (delivery,) = record(ledger, tmp_path)()
    looks = []
    worker = worker_of(ledger, GivenUp, in_place=lambda folder: looks.append(folder) or True)
    worker._cut.set()
    worker.attempt(delivery)
    (again,) = ledger.claim("ion", "run 1", now(), 1)
    assert (again.attempts, again.error, looks) == (0, None, [])
