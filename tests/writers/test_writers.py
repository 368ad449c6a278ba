"""Each kind of writer into a folder with events and into one that is scanned: once, whole, and how soon."""

from __future__ import annotations

import ftplib
import hashlib
import mmap
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

SIZE = 2_000_000
PAUSE = 0.3  # of a writer that is under way: far shorter than `settle`


@dataclass(frozen=True)
class Order:
    """One file to be written: where to, from what, and by which helpers."""

    path: Path
    source: Path
    writer: str
    way: str
    studio: object

    @property
    def content(self):
        return self.source.read_bytes()


@dataclass(frozen=True)
class Writer:
    """One kind of writer; `traceless`: it dies half way without any sign of it, and comes again."""

    name: str
    write: Callable[[Order], None]
    suffix: str = "bin"
    traceless: bool = False


def slowly(path, content, mode="wb"):
    """Write with pauses."""
    quarter = len(content) // 4 + 1
    with path.open(mode) as file:
        for at in range(0, len(content), quarter):
            file.write(content[at : at + quarter])
            file.flush()
            time.sleep(PAUSE)


def run(*command):
    """Run a program to its end."""
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def copy(order):
    run("cp", order.source, order.path)


def write_slowly(order):
    slowly(order.path, order.content)


def temporary_name(order):
    part = order.path.with_suffix(".part")
    slowly(part, order.content)
    part.rename(order.path)


def across_file_systems(order):
    there = Path("/dev/shm")
    if not there.is_dir() or there.stat().st_dev == order.path.parent.stat().st_dev:
        raise order.studio.missing("there is no second file system at /dev/shm")
    source = there / f"attachd-{os.getpid()}-{order.writer}-{order.way}"
    try:
        shutil.copy(order.source, source)
        run("mv", source, order.path)
    finally:
        source.unlink(missing_ok=True)


def moved_directory(order):
    aside = order.studio.home / f"aside-{order.way}"
    (aside / "deep").mkdir(parents=True)
    shutil.copy(order.source, aside / "deep" / order.path.name)
    aside.rename(order.path.parent / "moved")


def made_directory(order):
    deep = order.path.parent / "a" / "b" / "c"
    deep.mkdir(parents=True)
    shutil.copy(order.source, deep / order.path.name)


def hard_link(order):
    order.path.hardlink_to(order.source)


def fallocate(order):
    """All blocks at once, closed, quiet for longer than `settle`, and only then written."""
    with order.path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, SIZE)
    time.sleep(order.studio.settle * 1.5)
    slowly(order.path, order.content, "r+b")


def full_length_first(order):
    """No blocks at all, quiet for longer than `settle`, and only then written."""
    with order.path.open("wb") as file:
        file.truncate(SIZE)
    time.sleep(order.studio.settle * 1.5)
    slowly(order.path, order.content, "r+b")


