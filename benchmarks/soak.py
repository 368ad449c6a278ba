"""Half an hour of everything at once: `python benchmarks/soak.py [--minutes N] [--seed S]`.

A service as it runs anywhere delivers to a simulator of ION and Glue, while files are dropped, changed,
renamed and deleted at random, calls fail, answers are lost, everything is out for some seconds, somebody
looks at the page, and rules.yaml is reloaded, good and bad. In the first part of the time the service is also
stopped and killed again and again; then one process lives to the end, and what memory and descriptors it has
is taken down. At last all faults end, everything settles, and what the simulator has is held against what
was dropped.

It fails where something is lost, doubled or wrong, where something does not settle, where the service ends
by itself, or where memory or descriptors grew.
"""

import argparse
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import OpenerDirector, ProxyHandler, build_opener

from soak_drops import FILE, MESSAGE, RULES, Drops

from attachd.ledger.reports import Reports
from attachd.simulator.server import Simulator

TICK = 0.25
SAMPLE_SECONDS = 2.0
RESTARTS_UNTIL = 0.4
"""Part of the time in which the service is restarted; the process after that is the one that is measured."""

WARM_UP = 0.2
"""Part of that process's life that is not measured: caches fill."""

SETTLE_LIMIT = 300.0
START_LIMIT = 60.0
LEAST_GROWTH_KIB, LARGEST_GROWTH = 10 * 1024, 0.1
MORE_DESCRIPTORS = 8
ON_ITS_WAY = ("ready", "active", "waiting", "doubtful")

ACCOUNTS = """
version: 1
service: {{drain: 10s, status: "127.0.0.1:{port}"}}
destinations:
  ion: {{kind: ion, url: {ion}, token: {ion_token}, workers: {workers}, timeouts: {times}, retry: {retry}}}
  glue: {{kind: glue, url: {glue}, token: {glue_token}, workers: 3, timeouts: {times}, retry: {retry}}}
"""
TIMES, RETRY = "{connect: 2s, read: 3s}", "{first: 200ms, cap: 2s}"
BROKEN = "version: 1\ndestinations: {ion: {kind: iron}}\nfolders: [\n"

