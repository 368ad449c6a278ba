import os
import resource
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

MANY = 100_000
MEMORY = 60 * 1024  # KiB that a scan and intake of MANY files may add
SCRIPT = """
import resource, sys
from attachd.core.noise import Noise
from attachd.folders.scan import scan
from attachd.folders.sieve import Sieve
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sieve = Sieve(sys.argv[1], Noise(()), ())
found = sum(len(b.found) for b in scan(sys.argv[1], "", known=lambda _: set(), ignores=sieve.ignores))
print(found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def dig(root, names, content):
    """Make a file below directories whose path may be longer than the system takes (PATH_MAX, 4,096)."""
    descriptor = os.open(root, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=descriptor)
        above, descriptor = descriptor, os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(above)
    file = os.open("end.png", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor)
    os.write(file, content)
    os.close(file)
    os.close(descriptor)


@pytest.mark.parametrize(
    "names",
    [[f"level-{number}" for number in range(60)], ["d" * 250] * 15, ["d" * 254] * 16, ["e" * 255] * 40],
    ids=["60 levels", "3,765 bytes", "4,080 bytes", "beyond PATH_MAX"],
)
def test_deep_and_long_trees_are_delivered_or_accounted_for(bench, rules_with, names, clean):
    """Neither depth nor length hides a file, breaks a command or stops its neighbours."""
    rules_with()
    bench.put("near.png", b"near")
    dig(bench.drop, names, b"far")
    path = "/".join([*names, "end.png"])
    done = bench.once("--deadline", "30s")
    assert "Traceback" not in done.stderr, done.stderr
    assert bench.states() == {"near.png": "done", path: "done"}
    for command, code in (("list", 0), ("status", 3)):
        answer = bench.call(command)
        assert answer.returncode == code, answer.stderr
        clean(answer.stdout)
    assert len(bench.simulator.attachments) == 2
    subprocess.run(["rm", "-rf", bench.drop / names[0]], check=True)


def test_a_deep_file_is_moved_away(bench, rules_with):
    """An after-action reaches a file whose path is longer than the system takes."""
    rules_with('after: {move: "sent/{file}"}')
    dig(bench.drop, ["d" * 255] * 20, b"far")
    done = bench.once("--deadline", "30s")
    assert done.returncode == 0, done.stderr
    assert (bench.directory / "sent" / "end.png").read_bytes() == b"far"
    subprocess.run(["rm", "-rf", bench.drop / ("d" * 255)], check=True)


@pytest.mark.timeout(300)
def test_a_hundred_thousand_files_in_one_directory_need_no_memory(tmp_path):
    """A scan tells of each of them, and keeps none."""
    for number in range(MANY):
        os.close(os.open(tmp_path / f"{number}.png", os.O_CREAT | os.O_WRONLY))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    found, grown = (int(word) for word in done.stdout.split())
    assert found == MANY
    assert grown < MEMORY, f"{grown} KiB"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0
