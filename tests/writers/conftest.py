"""A running attachd with two folders, the servers that writers need, and the table of what became of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path

import pytest
from tests import bench as benches

from attachd.simulator.server import Simulator

HERE = Path(__file__).parent
LIMIT = 60.0
WAYS = ("events", "scan")
SETTLE = 1.5
wait_until = partial(benches.wait_until, limit=LIMIT)

FOLDER = """
  - path: {way}
    existing: upload
    watch: {way}
    settle: 1500ms
    rescan: {rescan}
    rules:
      - name: {way}
        match: "{{writer}}/**/*"
        to: ion
        target: {{run_step: "{step}"}}
        filename: "{{writer}}-{{file}}"
        max_versions: 0
        complete: {{within: 3s}}
"""

SMB = """
[global]
 smb ports = {port}
 bind interfaces only = yes
 interfaces = 127.0.0.1/8
 server role = standalone server
 disable netbios = yes
 load printers = no
 printcap name = /dev/null
 disable spoolss = yes
 private dir = {home}/private
 lock directory = {home}/lock
 state directory = {home}/state
 cache directory = {home}/cache
 pid directory = {home}/pid
 ncalrpc dir = {home}/ncalrpc
 log file = {home}/log.%m
 passdb backend = tdbsam:{home}/private/passdb.tdb
[in]
 path = {share}
 read only = no