FAULTS = (
    {"do": {"status": 503}, "times": 4},
    {"do": {"status": 500}, "times": 2},
    {"do": {"status": 429, "headers": {"Retry-After": "1"}}},
    {"do": "reset", "times": 3},
    {"do": "html"},
    {"do": {"delay": 1.0}, "times": 3},
    {"do": {"delay": 4.0}},
    {"do": "reset_mid_body", "call": "put", "times": 2},
    {"do": "expired", "call": "put"},
    {"do": "half", "call": "open"},
    {"do": "half", "call": "register"},
    {"do": {"work_then": "reset"}, "call": "put"},
    {"do": {"work_then": "reset"}, "call": "register"},
    {"do": {"work_then": {"status": 502}}, "call": "create"},
    {"do": {"work_then": "reset"}, "call": "message"},
)
OUTAGES = ({"do": "reset"}, {"do": {"status": 503}}, {"do": "hang"})
ENOUGH = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the service has at a moment: seconds since its start, KiB of memory, open descriptors."""

    at: float
    memory: int
    descriptors: int


@dataclass(slots=True)
class Service:
    """The service's process, one life after the other. Owner: the main thread."""

    directory: Path
    lives: int = 0
    samples: list[Sample] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None
    _began: float = 0.0

    @property
    def log(self) -> Path:
        """Give the log of this life."""
        return self.directory / f"log-{self.lives}.txt"

    def start(self) -> None:
        """Start it and wait until it serves."""
        self.lives += 1
        self.samples.clear()
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "attachd", "--config", "rules.yaml", "run"]
            self._process = subprocess.Popen(command, cwd=self.directory, stdout=log, stderr=log)
        self._began = time.monotonic()
        if not wait_until(lambda: b" started " in self.log.read_bytes(), START_LIMIT, self.check):
            raise SystemExit(f"the service did not start: {self.tail()}")

    def check(self) -> None:
        """Fail where it ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise SystemExit(f"the service ended by itself: {self._process.returncode}\n{self.tail()}")

    def end(self, how: signal.Signals) -> None:
        """Stop it, or kill it."""
        if self._process is None:
            return
        self._process.send_signal(how)
        code, self._process = self._process.wait(START_LIMIT), None
        if code != (-how if how is signal.SIGKILL else 0):
            raise SystemExit(f"{how.name} ended the service with {code}\n{self.tail()}")

    def reload(self) -> None:
        """Have it read rules.yaml again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def sample(self) -> None:
        """Take down what it has."""
        if self._process is None:
            return
        own = Path(f"/proc/{self._process.pid}")
        pages = int((own / "statm").read_text().split()[1])
        self.samples.append(
            Sample(
                at=time.monotonic() - self._began,
                memory=pages * os.sysconf("SC_PAGESIZE") // 1024,
                descriptors=len(list((own / "fd").iterdir())),
            )
        )

    def tail(self) -> str:
        """Give the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


@dataclass(slots=True)
class Soak:
    """One soak. Owner: the main thread."""

    directory: Path
    simulator: Simulator
    chance: random.Random
    drops: Drops
    service: Service
    port: int
    counts: Counter[str] = field(default_factory=Counter)
    _out_until: float | None = None
    _due: float = 0.0
    _opener: OpenerDirector = field(default_factory=lambda: build_opener(ProxyHandler({})))

    def write_rules(self, *, workers: int = 4) -> None:
        """Put a good rules.yaml there."""
        accounts = ACCOUNTS.format(
            ion=self.simulator.graphql_url,
            ion_token=self.simulator.token,
            glue=self.simulator.glue_url,
            glue_token=self.simulator.glue_token,
            port=self.port,
            workers=workers,
            times=TIMES,
            retry=RETRY,
        )
        (self.directory / "rules.yaml").write_text(accounts + RULES)

    def go_on(self, seconds: float, rate: float) -> None:
        """Drop and disturb for so long."""
        began = time.monotonic()
        restarts_until = began + seconds * RESTARTS_UNTIL
        restart_at = sample_at = began
        while (now := time.monotonic()) < began + seconds:
            self.service.check()
            if now >= restart_at:
                self.restart()
                restart_at = now + self.chance.uniform(0.5, 1.5) * max(5.0, seconds / 40)
                restart_at = restart_at if restart_at < restarts_until else began + 2 * seconds
            if now >= sample_at:
                self.service.sample()
                self.look()
                sample_at = now + SAMPLE_SECONDS
            self.turn(rate)
            time.sleep(TICK)

    def turn(self, rate: float) -> None:
        """Do what a quarter of a second brings, on average so many drops in a second."""
        self._due += self.chance.uniform(0.0, 2.0) * rate * TICK
        while self._due >= 1.0:
            self._due -= 1.0
            self.drops.make()
        if self._out_until is not None and time.monotonic() >= self._out_until:
            self._out_until = None
            self.simulator.clear_faults()
        if self.chance.random() < TICK / 3:
            self.fault()
        if self.chance.random() < TICK / 15:
            self.reload()

    def look(self) -> None:
        """Ask for something of the status page."""
        address = f"http://127.0.0.1:{self.port}/{self.chance.choice(['', 'healthz', 'readyz', 'metrics'])}"
        try:
            with self._opener.open(address, timeout=10) as answer:
                answer.read()
            self.counts["looks at the page"] += 1
        except HTTPError as error:  # it is not ready, and says so
            error.close()
            self.counts["looks at the page"] += 1
        except OSError:
            self.counts["looks without a page"] += 1

    def fault(self) -> None:
        """Let one or a few calls fail, or every call for some seconds."""
        if self._out_until is None and self.chance.random() < 0.05:
            self.counts["outages"] += 1
            self.simulator.fault(**self.chance.choice(OUTAGES), times=ENOUGH)
            self._out_until = time.monotonic() + self.chance.uniform(1.0, 8.0)
        else:
            self.counts["faults"] += 1
            self.simulator.fault(**self.chance.choice(FAULTS))

    def reload(self) -> None:
        """Reload a rules.yaml with another number of workers, or a broken one."""
        if self.chance.random() < 0.3:
            self.counts["bad reloads"] += 1
            (self.directory / "rules.yaml").write_text(BROKEN)
        else:
            self.counts["reloads"] += 1
            self.write_rules(workers=self.chance.choice([3, 4]))
        self.service.reload()

    def restart(self) -> None:
        """Stop the service, or kill it, and start it again."""
        how = self.chance.choice([signal.SIGTERM, signal.SIGKILL])
        if self.service.lives:
            self.counts["kills" if how is signal.SIGKILL else "stops"] += 1
        self.service.end(how)
        self.write_rules()
        self.service.start()

    def settle(self) -> list[str]:
        """End all faults and wait for everything to arrive; give what did not."""
        self.simulator.clear_faults()
        self.write_rules()
        self.service.reload()
        with Reports.open(str(self.directory / "attachd.db")) as reports:
            arrived = wait_until(lambda: self.is_settled(reports), SETTLE_LIMIT, self.service.check)
            counts = [(each.state, each.count) for each in reports.counts()]
        self.service.end(signal.SIGTERM)
        return [] if arrived else [f"not settled within {SETTLE_LIMIT:.0f} s: {counts}"]

    def is_settled(self, reports: Reports) -> bool:
        """Say whether nothing is on its way, and what must be attached is, or stays in doubt."""
        moving = any(each.count for each in reports.counts() if each.state in ON_ITS_WAY)
        return not moving and len(self.drops.wanted - set(self.attached())) <= len(self.needing(reports))

    def attached(self) -> Counter[tuple[int | str, str]]:
        """Count what the simulator has, by place and bytes."""
        simulator = self.simulator
        count = Counter((each.entity_id, each.sha256 or "") for each in simulator.attachments)
        count.update((FILE, file.sha256) for file in simulator.files)
        bytes_of = {file.id: file.sha256 for file in simulator.files}
        count.update((MESSAGE, bytes_of[file]) for each in simulator.messages for file in each.attachments)
        return count

    def needing(self, reports: Reports) -> set[str]:
        """Give the SHA-256 of what nobody can tell whether it is attached; nothing else has to be held."""
        held = reports.entries({"held"})
        return {each.sha256 or "" for each in held if each.error and each.error.kind == "unknown_outcome"}

    def verdict(self) -> list[str]:
        """Hold the simulator's record against what was dropped and print both; give what is wrong."""
        count = self.attached()
        with Reports.open(str(self.directory / "attachd.db")) as reports:
            needing = self.needing(reports)
            states = Counter[str]()
            for each in reports.counts():
                states[each.state] += each.count
        missing = self.drops.wanted - set(count)
        lost = [mark for mark in missing if mark[1] not in needing]
        doubled = [mark for mark, times in count.items() if times > 1]
        wrong = set(count) - self.drops.seen
        print(f"dropped: {self.drops.counts}\ndisturbed: {dict(self.counts)}\nledger: {dict(states)}")
        print(f"to be attached {len(self.drops.wanted)}, attached {count.total()}, in doubt {len(needing)}")
        print(f"lost {len(lost)}, doubled {len(doubled)}, wrong {len(wrong)}")
        found = {"lost": lost, "doubled": doubled, "wrong": sorted(wrong, key=str)}
        return [f"{what}: {marks[:5]}" for what, marks in found.items() if marks]


