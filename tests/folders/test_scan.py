import os
import socket
import tracemalloc

import pytest

from attachd.core.noise import Noise
from attachd.folders.scan import BATCH, scan
from attachd.folders.sieve import Sieve
from attachd.folders.walk import RootOut


@pytest.fixture
def scanned(root):
    """Scan the folder and give its batches; `known` maps directories to what the ledger has of them."""

    def run(known=None, start="", ignore=(), protected=()):
        sieve = Sieve(str(root), Noise(ignore), protected)
        return list(
            scan(
                str(root),
                start,
                known=lambda directory: (known or {}).get(directory, set()),
                ignores=sieve.ignores,
            )
        )

    return run


def paths(batches):
    """Give the paths of all that was found."""
    return sorted(found.path for batch in batches for found in batch.found)


def fill(root, *names):
    """Make files, each with its name as content."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.fsencode(name))


def test_only_what_is_new_or_changed_is_told(root, scanned, signs_at):
    """Each directory is compared with what the ledger knows of it."""
    fill(root, "a", "b", "sub/c", "sub/d")
    was = {name: signs_at(root / name) for name in ("a", "b", "sub/c", "sub/d")}
    (root / "b").write_text("changed")
    known = {"": set(), "sub": set()}
    for path, signs in was.items():
        directory, _, name = path.rpartition("/")
        known[directory].add((name, signs.size, signs.mtime_ns, signs.ctime_ns))
    batches = scanned(known)
    assert paths(batches) == ["b"]
    assert sum(batch.seen for batch in batches) == 4
    assert paths(scanned()) == ["a", "b", "sub/c", "sub/d"]


def test_a_scan_may_begin_below(root, scanned):
    """A hinted directory is scanned with all that is below it, and nothing else."""
    fill(root, "a", "sub/c", "sub/deep/d")
    assert paths(scanned(start="sub")) == ["sub/c", "sub/deep/d"]
    assert paths(scanned(start="no/such")) == []
    assert paths(scanned(start="a")) == []


def test_noise_and_protected_files_are_left_out_with_all_below_them(root, scanned):
    """Ignored directories are not entered."""
    fill(root, ".git/config", "x.part", "cache/a", "own/ledger.db", "own/more/x", "owner", "good")
    batches = scanned(ignore=("cache/", "!own"), protected=(str(root / "own"), "/etc/passwd"))
    assert paths(batches) == ["good", "owner"]
    assert {batch.directory for batch in batches} == {""}
    assert sum(batch.seen for batch in batches) == 2


def test_what_is_no_regular_file_is_named_and_never_followed(root, tmp_path, scanned):
    """Links to directories are told of like links to files, and nothing behind them is seen."""
    outside = tmp_path / "outside"
    fill(outside, "secret")
    (root / "to-directory").symlink_to(outside)
    (root / "to-file").symlink_to(outside / "secret")
    (root / "to-nowhere").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
        kinds = {found.path: found.kind for batch in scanned() for found in batch.found}
    assert kinds == {
        "to-directory": "a symbolic link",
        "to-file": "a symbolic link",
        "to-nowhere": "a symbolic link",
        "pipe": "a pipe",
        "socket": "a socket",
    }


def test_every_name_is_found(root, scanned):
    """Names that are not UTF-8 and names with newlines come out as os.fsdecode gives them."""
    names = [os.fsdecode(b"caf\xe9/\xff"), "new\nline/a\nb", "back\\slash"]
    fill(root, *names)
    assert paths(scanned()) == sorted(names)


def test_a_path_of_any_length_is_found(root, scanned):
    """A tree deeper than PATH_MAX is walked to its end."""
    name = "d" * 200
    directory = os.open(root, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(name, dir_fd=directory)
        below = os.open(name, os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=directory))
    os.close(directory)
    (path,) = paths(scanned())
    assert path == "/".join([name] * 30 + ["file"])


def test_a_missing_folder_is_an_outage_and_not_an_empty_folder(root, scanned):
    """The scan of a folder that is not there says so instead of finding nothing."""
    root.rmdir()
    with pytest.raises(RootOut):
        scanned()


def test_a_directory_replaced_by_a_link_during_the_scan_is_not_entered(root, tmp_path):
    """A link that takes the place of a directory after its parent was read leads nowhere."""
    outside = tmp_path / "outside"
    fill(outside, "secret")
    fill(root, "sub/file")
    batches = scan(str(root), "", known=lambda _: set(), ignores=lambda *_: False)
    first = next(batches)
    (root / "sub").rename(tmp_path / "away")
    (root / "sub").symlink_to(outside)
    assert paths([first, *batches]) == []


def test_a_directory_comes_in_batches(root, scanned):
    """A full directory does not become one long step."""
    fill(root, *(f"f{number:05}" for number in range(BATCH * 2 + 1)))
    batches = scanned()
    assert [len(batch.found) for batch in batches] == [BATCH, BATCH, 1]


def test_a_directory_too_full_to_be_remembered_is_asked_for_in_parts(root, signs_at):
    """Each batch asks for its own names, and only what is new or changed is told."""
    names = [f"f{number:04}" for number in range(BATCH + 10)]
    fill(root, *names, "new", "changed", "sub/deep")
    signs = {name: signs_at(root / name) for name in (*names, "changed")}
    (root / "changed").write_text("other bytes")
    known = {(name, each.size, each.mtime_ns, each.ctime_ns) for name, each in signs.items()}
    asked = []

    def among(directory, some):
        asked.append((directory, len(some)))
        return {one for one in known if not directory and one[0] in some}

    batches = list(
        scan(
            str(root),
            "",
            known=lambda directory: None if not directory else set(),
            among=among,
            ignores=lambda *_: False,
        )
    )
    assert paths(batches) == ["changed", "new", "sub/deep"]
    assert sum(batch.seen for batch in batches) == len(names) + 3
    assert asked == [("", BATCH), ("", len(names) + 3 - BATCH)]


def test_a_date_beyond_what_the_ledger_holds_is_known_again(root, scanned, signs_at):
    """A file from the year 2400 is recorded with the last time that fits, and found unchanged."""
    fill(root, "later")
    os.utime(root / "later", ns=(0, 13_600_000_000 * 10**9))
    if (root / "later").stat().st_mtime_ns <= 2**63 - 1:
        pytest.skip("this file system keeps no time after 2262")
    signs = signs_at(root / "later")
    known = {"": {("later", signs.size, signs.mtime_ns, signs.ctime_ns)}}
    (batch,) = scanned(known)
    assert batch.found == ()
    assert batch.seen == 1


def test_memory_does_not_grow_with_the_folder(root):
    """Five thousand new files in one directory take less than half of what keeping them would."""
    for number in range(5000):
        os.close(os.open(f"{root}/f{number}", os.O_CREAT | os.O_WRONLY))
    tracemalloc.start()
    try:
        count = sum(
            len(batch.found) for batch in scan(str(root), "", known=lambda _: set(), ignores=lambda *_: False)
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 5000
    assert peak < 500_000
