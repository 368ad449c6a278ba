import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime

from attachd.ledger.reports import Reports
from attachd.ledger.store import SqliteLedger
from attachd.model import State

OPEN = """
import sys
from datetime import UTC, datetime
from attachd.core.protocols import NewVersion
from attachd.ledger.store import SqliteLedger
from attachd.model import PlannedDelivery, Signs, Standing
now = lambda: datetime.now(UTC)
"""

WRITE_FOR_EVER = (
    OPEN
    + """
ledger = SqliteLedger.open(sys.argv[1], create=True)
folder = ledger.open_folder("/srv/drop", "ext4", now())
number = 0
while True:
    number += 1
    plan = PlannedDelivery(rule="r", destination="ion", target={"run_step": "1"}, filename="f", dedupe=True)
    new = NewVersion(folder_id=folder.id, path=f"{number}.jpg", signs=Signs(size=1, mtime_ns=1, ctime_ns=1),
        standing=Standing.MATCHED, planned=[plan])
    (delivery_id,) = ledger.record(new, now())
    (claimed,) = ledger.claim("ion", "run 1", now(), 1)
    ledger.record_receipt(claimed, "put", {"s3_key": "k"})
    assert ledger.record_intent(claimed, "register")
    print(delivery_id, flush=True)
"""
)

RACE = (
    OPEN
    + """
print("ready", flush=True)
sys.stdin.readline()
ledger = SqliteLedger.open(sys.argv[1], create=True)
if sys.argv[2] == "retry":
    print(*ledger.retry(None, now(), "retry").retried)
else:
    while claimed := ledger.claim("ion", sys.argv[2], now(), 7):
        print(*(each.id for each in claimed))
ledger.close()
"""
)


def start(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def race(path, *names):
    """Let processes do the same at the same moment; give the ids that each one printed."""
    processes = [start(RACE, path, name) for name in names]
    for each in processes:
        assert each.stdout.readline() == "ready\n"
    for each in processes:
        each.stdin.write("go\n")
        each.stdin.flush()
    finished = [each.communicate(timeout=60) for each in processes]
    assert [each.returncode for each in processes] == [0] * len(names), finished
    return [[int(word) for word in out.split()] for out, _ in finished]


def test_killed_service_leaves_all_that_was_acknowledged(path):
    """After kill -9 in the middle of writes every answer that was given holds, and a reader can see it."""
    process = start(WRITE_FOR_EVER, path)
    told = [int(process.stdout.readline()) for _ in range(40)]
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=30)
    told += [int(line) for line in rest.split("\n")[:-1]]
    with Reports.open(path) as reports:
        seen = {each.id: each.state for each in reports.entries()}
    assert {seen[each] for each in told} == {"active"}
    assert len(seen) - len(told) in {0, 1}
    with sqlite3.connect(path) as stranger:
        assert stranger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert stranger.execute("PRAGMA foreign_key_check").fetchall() == []
    stranger.close()
    ledger = SqliteLedger.open(path, create=False)
    try:
        recovered = ledger.recover("run 2", datetime.now(UTC))
        assert recovered[State.DOUBTFUL] >= len(told)
        assert all(each.receipts == {"put": {"s3_key": "k"}} for each in ledger.doubtful("ion"))
    finally:
        ledger.close()


def test_each_delivery_is_claimed_by_one_process(desk, path):
    """Two processes that claim at once share the work without a double and without a gap."""
    ids = [desk.drop(f"{number}.jpg") for number in range(150)]
    first, second = race(path, "run 8", "run 9")
    assert sorted(first + second) == ids


def test_each_delivery_is_retried_once(desk, path, reports):
    """Two people who retry everything at once move each delivery once."""
    ids = [desk.drop(f"{number}.jpg", target=str(number)) for number in range(60)]
    for delivery in desk.claim().values():
        desk.hold(delivery)
    first, second = race(path, "retry", "retry")
    assert sorted(first + second) == ids
    assert sum(row.before == "held" for each in ids for row in reports.history(each)) == len(ids)


def test_first_starts_at_once_make_one_ledger(path):
    """Migrations of several processes at the same moment do not collide."""
    assert race(path, "run 1", "run 2", "run 3", "run 4") == [[], [], [], []]
    with Reports.open(path) as reports:
        assert reports.counts() == []


def test_readers_and_a_retry_work_beside_a_running_service(desk, path):
    """Another process reads and writes while the service has the ledger open."""
    delivery = desk.dropped("a.jpg")
    desk.hold(delivery)
    assert race(path, "retry") == [[delivery.id]]
    assert list(desk.claim()) == [delivery.id]
