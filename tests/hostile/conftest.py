"""A bench with a hostile drop folder: what lies beside it must neither be read nor change nor leave."""

import ctypes
import hashlib
import os
import re
import struct

import pytest
from tests.service import conftest as service

simulator = service.simulator
bench = service.bench
_quiet_environment = service._quiet_environment

CANARY = b"canary-bytes-that-lie-outside"
RAW_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_IN_ACCESS, _IN_MODIFY, _IN_ATTRIB, _IN_OPEN = 0x1, 0x2, 0x4, 0x20  # inotify(7)
_IN_MOVED_OR_MADE_OR_DELETED = 0x40 | 0x80 | 0x100 | 0x200
_TOLD = _IN_ACCESS | _IN_MODIFY | _IN_ATTRIB | _IN_OPEN | _IN_MOVED_OR_MADE_OR_DELETED


class Outside:
    """A directory beside the folder, with canary files; whatever opens or changes one of them is noticed."""

    def __init__(self, path):
        self.path = path
        (path / "deep").mkdir(parents=True)
        self.file = path / "secret.png"
        self.file.write_bytes(CANARY)
        (path / "deep" / "secret.png").write_bytes(CANARY + b", deeper")
        libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._inotify >= 0
        for directory in (path, path / "deep"):
            assert libc.inotify_add_watch(self._inotify, os.fsencode(directory), _TOLD) >= 0

    def touched(self):
        """Give the names in it that were opened, read or changed since the last call."""
        names = []
        try:
            data = os.read(self._inotify, 65536)
        except BlockingIOError:
            return names
        while data:
            length = struct.unpack_from("iIII", data)[3]
            names.append(data[16 : 16 + length].rstrip(b"\0").decode())
            data = data[16 + length :]
        return [name for name in names if name and name != "deep"]

    def close(self):
        os.close(self._inotify)


@pytest.fixture
def outside(tmp_path):
    """Lay canary files beside the folder; at the end nobody may have opened or changed one."""
    place = Outside(tmp_path / "outside")
    yield place
    touched = place.touched()
    place.close()
    assert touched == []
    assert place.file.read_bytes() == CANARY


@pytest.fixture
def nothing_leaked(simulator):
    """Assert that no stored object holds canary bytes."""

    def check():
        leaked = [put.s3_key for put in simulator.puts if CANARY in put.path.read_bytes()]
        assert leaked == []
        digests = {hashlib.sha256(CANARY).hexdigest(), hashlib.sha256(CANARY + b", deeper").hexdigest()}
        assert digests.isdisjoint(attachment.sha256 for attachment in simulator.attachments)

    return check


@pytest.fixture
def clean():
    """Assert that a text can be shown on a terminal: no control character but line feed and tab."""

    def check(text):
        found = RAW_CONTROL.search(text)
        assert found is None, f"{found[0]!r} in {text[max(0, found.start() - 80) : found.end() + 80]!r}"

    return check


@pytest.fixture
def rules_with(bench):
    """Write a rules.yaml in which one rule takes everything; `more` are lines of that rule."""

    def write(*more, folder="", destination=""):
        bench.rules.write_text(
            f"""\
version: 1
destinations:
  ion:
    kind: ion
    url: {bench.simulator.graphql_url}
    token: {bench.simulator.token}
    retry: {{first: 100ms, cap: 500ms, give_up_after: 7d}}
    {destination}
folders:
  - path: drop
    existing: upload
    settle: 200ms
    rescan: 500ms
    {folder}
    rules:
      - name: all
        match: "**"
        to: ion
        target: {{run: "7"}}
"""
            + "".join(f"        {line}\n" for line in more)
        )

    return write
