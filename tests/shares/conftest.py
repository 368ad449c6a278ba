"""A real share: a directory behind sshd, mounted by sshfs, beside a local folder, and a service on both."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import bench as benches

from attachd.simulator.server import Simulator

LIMIT = 60.0
DRIVER = Path(__file__).with_name("driver.py")
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))

RULES = """
version: 1
destinations:
  ion:
    kind: ion
    url: {url}
    token: {token}
    retry: {{first: 100ms, cap: 500ms, give_up_after: 7d}}
    limits: {{bandwidth: 4 MB}}
folders:
  - path: share
    existing: upload
    settle: 300ms
    rescan: 500ms
    rules:
      - &rule
        name: there
        match: "{{run_step:int}}/*"
        to: ion
        target: {{run_step: "{{run_step}}"}}
        after: {after}
  - path: local
    existing: upload
    settle: 200ms
    rescan: 5s
    rules:
      - {{<<: *rule, name: here}}
"""

SSHD_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host
AuthorizedKeysFile {directory}/id.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
Subsystem sftp internal-sftp
"""


def missing() -> str:
    """Say what this machine lacks for a share, or ""."""
    needs = {"sshfs": shutil.which("sshfs"), "sshd": SSHD, "/dev/fuse": Path("/dev/fuse").exists()}
    lacks = [name for name, there in needs.items() if not there]
    if os.geteuid():
        lacks.append("root")
    return ", ".join(lacks)


class Share:
    """A directory on a server, and its mount. `directory` is where the server keeps it."""

    def __init__(self, place: Path, mount: Path) -> None:
        self._place = place
        self.directory = place / "srv"
        self.mount_point = mount
        self.directory.mkdir(parents=True)
        mount.mkdir()
        for name in ("host", "id"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True, timeout=LIMIT
            )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        config = place / "sshd_config"
        config.write_text(SSHD_CONFIG.format(port=self._port, directory=place))
        Path("/run/sshd").mkdir(exist_ok=True)
        with (place / "sshd.log").open("wb") as log:
            self._sshd = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", config], stderr=log, start_new_session=True, stdin=subprocess.DEVNULL
            )
        self._frozen: list[int] = []

    @property
    def is_mounted(self) -> bool:
        return f" {self.mount_point} " in Path("/proc/self/mountinfo").read_text()

    def mount(self) -> None:
        """Mount it, waiting for the server to be up."""
        options = (
            f"IdentityFile={self._place}/id,StrictHostKeyChecking=no,UserKnownHostsFile={self._place}/known,"
            "dir_cache=no,attr_timeout=0,entry_timeout=0"
        )
        command = ["sshfs", "-p", str(self._port), "-o", options, f"root@127.0.0.1:{self.directory}"]
        end = time.monotonic() + LIMIT
        while subprocess.run([*command, self.mount_point], capture_output=True, check=False).returncode:
            assert time.monotonic() < end, (self._place / "sshd.log").read_text()
            time.sleep(0.1)

    def freeze(self) -> None:
        """Let the server hang: it takes requests and answers none."""
        self._frozen = self._sessions()
        assert self._frozen
        for pid in self._frozen:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the server go on."""
        for pid in self._frozen:
            os.kill(pid, signal.SIGCONT)
        self._frozen = []

    def cut(self) -> None:
        """Kill the server's side of the connection: sshfs ends, and leaves an empty mount point."""
        for pid in self._sessions():
            os.kill(pid, signal.SIGKILL)

    def kill_mount(self) -> None:
        """Kill sshfs itself: the kernel answers ENOTCONN for what is mounted, until it is unmounted."""
        point = os.fsencode(self.mount_point)
        commands = {int(each.parent.name): each.read_bytes() for each in Path("/proc").glob("[0-9]*/cmdline")}
        (pid,) = (
            pid
            for pid, words in commands.items()
            if words.startswith(b"sshfs\0") and point in words.split(b"\0")
        )
        os.kill(pid, signal.SIGKILL)

    def unmount(self) -> None:
        while self.is_mounted:
            subprocess.run(["umount", "-l", self.mount_point], check=False, timeout=LIMIT)

    def close(self) -> None:
        self.thaw()
        for pid in self._sessions():
            os.kill(pid, signal.SIGKILL)
        self._sshd.kill()
        self._sshd.wait(LIMIT)
        self.unmount()

    def _sessions(self) -> list[int]:
        found, at = [], [self._sshd.pid]
        while at:
            pid = at.pop()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            found += map(int, children)
            at += map(int, children)
        return found


