"""What years of deliveries cost: `python benchmarks/ledger.py --rows 10000 10000000`.

A ledger is filled with that many attached deliveries, each with its file and one row of history, and with a
fixed number that is under way. Then the questions of daily life are asked through the ledger's own functions:
a claim, whether there is an elder with the same bytes, the newest version of a path, what one directory
holds, `status`, and the first page of `list`. The medians are compared with those of the smallest ledger.
At last a service is started on the largest one, several times, and its /metrics asked for over HTTP: the
first time at once, as soon as the page is there, then again and again.

It fails where a claim or `status` takes more than 1.5 times as long, or a scrape, the first or the median,
more than 50 ms. Ten million rows need 8 GB of disk. `--starts 0` leaves the scrapes out.
"""

import argparse
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

from attachd.core.protocols import Change
from attachd.ledger.reports import Reports
from attachd.ledger.store import SqliteLedger
from attachd.model import State
from attachd.simulator.server import Simulator

MOST = 1.5
MOST_SCRAPE = 50.0
LIMIT = 300.0
SCRAPES = 30
UNDER_WAY = 2000
CLAIMED_AT_ONCE = 8
AT = "2026-01-01T00:00:00.000Z"

NUMBERS = """
    WITH RECURSIVE number (i) AS (SELECT :first UNION ALL SELECT i + 1 FROM number WHERE i + 1 < :end),
    filled (i, sha256) AS (SELECT i, printf('%016x%048x', i * 2654435761 % 4294967296, i) FROM number)
"""

DIRECTORIES = (
    "INSERT INTO directories (id, folder_id, path) SELECT i + 1, 1, printf('unit-%05d', i) FROM filled"
)

FILES = """
    INSERT INTO files (directory_id, name, version, size, mtime_ns, ctime_ns, standing, sha256, first_seen,
        updated_at)
    SELECT i / 1000 + 1, printf('photo-%04d.jpg', i % 1000), 1, 200000, i, i, 'matched', sha256, :at, :at
    FROM filled
"""

DELIVERIES = """
    INSERT INTO deliveries (id, folder_id, directory_id, name, version, rule, destination, target, filename,
        dedupe, bytes_key, state, remote_id, detail, changed_by, created_at, updated_at)
    SELECT i + 1, 1, i / 1000 + 1, printf('photo-%04d.jpg', i % 1000), 1, 'photos', 'ion',
        printf('{"run_step":"%d"}', i / 1000), printf('photo-%04d.jpg', i % 1000), 1,
        CASE :state WHEN 'done' THEN sha256 END, :state, CASE :state WHEN 'done' THEN i END,
        'filled', 'run 1', :at, :at
    FROM filled
"""

HISTORY = """
    INSERT INTO history (delivery_id, at, from_state, to_state, call, detail, by)
    SELECT i + 1, :at, 'active', 'done', 'register', 'attached', 'run 1' FROM filled
"""

RULES = """
version: 1
ledger: {ledger}
service: {{status: "127.0.0.1:0"}}
destinations:
  ion: {{kind: ion, url: "{url}", token: {token}}}
folders:
  - path: {drop}
    existing: upload
    rules:
      - {{name: photos, match: "{{run_step:int}}/*", to: ion, target: {{run_step: "{{run_step}}"}}}}
"""


