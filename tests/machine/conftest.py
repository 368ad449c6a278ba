"""A bench whose ledger lies on a disk of its own, which a test may fill, break and mend."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.service import conftest as service

simulator = service.simulator
_quiet_environment = service._quiet_environment

HEAD = """version: 1
ledger: {}
service: {{drain: 2s}}
"""


def _require(*, tool=None, root=False):
    """Skip with a reason what this machine cannot do; CI must be able to do all of it."""
    missing = []
    if tool and shutil.which(tool) is None:
        missing.append(f"{tool} is not installed")
    if root and os.geteuid() != 0:
        missing.append("mounting needs root")
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"CI must have it: {', '.join(missing)}")
    if missing:
        pytest.skip(", ".join(missing))


class Machine(service.Bench):
    """A bench that can say where its ledger lies and through which program its service is started."""

    def __init__(self, directory, simulator, ledger=None):
        self.ledger = Path(ledger or directory / "attachd.db")
        self.before = []
        super().__init__(directory, simulator)

    def write_rules(self, **values):
        super().write_rules(**values)
        self.rules.write_text(self.rules.read_text().replace("version: 1\n", HEAD.format(self.ledger)))

    def command(self, *arguments, driver=None):
        return [*self.before, *super().command(*arguments, driver=driver)]

    @property
    def seen(self):
        """The ledger's path as this process sees it."""
        return self.ledger

    def begin(self, **how):
        """Start the service and wait until it is up."""
        before = self.log().count("scan_finished")
        process = subprocess.Popen(
            self.command("run"), cwd=self.directory, **({"stderr": self.log_file(), "stdout": -3} | how)
        )
        self.processes.append(process)
        if not how:
            self.wait_until(lambda: self.log().count("scan_finished") > before, "the first scan")
        return process

    def log_file(self):
        return os.open(self.directory / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)

    def drop_many(self, prefix, count):
        for number in range(count):
            self.put(f"st-1/42/{prefix}-{number}.jpg", f"{prefix} {number}".encode())

    def names(self):
        """The attachments' file names, sorted: one that was attached twice stands there twice."""
        return sorted(name for name, *_ in self.attached())

    def expect(self, prefix, count):
        """Wait until exactly these are attached, each once."""
        wanted = sorted(f"st-1-{prefix}-{number}.jpg" for number in range(count))
        self.wait_until(
            lambda: len([n for n in self.names() if n.startswith(f"st-1-{prefix}-")]) >= count, prefix
        )
        assert [name for name in self.names() if name.startswith(f"st-1-{prefix}-")] == wanted

    def end(self, process):
        """Stop the service and give its exit code."""
        return self.stop(process)


class Disk(Machine):
    """A machine whose ledger's disk is mounted in a mount namespace of its own: nobody else sees it."""

    def __init__(self, directory, simulator, mount):
        self.place = directory / "disk"
        self.place.mkdir()
        script = f"{mount} && echo up && exec cat"
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=directory,
        )
        assert self.holder.stdout.readline() == b"up\n"
        super().__init__(directory, simulator, self.place / "attachd.db")
        self.before = ["nsenter", f"--target={self.holder.pid}", "--mount", f"--wd={directory}"]

    @property
    def root(self):
        return Path(f"/proc/{self.holder.pid}/root{self.place}")

    @property
    def seen(self):
        return self.root / "attachd.db"

    def inside(self, script):
        """Run a shell script where the disk is mounted."""
        return subprocess.run([*self.before, "sh", "-c", script], check=True, capture_output=True, text=True)

    def close(self):
        super().close()
        self.holder.stdin.close()
        self.holder.stdout.close()
        self.holder.wait(10)


@pytest.fixture
def machine(tmp_path, simulator):
    machine = Machine(tmp_path, simulator)
    yield machine
    machine.close()


@pytest.fixture
def disk(tmp_path, simulator, require):
    """Make a disk by a mount command; it goes when the test ends."""
    require(tool="unshare", root=True)
    made = []

    def make(mount):
        made.append(Disk(tmp_path, simulator, mount))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def require():
    """Skip with a reason what this machine cannot do."""
    return _require
