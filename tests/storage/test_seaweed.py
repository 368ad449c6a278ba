"""The whole service against real storage: what it signs, takes and refuses."""

import hashlib
import json
import os
from dataclasses import replace

import pytest

LARGEST = 5 * 1024**3


def md5(content):
    return hashlib.md5(content).hexdigest()


def test_files_arrive_byte_for_byte(bench):
    """Bytes, type and ETag in storage are those of the file, and ION has validated each upload."""
    bench = bench()
    contents = {"1/photo.jpg": b"jpeg" * 1000, "2/report.pdf": os.urandom(3_000_000), "3/empty.csv": b""}
    for path, content in contents.items():
        bench.put(path, content)
    done = bench.once()
    assert done.returncode == 0, done.stderr
    found = {f"{each.object_id}/{each.filename}": each for each in bench.simulator.attachments}
    assert {path: bench.stored(each)[0] for path, each in found.items()} == contents
    assert {path: bench.etag(each) for path, each in found.items()} == {
        path: md5(content) for path, content in contents.items()
    }
    types = {path: bench.stored(each)[1] for path, each in found.items()}
    assert types == {
        "1/photo.jpg": "image/jpeg",
        "2/report.pdf": "application/pdf",
        "3/empty.csv": "text/csv",
    }


@pytest.mark.parametrize(
    "names",
    [
        ["ü n+o&b%20#1.txt", "a?b=c.txt", "per%cent.txt", "semi;colon.txt", "'quote\".txt"],
        ["多.png", "e\u0301.txt", "+plus+.txt", "two  spaces .txt", "~tilde.txt"],
    ],
)
def test_odd_names_are_signed_and_stored(bench, names):
    """Every name makes a key that storage takes under the same signature."""
    bench = bench()
    for name in names:
        bench.put(f"7/{name}", name.encode())
    done = bench.once()
    assert done.returncode == 0, done.stderr
    stored = {each.filename: bench.stored(each)[0].decode() for each in bench.simulator.attachments}
    assert stored == {name: name for name in names}


def test_a_content_type_that_was_not_signed_is_held(bench, crooked):
    """Storage refuses a type that differs from the signed one; a new URL is tried, then a person told."""
    bench = bench(crooked(2, content_type="text/plain"))
    bench.put("4/photo.jpg", b"jpeg")
    bench.put("5/photo.jpg", b"a neighbour")
    bench.write_rules("workers: 1")
    done = bench.once()
    assert done.returncode == 4, done.stderr
    held, attached = sorted(bench.list(), key=lambda row: row["state"] == "done")
    assert (held["state"], held["error"]["kind"], attached["state"]) == ("held", "signature", "done")
    assert "SignatureDoesNotMatch" in held["error"]["message"]
    assert "content type" in held["error"]["hint"]
    bench.call("retry", str(held["id"]))
    assert bench.once().returncode == 0
    assert len(bench.simulator.attachments) == 2


@pytest.mark.parametrize(
    ("times", "attempts", "how"),
    [
        (1, 1, {"ago": 3600}),  # a new URL in the same attempt
        (3, 2, {"ago": 3600}),  # a new URL that is expired as well, then another attempt
        (1, 1, {"content_type": "text/plain"}),
    ],
)
def test_a_new_url_heals(bench, crooked, times, attempts, how):
    """An expired or wrongly signed URL costs one more URL, and where that is no better one more attempt."""
    bench = bench(crooked(times, **how))
    bench.put("6/photo.jpg", b"jpeg")
    done = bench.once()
    assert done.returncode == 0, done.stderr
    (row,) = bench.list()
    assert (row["state"], row["attempts"]) == ("done", attempts)
    assert bench.simulator.call_counts["requestFileUploadUrl"] == times + 1
    assert bench.stored(bench.simulator.attachments[0])[0] == b"jpeg"


