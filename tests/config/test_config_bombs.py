import resource
import subprocess
import sys
import time

import pytest

from attachd.config.load import format_problems, load
from attachd.errors import ConfigError

SECONDS = 20.0  # of the processor: however busy the machine is
MEMORY = 400 * 1024 * 1024  # bytes that a check may add
LAUGHS = "x-a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"x-{one}: &{one} [{','.join([f'*{before}'] * 9)}]\n"
    for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMBS = {
    "a billion laughs": LAUGHS + "version: *i\n",
    "a billion laughs in a folder": LAUGHS + "version: 1\nfolders: *i\n",
    "merges of merges": "x-0: &m0 {a: 1}\n"
    + "".join(f"x-{n + 1}: &m{n + 1} {{<<: [{', '.join([f'*m{n}'] * 9)}]}}\n" for n in range(8))
    + "destinations: *m8\n",
    "itself": "version: 1\nfolders: &a [*a]\n",
    "a merge of itself": "version: 1\ndestinations: &a {<<: *a}\n",
    "deep lists": "version: " + "[" * 20_000,
    "deep mappings": "version: " + "{a: " * 20_000,
    "deep blocks": "".join(" " * depth + "a:\n" for depth in range(1000)),
    "deep but whole": "folders: " + "[" * 300 + "]" * 300,
    "a huge number": "version: " + "9" * 500_000,
    "a huge hexadecimal number": "version: 0x" + "f" * 500_000,
    "a huge base 60 number": "version: " + ":".join(["59"] * 100_000),
    "a huge float": "version: 1e" + "9" * 100_000,
    "a NUL": "version: 1\nledger: a\0b\n",
    "a NUL in quotes": 'version: 1\nledger: "a\\0b"\n',
    "a duplicate key": "version: 1\nversion: 1\n",
    "many duplicate keys": "version: 1\n" * 8_000,
    "many keys": "".join(f"k{number}: 1\n" for number in range(50_001)),
    "many folders": "folders:\n" + "  - {}\n" * 50_001,
    "a long line": "version: " + "a" * 900_000,
    "many quotes": 'version: "' + '\\"' * 400_000,
    "many anchors": "".join(f"x-{number}: &n{number} 1\n" for number in range(15_000)),
    "python's own tag": "version: !!python/object/apply:os.system ['touch pwned']\n",
    "no UTF-8": b"version: 1\nledger: \xff\xfe\n",
    "UTF-16": "version: 1\n".encode("utf-16"),
    "ten megabytes": "# a comment\n" * 900_000,
    "a regex that freezes": ("version: 1\ntypes: {serial: '([A-Z]+)+'}\ndestinations: {}\nfolders: []\n"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_with_its_place_in_bounded_time(write, name):
    """However small the file and large its meaning: a clear error, soon."""
    bomb = BOMBS[name]
    path = write(bomb)
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert time.process_time() - began < SECONDS
    assert caught.value.problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in caught.value.problems)
    lines = format_problems(caught.value)
    assert all(line.isprintable() and len(line) < 1000 + len(str(path)) for line in lines)


LIMITED = """
import resource, sys
from pathlib import Path
from attachd.config.load import load
from attachd.errors import ConfigError
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv[2]),) * 2)
try:
    load(Path(sys.argv[1]), {})
except ConfigError as error:
    print(len(error.problems))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a billion laughs", "merges of merges", "many keys", "ten megabytes"])
def test_a_bomb_is_refused_in_bounded_memory(write, name):
    """With little memory to be had, the answer is the same."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(write(BOMBS[name])), str(MEMORY)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0