def fill(path: str, rows: int) -> None:
    """Make a ledger with this many attached deliveries and some that are ready.

    Triggers and indexes are put back before the ready ones are written.
    """
    ledger = SqliteLedger.open(path, create=True)
    ledger.open_folder("/drop", "ext4", datetime.now(UTC))
    ledger.begin_run(1, "benchmark", datetime.now(UTC))
    ledger.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    parts = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
    ).fetchall()
    for kind, name, _ in parts:
        connection.execute(f'DROP {kind} "{name}"')
    number = {"first": 0, "end": rows, "at": AT, "state": "done"}
    connection.execute("BEGIN")
    connection.execute(NUMBERS + DIRECTORIES, number | {"end": (rows + UNDER_WAY) // 1000 + 1})
    for statement in (FILES, DELIVERIES, HISTORY):
        connection.execute(NUMBERS + statement, number)
    connection.execute("INSERT INTO counts VALUES (1, 'ion', 'done', ?)", (rows,))
    connection.execute("COMMIT")
    for _, _, sql in sorted(parts, key=lambda part: str(part[0])):
        connection.execute(sql)
    number |= {"first": rows, "end": rows + UNDER_WAY, "state": "ready"}
    for statement in (FILES, DELIVERIES):
        connection.execute(NUMBERS + statement, number)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def claim(ledger: SqliteLedger) -> None:
    """Claim a few, as a destination's workers do."""
    taken = ledger.claim("ion", "run 1", datetime.now(UTC), CLAIMED_AT_ONCE)
    if len(taken) != CLAIMED_AT_ONCE:
        raise SystemExit("nothing is left to claim")


def finish(ledger: SqliteLedger) -> None:
    """Claim one, give it its hash, announce its last call and bring it to its end."""
    (one,) = ledger.claim("ion", "run 1", datetime.now(UTC), 1)
    now = datetime.now(UTC)
    ledger.identify(one, f"{one.id:064x}", now, "run 1")
    ledger.record_intent(one, "register")
    ledger.record_answer(one, "register", {"remote_id": str(one.id)})
    if not ledger.change(one, Change(to=State.DONE, at=now, by="run 1", remote_id=str(one.id))):
        raise SystemExit("somebody was faster")


def status(reports: Reports) -> None:
    """Ask what `status` asks."""
    reports.counts()
    reports.followers()
    reports.looked_for(datetime.now(UTC))
    reports.oldest_undelivered()
    reports.facts()


def questions(ledger: SqliteLedger, reports: Reports, rows: int) -> Mapping[str, Callable[[], object]]:
    """Give what is measured, by name."""
    return {
        "claim": lambda: claim(ledger),
        "one delivery": lambda: finish(ledger),
        "status": lambda: status(reports),
        "newest of a path": lambda: ledger.latest(1, f"unit-{rows // 2000:05}/photo-0500.jpg"),
        "one directory": lambda: ledger.known(1, f"unit-{rows // 2000:05}"),
        "list --limit 50": lambda: list(reports.entries(limit=50)),
    }


def measure(ledgers: Mapping[int, str], times: int) -> dict[int, dict[str, float]]:
    """Give the median milliseconds of each question to each ledger; they are asked in turns."""
    taken: dict[int, dict[str, list[float]]] = {rows: {} for rows in ledgers}
    with ExitStack() as opened:
        asked = {}
        for rows, path in ledgers.items():
            ledger = opened.enter_context(closing(SqliteLedger.open(path, create=False)))
            asked[rows] = questions(ledger, opened.enter_context(Reports.open(path)), rows)
        for _ in range(times):
            for rows, those in asked.items():
                for name, ask in those.items():
                    began = time.perf_counter()
                    ask()
                    taken[rows].setdefault(name, []).append((time.perf_counter() - began) * 1000)
    return {
        rows: {name: statistics.median(each) for name, each in those.items()} for rows, those in taken.items()
    }


def scrape(ledger: str) -> list[float]:
    """Start a service with this ledger and an empty folder; give the milliseconds of each scrape."""
    with tempfile.TemporaryDirectory() as directory, Simulator() as simulator:
        place = Path(directory)
        (place / "drop").mkdir()
        rules = RULES.format(
            ledger=ledger, url=simulator.graphql_url, token=simulator.token, drop=place / "drop"
        )
        (place / "rules.yaml").write_text(rules)
        command = [sys.executable, "-m", "attachd", "--config", str(place / "rules.yaml"), "run"]
        with (place / "log").open("wb") as log:
            service = subprocess.Popen(command, stderr=log)
        try:
            address = page_of(service, place / "log")
            return [asked(f"http://{address}/metrics") for _ in range(SCRAPES)]
        finally:
            service.terminate()
            service.wait(LIMIT)


def page_of(service: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until a service has its page and give the page's address."""
    end = time.monotonic() + LIMIT
    while not (found := re.search(r"page_ready +address=(\S+)", log.read_text())):
        if service.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"the service did not start:\n{log.read_text()}")
        time.sleep(0.01)
    return found[1]


def asked(url: str) -> float:
    """Ask for a page over a connection of its own, and give the milliseconds until all of it was there."""
    began = time.perf_counter()
    with urllib.request.urlopen(url, timeout=LIMIT) as answer:
        if b"attachd_deliveries{" not in answer.read():
            raise SystemExit("the metrics are without the ledger's")
    return (time.perf_counter() - began) * 1000


def scraped(ledger: str, starts: int) -> bool:
    """Scrape after each of so many starts, print the medians and say whether they are within the bound."""
    if not starts:
        return True
    rounds = [scrape(ledger) for _ in range(starts)]
    first = statistics.median(each[0] for each in rounds)
    later = statistics.median(taken for each in rounds for taken in each[1:])
    print(
        f"  scrape of /metrics: {first:.1f} ms the first time, {later:.1f} later; at most {MOST_SCRAPE:.0f}"
    )
    return max(first, later) <= MOST_SCRAPE


def main() -> int:
    """Fill and measure each size, print the lines, and give the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--starts", type=int, default=3, help="of a service that is scraped; 0: none")
    parser.add_argument("--place", type=Path, help="a directory on a disk with room")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.place) as place:
        ledgers = {rows: f"{place}/ledger-{rows}.db" for rows in given.rows}
        for rows, path in ledgers.items():
            began = time.monotonic()
            fill(path, rows)
            size = Path(path).stat().st_size / 2**20
            print(f"{rows:,} rows: {size:.0f} MB, filled in {time.monotonic() - began:.0f} s", flush=True)
        figures = measure(ledgers, given.times)
        smallest, largest = figures[min(figures)], figures[max(figures)]
        sizes = ", ".join(f"{rows:,}" for rows in figures)
        print(f"load {os.getloadavg()[0]:.1f}; medians in ms at {sizes} rows")
        for name in smallest:
            columns = "".join(f"{each[name]:10.3f}" for each in figures.values())
            print(f"  {name:<18}{columns}   {largest[name] / smallest[name]:5.2f} x")
        is_flat = all(largest[name] <= MOST * smallest[name] for name in ("claim", "status"))
        is_quick = scraped(ledgers[max(ledgers)], given.starts)
    return 0 if is_flat and is_quick else 1


if __name__ == "__main__":
    sys.exit(main())
