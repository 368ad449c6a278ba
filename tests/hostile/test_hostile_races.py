import subprocess
import sys
import time

import pytest

from attachd.errors import FileError
from attachd.folders.reading import open_settled
from attachd.folders.scan import scan
from attachd.model import Signs

SECONDS = 1.5

SWAPPER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
one, other = (os.fsencode(each) for each in sys.argv[1:3])
print("ready", flush=True)
while True:
    libc.renameat2(-100, one, -100, other, 2)  # RENAME_EXCHANGE: both names exist at every moment
"""


@pytest.fixture
def swapping():
    """Exchange two names as fast as another process can, until the test is over."""
    running = []

    def start(one, other):
        process = subprocess.Popen(
            [sys.executable, "-c", SWAPPER, str(one), str(other)], stdout=subprocess.PIPE
        )
        running.append(process)
        assert process.stdout.readline() == b"ready\n"

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def swapped_tree(drop, outside):
    """Lay a directory with a file in the folder, and beside it a link that leads outside."""
    (drop / "st" / "tree").mkdir(parents=True)
    (drop / "st" / "tree" / "secret.png").write_bytes(b"inside")
    (drop / "st" / "link").symlink_to(outside.path)
    return drop / "st" / "tree", drop / "st" / "link"


def test_a_directory_swapped_for_a_link_all_the_time_never_leads_outside(tmp_path, outside, swapping):
    """Between any two looks the parent may become a link: the bytes that are read are those inside."""
    drop = tmp_path / "drop"
    tree, link = swapped_tree(drop, outside)
    signs = Signs.of((tree / "secret.png").stat())
    swapping(tree, link)
    opened = refused = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            with open_settled(str(drop), "st/tree/secret.png", signs) as file:
                assert file.read() == b"inside"
                opened += 1
        except FileError:
            refused += 1
    assert opened
    assert refused


def test_a_file_swapped_for_a_link_all_the_time_is_never_followed(tmp_path, outside, swapping):
    """The same for the last part of the path."""
    drop = tmp_path / "drop"
    drop.mkdir()
    file, link = drop / "a.png", drop / "b.png"
    file.write_bytes(b"inside")
    link.symlink_to(outside.file)
    swapping(file, link)
    end = time.monotonic() + SECONDS
    opened = 0
    while time.monotonic() < end:
        signs = Signs.of(file.lstat())
        try:
            with open_settled(str(drop), "a.png", signs) as held:
                assert held.read() == b"inside"
                opened += 1
        except FileError:
            continue
    assert opened


def test_a_scan_of_a_tree_that_is_being_swapped_stays_inside(tmp_path, outside, swapping):
    """No scan finds a file that lies outside, whatever the tree was when its parent was read."""
    drop = tmp_path / "drop"
    tree, link = swapped_tree(drop, outside)
    (tree / "inner").mkdir()
    swapping(tree, link)
    end = time.monotonic() + SECONDS
    found = set()
    while time.monotonic() < end:
        for batch in scan(str(drop), "", known=lambda _: set(), ignores=lambda *_: False):
            found |= {each.path for each in batch.found if each.kind is None}
    assert found
    assert found <= {"st/tree/secret.png", "st/link/secret.png"}
    assert (tree if tree.is_symlink() else link).readlink() == outside.path


@pytest.mark.slow
def test_a_service_under_a_racing_swapper_sends_nothing_from_outside(
    bench, rules_with, outside, nothing_leaked, swapping
):
    """With files and directories exchanged all the while, only bytes of the folder are attached."""
    rules_with("after: delete")
    tree, link = swapped_tree(bench.drop, outside)
    (bench.drop / "a.png").write_bytes(b"inside, too")
    (bench.drop / "b.png").symlink_to(outside.file)
    service = bench.start()
    swapping(tree, link)
    swapping(bench.drop / "a.png", bench.drop / "b.png")
    for number in range(20):
        bench.put(f"calm/{number}.png", b"calm %d" % number)
    calm = {f"{number}.png" for number in range(20)}
    bench.wait_until(
        lambda: calm <= {each.filename for each in bench.simulator.attachments}, "the others are attached"
    )
    assert service.poll() is None
    assert bench.stop(service) == 0
    assert "by_a_bug" not in bench.log()
    nothing_leaked()
