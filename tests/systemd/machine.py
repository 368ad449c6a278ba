"""A booted systemd on an overlay of this machine's root: nothing that happens in it stays.

Sources: overlayfs (kernel), systemd-nspawn(1). `lowerdir=/` wants its upper directory on another file system:
a tmpfs. The network is the machine's own, so that a simulator in the test's process is reached on loopback.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

LIMIT = 60.0
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    # What a machine without a network installs from.
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": "/mnt/wheels",
    "PIP_NO_COMPILE": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
}


def why_not() -> str:
    """Say why no systemd can be booted here; "" where it can."""
    if os.geteuid() != 0:
        return "booting a systemd needs root"
    if shutil.which("systemd-nspawn") is None:
        return "systemd-nspawn is not installed (Debian: systemd-container)"
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    theirs = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    if theirs != ours:
        return f"the wheels at hand are for Python {ours}, and the system's is {theirs or 'missing'}"
    return ""


def wait_until(holds: Callable[[], object], what: str, limit: float = LIMIT) -> None:
    deadline = time.monotonic() + limit
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit:.0f} s: {what}")
        time.sleep(0.1)


class Machine:
    """One booted systemd. `place` is a directory of its own; `wheels` and `drops` are seen inside."""

    def __init__(self, place: Path, *, wheels: Path, drops: Path) -> None:
        self.place = place
        self.name = f"attachd-{uuid.uuid4().hex[:12]}"
        place.mkdir(parents=True)
        _do("mount", "-t", "tmpfs", "tmpfs", str(place))
        for part in ("upper", "work", "root"):
            (place / part).mkdir()
        self.root = place / "root"
        options = f"lowerdir=/,upperdir={place}/upper,workdir={place}/work"
        _do("mount", "-t", "overlay", "overlay", "-o", options, str(self.root))
        self._group = _own_group(self.name)
        command = [
            "sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self._group / "cgroup.procs"),
            "systemd-nspawn", "--quiet", "--directory", str(self.root), "--boot",
            "--register=no", "--keep-unit",
            f"--machine={self.name}", f"--bind-ro={wheels}:/mnt/wheels", f"--bind={drops}:/srv",
            "systemd.unit=basic.target",
        ]  # fmt: skip
        with (place / "console.txt").open("wb") as console:
            self._nspawn = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
            )
        wait_until(self._is_up, "systemd is up")

    def _is_up(self) -> bool:
        assert self._nspawn.poll() is None, (self.place / "console.txt").read_text(errors="replace")
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        if not children:
            return False
        self._init = children[0]
        return self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def run(
        self, script: str, *, given: str = "", check: bool = True, cwd: str = "/root"
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script inside, as root."""
        enter = ["nsenter", "-t", self._init, "-m", "-p", "-u", "-i", "-C", "--root", "--wd=/"]
        shell = ["env", "-i", *(f"{key}={value}" for key, value in ENVIRONMENT.items()), "bash", "-euc"]
        done = subprocess.run(
            [*enter, *shell, f"cd {cwd}\n{script}"],
            input=given, capture_output=True, text=True, timeout=110, check=False, cwd="/",
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{script}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def property(self, name: str, unit: str = "attachd") -> str:
        return self.run(f"systemctl show -P {name} {unit}").stdout.strip()

    def journal(self, unit: str = "attachd") -> str:
        return self.run(f"journalctl -u {unit} -o cat --no-pager", check=False).stdout

    def drop_in(self, name: str, text: str, unit: str = "attachd") -> None:
        """Write a drop-in of the unit; an empty one takes it away."""
        file = f"/etc/systemd/system/{unit}.service.d/{name}.conf"
        self.run(f"mkdir -p $(dirname {file}); cat > {file}; systemctl daemon-reload", given=text)

    def states(self, config: str = "/etc/attachd/rules.yaml") -> dict[str, str]:
        done = self.run(f"attachd -c {config} list --json", check=False)
        return {row["path"]: row["state"] for row in json.loads(done.stdout or "[]")}

    def close(self) -> None:
        """End it and take away what was mounted."""
        self._nspawn.terminate()
        try:
            self._nspawn.wait(20)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait(20)
        for group in sorted(self._group.rglob("*/"), reverse=True):
            with contextlib.suppress(OSError):
                group.rmdir()
        with contextlib.suppress(OSError):
            self._group.rmdir()
        for mounted in (self.root, self.place):
            with contextlib.suppress(subprocess.CalledProcessError):
                _do("umount", "--lazy", str(mounted))


def _own_group(name: str) -> Path:
    """Make a control group of the machine's own: two in one would send each other signals."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if controllers == "name=systemd" or (number == "0" and not Path("/sys/fs/cgroup/systemd").is_dir()):
            tree = Path("/sys/fs/cgroup/systemd" if controllers else "/sys/fs/cgroup")
            group = tree / path.lstrip("/") / name
            group.mkdir()
            return group
    raise AssertionError("no control group of systemd's is mounted")


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)