def by_mmap(order):
    with order.path.open("w+b") as file:
        file.truncate(SIZE)
        with mmap.mmap(file.fileno(), SIZE) as mapped:
            content = order.content
            for at in range(0, SIZE, SIZE // 4):
                mapped[at : at + SIZE // 4] = content[at : at + SIZE // 4]
                time.sleep(PAUSE)


def append_soon(order):
    half = SIZE // 2
    slowly(order.path, order.content[:half])
    slowly(order.path, order.content[half:], "ab")


def killed_and_parked(order):
    """The end mark is missing: it is seen, and nothing is sent before it is there."""
    half = SIZE // 2
    order.path.write_bytes(order.content[:half])
    order.studio.wait_parked(order.path)
    slowly(order.path, order.content[half:], "ab")


def killed_without_trace(order):
    half = SIZE // 2
    order.path.write_bytes(order.content[:half])
    order.studio.wait_attached(order.writer, order.way, 1)
    slowly(order.path, order.content[half:], "ab")


def rsync(order, *options, interrupted=False):
    order.studio.servers.need("rsync")
    command = ["rsync", *options, str(order.source), str(order.path)]
    if interrupted:
        process = subprocess.Popen([*command, "--bwlimit=1m"], stderr=subprocess.DEVNULL)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        process.wait(60)
        time.sleep(order.studio.settle * 1.5)
    run(*command, "--bwlimit=4m")


def scp(order):
    options = order.studio.server("ssh")
    run("scp", "-p", "-l", "16000", *options, str(order.source), f"root@127.0.0.1:{order.path}")


def on_share(order):
    return str(order.path.relative_to(order.studio.share))


def smbclient(order):
    port = order.studio.server("smb")
    directory, _, name = on_share(order).rpartition("/")
    put = f'cd "{directory}"; put "{order.source}" "{name}"'
    run("smbclient", "//127.0.0.1/in", "-p", str(port), "-U", "root%pw", "-c", put)


def like_explorer(order, how="all"):
    port = order.studio.server("smb")
    path = "\\\\127.0.0.1\\in\\" + on_share(order).replace("/", "\\")
    script = str(Path(__file__).parent / "smb_writer.py")
    run(order.studio.servers.python, script, str(port), path, str(order.source), how)


def smb_killed(order):
    like_explorer(order, "half")
    order.studio.wait_parked(order.path)
    smbclient(order)


def smb_killed_without_trace(order):
    """The full length with holes: taken as a sparse file after thirty seconds."""
    like_explorer(order, "half")
    order.studio.wait_attached(order.writer, order.way, 1)
    smbclient(order)


def ftp(order, how="all"):
    port = order.studio.server("ftp")
    client = ftplib.FTP()
    client.connect("127.0.0.1", port, timeout=60)
    client.login("scanner", "pw")
    with client, order.source.open("rb") as file:
        command = f"STOR {on_share(order)}"
        client.voidcmd("TYPE I")
        if how == "half":
            with client.transfercmd(command) as data:
                data.sendall(file.read(SIZE // 2))
                order.studio.wait_written(order.path, SIZE // 4)  # else the abort may go before the bytes
            client.close()
            return
        at = order.path.stat().st_size if how == "rest" else None
        file.seek(at or 0)
        client.storbinary(command, file, callback=lambda _: time.sleep(0.002), rest=at)


def ftp_resumed(order):
    ftp(order, "half")
    order.studio.wait_parked(order.path)
    ftp(order, "rest")


def ftp_without_trace(order):
    ftp(order, "half")
    order.studio.wait_attached(order.writer, order.way, 1)
    ftp(order, "rest")


LOCAL = (
    Writer("cp", copy),
    Writer("slow-writer", write_slowly),
    Writer("temporary-name-then-rename", temporary_name),
    Writer("mv-across-file-systems", across_file_systems),
    Writer("moved-directory", moved_directory),
    Writer("directory-made-with-its-file", made_directory),
    Writer("hard-link", hard_link),
    Writer("fallocate", fallocate),
    Writer("full-length-first", full_length_first),
    Writer("mmap", by_mmap),
    Writer("append-soon", append_soon),
    Writer("killed-end-mark-missing", killed_and_parked, "pdf"),
    Writer("killed-without-trace", killed_without_trace, traceless=True),
)

BY_A_PROGRAM = (
    Writer("smbclient", smbclient),
    Writer("smb-full-length-first", like_explorer),
    Writer("smb-client-killed", smb_killed, "pdf"),
    Writer("smb-killed-without-trace", smb_killed_without_trace, traceless=True),
    Writer("ftp", ftp),
    Writer("ftp-aborted-and-resumed", ftp_resumed, "pdf"),
    Writer("ftp-aborted-without-trace", ftp_without_trace, traceless=True),
    Writer("scp", scp),
    Writer("rsync", partial(rsync, interrupted=False)),
    Writer("rsync-inplace", lambda order: rsync(order, "--inplace")),
    Writer("rsync-partial", lambda order: rsync(order, "-a", "--partial", interrupted=True)),
    Writer("rsync-append", lambda order: rsync(order, "--inplace", "--append", interrupted=True), "pdf"),
)


class Outcome:
    """What became of one writer's file in one folder."""

    def __init__(self, order, writer):
        self.order = order
        self.writer = writer
        self.missing = self.trouble = ""
        self.completed = 0.0

    def carry_out(self):
        try:
            self.writer.write(self.order)
        except self.order.studio.missing as missing:
            self.missing = str(missing)
            return
        except subprocess.CalledProcessError as error:
            self.trouble = f"{error}: {error.stderr!r}"
            return
        self.completed = time.time()
        wanted = hashlib.sha256(self.order.content).hexdigest()
        studio, about = self.order.studio, (self.order.writer, self.order.way)
        studio.simulator.wait_for(lambda: wanted in dict(studio.attached(*about)), 60.0)

    def judge(self):
        """Give the line of the table, and what is wrong, or ""."""
        name = f"  {self.order.writer:<30} {self.order.way:<7}"
        if self.missing:
            return f"{name} left out: {self.missing}", self.missing if os.environ.get("CI") == "true" else ""
        found = self.order.studio.attached(self.order.writer, self.order.way)
        hashes = [sha256 for sha256, _ in found]
        whole = hashlib.sha256(self.order.content).hexdigest()
        versions = 2 if self.writer.traceless else 1
        trouble = self.trouble
        if not trouble and (hashes.count(whole) != 1 or hashes[-1] != whole or len(hashes) != versions):
            trouble = f"{len(hashes)} attached, the whole one {hashes.count(whole)} times"
        if trouble:
            return f"{name} {trouble}", trouble
        said = "once, whole" if versions == 1 else "as two versions"
        return f"{name} {said:<16} {found[-1][1] - self.completed:>6.1f} s", ""


def orders(studio, writers):
    """Make the sources and the directories, and say what is to be written."""
    sources = studio.home / "sources"
    sources.mkdir()
    for writer in writers:
        for way in ("events", "scan"):
            source = sources / f"{writer.name}-{way}"
            head, end = (b"%PDF-1.7\n", b"%%EOF\n") if writer.suffix == "pdf" else (b"", b"")
            source.write_bytes(head + os.urandom(SIZE - len(head) - len(end)) + end)
            place = studio.share / way / writer.name
            place.mkdir()
            path = place / f"a.{writer.suffix}"
            order = Order(path=path, source=source, writer=writer.name, way=way, studio=studio)
            yield Outcome(order, writer)


def write_all(studio, writers, row):
    """Let all writers write, a few at once; check each, and that storage has nothing else."""
    outcomes = list(orders(studio, writers))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(Outcome.carry_out, outcomes))
    lines, troubles = zip(*(outcome.judge() for outcome in outcomes), strict=True)
    for line in lines:
        row(line)
    assert [trouble for trouble in troubles if trouble] == []
    wholes = {hashlib.sha256(outcome.order.content).hexdigest() for outcome in outcomes}
    halves = [each for each in studio.simulator.puts if each.sha256 not in wholes]
    traceless = {writer.name for writer in writers if writer.traceless}
    assert [each for each in halves if each.filename.split("-a.")[0] not in traceless] == []
    return outcomes


@pytest.mark.timeout(300)
def test_writers_of_this_machine(studio, row):
    """Each file is attached once and whole; only what was killed without a trace makes two versions."""
    assert len(write_all(studio, LOCAL, row)) == 2 * len(LOCAL)


@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not os.environ.get("ATTACHD_WRITERS"), reason="`make writers` installs the servers' parts"
)
def test_writers_by_way_of_a_program(studio, row):
    """The same through smbd, FTP, sshd and rsync, also where the client dies half way."""
    assert len(write_all(studio, BY_A_PROGRAM, row)) == 2 * len(BY_A_PROGRAM)
