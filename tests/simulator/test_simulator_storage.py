import hashlib
import re
import tracemalloc
from urllib.parse import urlsplit

import pytest
from tests.simulator.raw import send_raw

from attachd.simulator import Simulator


def _head(upload, *headers):
    split = urlsplit(upload["uploadUrl"])
    lines = [f"PUT {split.path}?{split.query} HTTP/1.1", f"Host: {split.netloc}", *headers]
    return "\r\n".join(lines) + "\r\n\r\n"


def test_a_put_answers_with_the_quoted_md5_and_is_recorded(wire, simulator):
    """The ETag is the MD5 in quotes, and the record has size and hashes."""
    answer = wire.put(wire.open("x.txt"), b"hello")
    assert answer.headers["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    (put,) = simulator.puts
    assert (put.size, put.sha256) == (5, hashlib.sha256(b"hello").hexdigest())
    assert (put.filename, put.content_type) == ("x.txt", "text/plain")


def test_an_empty_file_is_stored(wire, simulator):
    """A PUT of zero bytes with Content-Length: 0 is an object like others."""
    assert wire.put(wire.open(), b"").status == 200
    assert simulator.puts[0].size == 0


@pytest.mark.parametrize(
    ("headers", "status", "code", "text"),
    [
        ({"Content-Type": "image/png"}, 403, "SignatureDoesNotMatch", "does not match"),
        ({"Content-Type": ""}, 403, "SignatureDoesNotMatch", "does not match"),
        ({"Authorization": "Bearer x"}, 400, "InvalidArgument", "Only one auth mechanism allowed"),
        ({"x-amz-meta-a": "b"}, 403, "AccessDenied", "headers present in the request which were not signed"),
        ({"Content-Length": str(6 * 1024**3)}, 400, "EntityTooLarge", "exceeds the maximum"),
    ],
)
def test_headers_that_were_not_signed_are_refused(wire, simulator, headers, status, code, text):
    """Another Content-Type, an Authorization, an x-amz-* header or a body over 5 GiB is refused as by S3."""
    upload = wire.open()
    answer = wire.put(upload, **headers)
    assert (answer.status, answer.code) == (status, code)
    assert text in answer.body.decode()
    assert simulator.puts == ()
    assert wire.put(upload).status == 200, "a refused PUT does not use the URL up"


def test_a_put_without_content_type_is_refused(wire):
    """Leaving the signed Content-Type out breaks the signature."""
    upload = wire.open()
    answer = wire.request("PUT", upload["uploadUrl"], b"hello")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("pattern", "replacement", "code"),
    [
        (r"(Signature=.)", r"\g<1>0", "SignatureDoesNotMatch"),
        (r"Expires=300", "Expires=99999", "SignatureDoesNotMatch"),
        (r"photo", "other", "SignatureDoesNotMatch"),
        (r"Expires=300", "Expires=soon", "AuthorizationQueryParametersError"),
        (r"$", "&more=1", "SignatureDoesNotMatch"),
        (r"&X-Amz-Signature=.*", "", "AccessDenied"),
        (r"\?.*", "", "AccessDenied"),
    ],
)
def test_a_tampered_url_is_refused(wire, simulator, pattern, replacement, code):
    """Neither signature, time nor key of a signed URL can be changed."""
    upload = wire.open()
    changed = re.sub(pattern, replacement, upload["uploadUrl"])
    assert changed != upload["uploadUrl"]
    answer = wire.put({**upload, "uploadUrl": changed})
    assert answer.code == code
    assert answer.status == (400 if code.startswith("Authorization") else 403)
    assert simulator.puts == ()


def test_an_upload_url_serves_once(wire, simulator):
    """The second PUT to an upload URL is refused."""
    upload = wire.open()
    assert wire.put(upload, b"first").status == 200
    again = wire.put(upload, b"second")
    assert (again.status, again.code) == (403, "AccessDenied")
    assert [put.size for put in simulator.puts] == [5]


def test_urls_end_with_their_time(wire_to):
    """Upload and download URLs are refused from the second on at which their time is over."""
    now = [1_800_000_000.0]
    with Simulator(url_lifetime=60, clock=lambda: now[0]) as simulator:
        wire = wire_to(simulator)
        download = wire.attach()["downloadUrl"]
        late, early = wire.open(), wire.open()
        now[0] += 59
        assert wire.put(early).status == 200
        assert wire.request("GET", download).status == 200
        now[0] += 1
        for answer in (wire.put(late), wire.request("GET", download)):
            assert (answer.status, answer.code) == (403, "AccessDenied")
            assert b"<Message>Request has expired</Message>" in answer.body


def test_a_put_without_a_length_is_refused(wire, simulator):
    """Without Content-Length storage answers 411."""
    upload = wire.open()
    answer = send_raw(simulator, _head(upload, f"Content-Type: {upload['contentType']}"), b"hello")
    assert answer.startswith(b"HTTP/1.1 411 ")
    assert b"<Code>MissingContentLength</Code>" in answer


@pytest.mark.parametrize("extra", [[], ["Content-Length: 5"]])
def test_a_chunked_put_is_refused(wire, simulator, extra):
    """Chunks are answered with 501, also where a length is told besides."""
    upload = wire.open()
    head = _head(upload, f"Content-Type: {upload['contentType']}", "Transfer-Encoding: chunked", *extra)
    answer = send_raw(simulator, head, b"5\r\nhello\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 501 ")
    assert b"<Code>NotImplemented</Code>" in answer
    assert b"<Header>Transfer-Encoding</Header>" in answer
    assert simulator.puts == ()


def test_nothing_is_stored_of_a_body_that_was_cut(wire, simulator):
    """A connection that ends before Content-Length was reached leaves no object."""
    upload = wire.open()
    head = _head(upload, f"Content-Type: {upload['contentType']}", "Content-Length: 100")
    assert send_raw(simulator, head, b"x" * 40) == b""
    assert simulator.puts == ()
    refused = wire.register(upload["s3Key"], hashlib.md5(b"x" * 40).hexdigest())
    assert "no object" in refused["errors"][0]["message"]


def test_an_upload_url_does_not_download_and_a_download_url_does_not_upload(wire):
    """A signature holds for one method only."""
    upload = wire.open()
    wire.put(upload)
    assert wire.request("GET", upload["uploadUrl"]).code == "SignatureDoesNotMatch"
    download = wire.attach()["downloadUrl"]
    answer = wire.request("PUT", download, b"x", {"Content-Type": "image/jpeg"})
    assert answer.code == "SignatureDoesNotMatch"


def test_an_object_that_is_not_there_is_no_such_key(wire):
    """The download URL of an attachment without bytes answers 404."""
    made = wire.register("uploads/none/x&y.jpg", "0" * 32, validate=False)
    answer = wire.request("GET", made["data"]["createFileAttachment"]["fileAttachment"]["downloadUrl"])
    assert (answer.status, answer.code) == (404, "NoSuchKey")
    assert b"x&amp;y.jpg" in answer.body


def test_a_large_body_is_never_in_memory(wire, simulator):
    """64 MiB are received while the memory in use grows by less than 8 MiB."""
    block = b"\xa5" * (1024 * 1024)
    digest = hashlib.sha256()
    for _ in range(64):
        digest.update(block)
    upload = wire.open("big.bin")
    tracemalloc.start()
    try:
        answer = wire.put(upload, (block for _ in range(64)), **{"Content-Length": str(64 * len(block))})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == 200
    assert peak < 8 * 1024 * 1024
    assert (simulator.puts[0].size, simulator.puts[0].sha256) == (64 * len(block), digest.hexdigest())
