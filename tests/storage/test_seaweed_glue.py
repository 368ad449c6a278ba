"""Glue with real storage behind it: SeaweedFS checks what the tickets sign, headers and form policy alike."""

import hashlib
import os
import time
from io import BytesIO

import pytest
from PIL import Image

from attachd.simulator.signing import Subject

RULES = """
version: 1
destinations:
  glue:
    kind: glue
    url: {url}
    token: {token}
    retry: {{first: 50ms, cap: 200ms, give_up_after: 7d}}
    timeouts: {{connect: 2s, read: 10s}}
folders:
  - path: drop
    existing: upload
    settle: 100ms
    rescan: 500ms
    rules:
      - name: all
        match: "**/*"
        to: glue
        target: {{message: "New {{file}}"}}
"""


@pytest.fixture(params=["put", "post"])
def glue(request, bench):
    """A bench whose folder leads to Glue, in each manner of uploading."""
    bench = bench(glue_upload=request.param)
    simulator = bench.simulator
    bench.rules.write_text(RULES.format(url=simulator.glue_url, token=simulator.glue_token))
    return bench


def photo():
    made = BytesIO()
    Image.new("RGB", (320, 200), "red").save(made, "JPEG")
    return made.getvalue()


def stored(glue, fetch):
    """Bytes, type and MD5 of what storage has, by the file's name at Glue."""
    found = {}
    for file in glue.simulator.files:
        url = glue.storage.url(Subject(method="GET", key=file.key), now=time.time(), lifetime=60)
        status, content, content_type = fetch("GET", url)
        assert status == 200
        found[file.name] = (content, content_type)
        assert glue.storage.etag(file.key, now=time.time()) == hashlib.md5(content).hexdigest()
    return found


def test_files_arrive_byte_for_byte_at_glue(glue, fetch):
    """Bytes and type in storage are those of the file, and each has its measures and one message."""
    contents = {
        "photo.jpg": (photo(), "image/jpeg"),
        "report.pdf": (os.urandom(3_000_000), "application/pdf"),
        "empty.csv": (b"", "text/csv"),
        "ü n+o&b%20#1;'\".txt": (b"odd name", "text/plain"),
    }
    for name, (content, _) in contents.items():
        glue.put(name, content)
    done = glue.once()
    assert done.returncode == 0, done.stderr
    assert stored(glue, fetch) == contents
    measures = {file.name: file.metadata.get("width") for file in glue.simulator.files}
    assert measures == {**dict.fromkeys(contents), "photo.jpg": 320}
    hung = sorted(message.attachments for message in glue.simulator.messages)
    assert hung == sorted((file.id,) for file in glue.simulator.files)


def test_the_same_bytes_are_not_stored_again(glue, fetch):
    """A second name for bytes that Glue has costs a message and no transfer."""
    content = os.urandom(100_000)
    glue.put("first.bin", content)
    assert glue.once().returncode == 0
    glue.put("second.bin", content)
    assert glue.once().returncode == 0
    assert list(stored(glue, fetch)) == ["first.bin"]
    assert [message.text for message in glue.simulator.messages] == ["New first.bin", "New second.bin"]
    assert glue.simulator.call_counts["create"] == 1