"""

SSH = """
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host
AuthorizedKeysFile {home}/key.pub
PidFile {home}/pid
UsePAM no
StrictModes no
PermitRootLogin yes
Subsystem sftp internal-sftp
"""


class Missing(Exception):
    """What a writer needs is not there."""


class Servers:
    """The servers that writers write to, each started when it is first asked for, on a free port."""

    def __init__(self, home: Path, share: Path) -> None:
        self.home = home
        self.share = share
        self.started: list[subprocess.Popen[bytes]] = []

    @cached_property
    def smb(self) -> int:
        """Start smbd and give its port."""
        self.need("smbd", "smbclient", "smbpasswd", root=True)
        home, port = self.home / "smb", free_port()
        for name in ("private", "lock", "state", "cache", "pid", "ncalrpc"):
            (home / name).mkdir(parents=True)
        (home / "private").chmod(0o700)
        conf = home / "smb.conf"
        conf.write_text(SMB.format(port=port, home=home, share=self.share))
        add = ["smbpasswd", "-c", str(conf), "-s", "-a", "root"]
        subprocess.run(add, input=b"pw\npw\n", check=True, capture_output=True)
        self.start(["smbd", "-F", "--no-process-group", "-s", str(conf), "--debug-stdout"], port)
        return port

    @cached_property
    def ftp(self) -> int:
        """Start an FTP server and give its port."""
        command = [self.python, str(HERE / "ftp_server.py"), str(self.share)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        self.started.append(process)
        assert process.stdout is not None
        return int(process.stdout.readline())

    @cached_property
    def ssh(self) -> list[str]:
        """Start sshd and give the options with which a client gets in."""
        self.need("sshd", "scp", "ssh-keygen", root=True)
        home, port = self.home / "ssh", free_port()
        home.mkdir()
        Path("/run/sshd").mkdir(exist_ok=True)
        for name in ("host", "key"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)]
            subprocess.run(make, check=True, capture_output=True)
        (home / "conf").write_text(SSH.format(port=port, home=home))
        self.start([shutil.which("sshd") or "", "-D", "-e", "-f", str(home / "conf")], port)
        options = ("StrictHostKeyChecking=no", f"UserKnownHostsFile={home}/known", f"IdentityFile={home}/key")
        return ["-P", str(port), *(word for option in options for word in ("-o", option))]

    @cached_property
    def python(self) -> str:
        """Give the Python that has the writers' own packages."""
        found = os.environ.get("ATTACHD_WRITERS", "")
        if not found:
            raise Missing("`make writers` installs what this writer needs")
        return found

    @staticmethod
    def need(*programs: str, root: bool = False) -> None:
        """Make sure that programs are there."""
        for program in programs:
            if shutil.which(program) is None:
                raise Missing(f"{program} is not installed")
        if root and os.geteuid() != 0:
            raise Missing(f"{programs[0]} has to be started by root")

    def start(self, command: list[str], port: int) -> None:
        with (self.home / f"{Path(command[0]).name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.started.append(process)
        wait_until(lambda: is_open(port), command[0])

    def close(self) -> None:
        for process in self.started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # its own group: servers fork for each client
            process.wait(LIMIT)
            if process.stdout is not None:
                process.stdout.close()


class Studio:
    """One service with a folder that is watched for events and one that is scanned."""

    def __init__(self, home: Path, simulator: Simulator) -> None:
        self.home = home
        self.simulator = simulator
        self.share = home / "share"
        self.servers = Servers(home, self.share)
        self.rules = self.share / "rules.yaml"
        self.starting = threading.Lock()
        self.listed: tuple[float, list[dict]] = (0.0, [])
        for way in WAYS:
            (self.share / way).mkdir(parents=True)
        folders = FOLDER.format(way="events", rescan="5m", step=42)
        folders += FOLDER.format(way="scan", rescan="1s", step=43)
        self.rules.write_text(
            f"version: 1\nledger: {home}/attachd.db\ndestinations:\n  ion: {{kind: ion, workers: 4,"
            f" url: {simulator.graphql_url}, token: {simulator.token}}}\nfolders:{folders}"
        )
        with (home / "log").open("wb") as log:
            self.process = subprocess.Popen(self.command("run"), stderr=log, stdout=log)
        wait_until(lambda: (home / "log").read_text().count("scan_finished") >= 2, "the first scans")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "attachd", "--config", str(self.rules), *arguments]

    def server(self, name: str) -> object:
        """Give a server, started once however many ask at once."""
        with self.starting:
            return getattr(self.servers, name)

    missing = Missing
    settle = SETTLE

    @staticmethod
    def wait_written(path: Path, size: int) -> None:
        """Wait until a server wrote so many bytes."""
        wait_until(lambda: path.exists() and path.stat().st_size >= size, f"{size} bytes in {path}")

    def wait_parked(self, path: Path) -> None:
        """Wait until a file is listed as parked."""
        way, _, relative = str(path.relative_to(self.share)).partition("/")
        folder = str(self.share / way)
        wait_until(
            lambda: any((row["folder"], row["path"]) == (folder, relative) for row in self.parked()), "parked"
        )

    def parked(self) -> list[dict]:
        with self.starting:
            if time.monotonic() > self.listed[0] + 1.0:
                done = subprocess.run(
                    self.command("list", "--state", "parked", "--json"), capture_output=True, check=True
                )
                self.listed = (time.monotonic(), json.loads(done.stdout))
            return self.listed[1]

    def attached(self, writer: str, way: str) -> list[tuple[str | None, float]]:
        """Give hash and time of what was attached, in order."""
        step = 42 + WAYS.index(way)
        return [
            (each.sha256, datetime.fromisoformat(each.at).timestamp())
            for each in self.simulator.attachments
            if each.filename.startswith(f"{writer}-a.") and each.object_id == step
        ]

    def wait_attached(self, writer: str, way: str, count: int) -> None:
        ended = self.simulator.wait_for(lambda: len(self.attached(writer, way)) >= count, LIMIT)
        assert ended, f"{writer} by {way}: not attached in {LIMIT} s"

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(LIMIT)
        self.servers.close()


def is_open(port: int) -> bool:
    """Say whether somebody listens on a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Give a port that nobody has at this moment."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture
def studio() -> Iterator[Studio]:
    """Run attachd over two folders."""
    with tempfile.TemporaryDirectory(prefix="writers-") as home, Simulator() as simulator:
        studio = Studio(Path(home), simulator)
        try:
            yield studio
        finally:
            studio.close()


TABLE: list[str] = []


@pytest.fixture
def row() -> Callable[[str], None]:
    """Add a line to the table that is printed at the end."""
    return TABLE.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if TABLE:
        terminalreporter.section("What each writer's files became")
        for line in TABLE:
            terminalreporter.write_line(line)