class Bench(benches.Bench):
    """The service on the share and on a local folder, and the commands of a user."""

    limit = LIMIT

    def __init__(self, directory: Path, share: Any, simulator: Simulator) -> None:
        super().__init__(directory, simulator, "local")
        self.share = share
        self.local = self.drop
        self.put_on: dict[str, Path] = {"share": share.directory, "local": self.local}
        self.put_names: list[str] = []

    def write_rules(self, after: str = "keep") -> None:
        text = RULES.format(url=self.simulator.graphql_url, token=self.simulator.token, after=after)
        self.rules.write_text(text)

    def write(self, where: str, name: str, content: bytes = b"") -> None:
        """Write a file as a writer does: on the server, or into the local folder."""
        file = self.put_on[where] / "1" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content or f"{where} {name}".encode())
        self.put_names.append(name)

    def command(self, *arguments: str, driver: Path | None = None) -> list[str]:
        return super().command(*arguments, driver=driver or DRIVER)

    def start_well(self) -> subprocess.Popen[bytes]:
        """Start it and have a first file of the share attached."""
        process = self.start()
        self.write("share", "first")
        self.wait_until(lambda: self.names() == ["first"], "first")
        return process

    def end_well(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the share is well and all is attached once; the process that was started ends well."""
        self.wait_until(self.is_all_attached, self.states)
        self.wait_until(self.says("share", "", healthy=True), "healthy")
        assert process.poll() is None
        assert self.stop(process) == 0

    def seconds_to_stop(self, process: subprocess.Popen[bytes]) -> float:
        """End the service and give the seconds that this took."""
        began = time.monotonic()
        assert self.stop(process) == 0
        return time.monotonic() - began

    def status(self) -> dict:
        return json.loads(self.call("status", "--json").stdout)

    def folder(self, where: str) -> dict:
        """Give what `status` says of a folder."""
        folders = self.status()["folders"]
        return next((each for each in folders if each["path"].endswith(f"/{where}")), {})

    def says(self, where: str, words: str, *, healthy: bool = False) -> Callable[[], bool]:
        def holds() -> bool:
            folder = self.folder(where)
            return folder.get("healthy") is healthy and words in (folder.get("detail") or "")

        return holds

    def is_postponed(self, name: str) -> bool:
        """Say whether the after-action of a file waits for a share that hangs."""
        found = [
            each for each in json.loads(self.call("list", "--json").stdout) if each["path"] == f"1/{name}"
        ]
        shown = json.loads(self.call("show", "--json", str(found[0]["id"])).stdout) if found else {}
        return "tried again by itself: hung" in ((shown.get("after") or {}).get("detail") or "")

    def states(self) -> dict[str, int]:
        return {state: count for state, count in self.status()["states"].items() if count}

    def is_all_attached(self) -> bool:
        """Say whether each file that was put is attached once, and nothing is left to do."""
        return self.names() == sorted(self.put_names) and self.states() == {"done": len(self.put_names)}

    def names(self) -> list[str]:
        """Give the name of every attachment, doubles too."""
        return sorted(each.filename for each in self.simulator.attachments)

    def seconds_until_attached(self, where: str, name: str) -> float:
        """Put a file and give the seconds until it is attached."""
        began = time.monotonic()
        self.write(where, name)
        self.wait_until(lambda: name in self.names(), name)
        return time.monotonic() - began


def served(directory: Path, name: str, point: str = "") -> Iterator[Share]:
    if lacks := missing():
        assert not os.environ.get("CI"), f"a share cannot be tested here: {lacks}"
        pytest.skip(f"a share needs {lacks}")
    made = Share(directory / f"server-{name}", directory / (point or name))
    try:
        made.mount()
        yield made
    finally:
        made.close()


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Share]:
    """Serve and mount the directory that is watched."""
    yield from served(tmp_path, "share")


@pytest.fixture
def share_beside(tmp_path: Path) -> Iterator[Share]:
    """Serve and mount another one."""
    yield from served(tmp_path, "beside")


@pytest.fixture
def share_below(tmp_path: Path) -> Iterator[Share]:
    """Serve one and mount it in a directory of a local folder."""
    (tmp_path / "share").mkdir()
    yield from served(tmp_path, "below", "share/5")


@pytest.fixture
def bench_on(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Give what makes a service on a share and on a local folder; it does not run yet."""
    made: list[Bench] = []

    def make(share: Any) -> Bench:
        made.append(Bench(tmp_path, share, simulator))
        return made[-1]

    with Simulator() as simulator:
        try:
            yield make
        finally:
            for each in made:
                print(each.log()[-6000:])
                each.close()


@pytest.fixture
def bench(share: Share, bench_on: Callable[[Share], Bench]) -> Bench:
    """Give a service on the share and a local folder; it does not run yet."""
    return bench_on(share)