def test_an_expired_url_says_so(bench, crooked):
    """The refusal stands in the history in storage's own words, without the signature."""
    bench = bench(crooked(3, ago=3600))
    bench.put("6/photo.jpg", b"jpeg")
    bench.once()
    (row,) = bench.list()
    history = bench.call("show", str(row["id"]), "--json").stdout
    waited = [step for step in json.loads(history)["history"] if step["to"] == "waiting"]
    assert [step["detail"].partition(" (")[2] for step in waited] == ["AccessDenied: Request has expired)"]
    assert "X-Amz" not in history


def test_a_connection_that_is_cut_leaves_nothing_behind(bench, relayed):
    """A transfer cut in the middle stores nothing; the file goes again by a new URL and is whole."""
    storage, relay = relayed(cuts=1, after=300_000)
    bench = bench(storage)
    content = os.urandom(5_000_000)
    bench.put("8/large.png", content)
    done = bench.once()
    assert done.returncode == 0, done.stderr
    assert relay.cut == 1
    assert bench.simulator.call_counts["requestFileUploadUrl"] == 2
    (attachment,) = bench.simulator.attachments
    assert bench.stored(attachment)[0] == content


def test_a_file_over_5_gib_is_refused_before_anything_is_asked(bench):
    """One byte more than S3 takes in a PUT: held at once, unread, and ION is not asked for a URL."""
    bench = bench()
    file = bench.put("9/disk.img", b"")
    os.truncate(file, LARGEST + 1)
    driver = bench.driver("from attachd.core import settling\nsettling.LONG_WAIT_FLOOR = 0.2\n")
    done = bench.call("run", "--once", driver=driver)
    assert done.returncode == 4, done.stderr
    (row,) = bench.list()
    assert (row["state"], row["error"]["kind"], row["sha256"]) == ("held", "too_large", None)
    assert "5,368,709,121" in row["error"]["message"]
    assert "limits.max_file_size" in row["error"]["hint"]
    assert bench.simulator.call_counts["requestFileUploadUrl"] == 0


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"bucket": "no-such-bucket"}, "rejected", "NoSuchBucket"),
        ({"access_key": "AKIAUNKNOWN"}, "rejected", "InvalidAccessKeyId"),
        ({"secret_key": "another"}, "signature", "SignatureDoesNotMatch"),
    ],
)
def test_refusals_that_only_the_operator_can_mend(bench, weed, change, kind, words):
    """A URL that storage refuses for good is held, with what storage said."""
    bench = bench(replace(weed, **change))
    bench.put("10/photo.jpg", b"jpeg")
    assert bench.once().returncode == 4
    (row,) = bench.list()
    assert (row["state"], row["error"]["kind"]) == ("held", kind)
    assert words in row["error"]["message"]
    assert row["error"]["hint"]


def test_an_object_that_is_gone_is_uploaded_again(bench, weed):
    """ION's HEAD finds nothing: the registration is refused, and the file is sent once more."""

    class Forgetful(type(weed)):
        asked = 0

        def etag(self, key, *, now):
            type(self).asked += 1
            return None if type(self).asked == 1 else super().etag(key, now=now)

    fields = ("endpoint", "bucket", "access_key", "secret_key", "region")
    bench = bench(Forgetful(**{name: getattr(weed, name) for name in fields}))
    bench.put("11/photo.jpg", b"jpeg")
    done = bench.once()
    assert done.returncode == 0, done.stderr
    assert bench.simulator.call_counts["createFileAttachment"] == 2
    assert bench.simulator.call_counts["requestFileUploadUrl"] == 2


def test_storage_that_is_down_leaves_everything_for_later(bench, weed):
    """Nobody at the storage's address: the run ends with 75, and the file waits."""
    bench = bench(replace(weed, endpoint="http://127.0.0.1:9"))
    bench.put("12/photo.jpg", b"jpeg")
    assert bench.once().returncode == 75
    (row,) = bench.list()
    assert row["state"] in {"ready", "waiting"}
    assert row["error"]["kind"] == "network"