def free_port() -> int:
    """Give a port that nobody listens at now."""
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return int(found.getsockname()[1])


def wait_until(holds: Callable[[], bool], limit: float, check: Callable[[], None]) -> bool:
    """Wait until something holds; `check` may end the wait by an exception."""
    ends = time.monotonic() + limit
    while not holds():
        check()
        if time.monotonic() >= ends:
            return False
        time.sleep(TICK)
    return True


def grown(samples: list[Sample]) -> list[str]:
    """Compare the first and the last third of a life, print both with the slope; give what grew."""
    samples = samples[int(len(samples) * WARM_UP) :]
    third = len(samples) // 3
    if third < 2:
        return ["the service did not live long enough to be measured: give it more minutes"]
    minutes = [each.at / 60 for each in samples]
    found = []
    for name, unit, values, room in (
        ("memory", "KiB", [each.memory for each in samples], LEAST_GROWTH_KIB),
        ("descriptors", "", [each.descriptors for each in samples], MORE_DESCRIPTORS),
    ):
        first, last = statistics.median(values[:third]), statistics.median(values[-third:])
        slope = statistics.linear_regression(minutes, values).slope
        span = f"{slope:+.1f} a minute over {minutes[-1] - minutes[0]:.1f} min"
        print(f"{name}: first third {first:.0f} {unit}, last third {last:.0f} {unit}, {span}")
        if last - first > max(room, LARGEST_GROWTH * first):
            found.append(f"{name} grew from {first:.0f} to {last:.0f} {unit}")
    return found


def main() -> int:
    """Soak, print the figures and give the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=4.0, help="drops in a second, on average")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.minutes:g} minutes", flush=True)
    chance = random.Random(given.seed)
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as place,
        Simulator(listing="entity", glue_unique_by=True) as simulator,
    ):
        directory = Path(place)
        service = Service(directory)
        drops = Drops(directory / "drop", chance)
        soak = Soak(directory, simulator, chance, drops, service, free_port())
        try:
            soak.go_on(given.minutes * 60, given.rate)
            samples = list(service.samples)
            problems = soak.settle()
        finally:
            service.end(signal.SIGKILL)
        problems += soak.verdict() + grown(samples)
        if problems:
            print(f"the end of the log:\n{service.tail()}")
    print("\n".join(problems) or "all well")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
