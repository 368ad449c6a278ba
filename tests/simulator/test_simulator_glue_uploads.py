import base64
import hashlib
import tracemalloc
from urllib.parse import urlsplit

import pytest
from tests.simulator.raw import send_raw

from attachd.simulator import Simulator

BODY = b"hello\r\n--frontie is no boundary"


@pytest.fixture
def form(glue_to):
    """Speak to a Glue whose tickets ask for forms."""
    with Simulator(glue_upload="post") as simulator:
        yield glue_to(simulator)


@pytest.mark.parametrize("body", [b"hello", b""])
def test_a_put_with_the_tickets_headers_is_stored(glue, simulator, body):
    """A PUT that bears exactly the returned headers is taken, of zero bytes too, and may be repeated."""
    ticket = glue.ticket(body)
    assert [glue.put(ticket, body).status for _ in range(2)] == [200, 200]
    assert simulator.puts[0].sha256 == hashlib.sha256(body).hexdigest()
    assert simulator.puts[0].content_type == "text/plain"
    assert glue.create(ticket)["data"]["createFile"]["name"] == "a.txt"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "image/png"}, 403, "SignatureDoesNotMatch"),
        ({"Content-Type": None}, 403, "SignatureDoesNotMatch"),
        ({"x-amz-acl": None}, 403, "SignatureDoesNotMatch"),
        ({"x-amz-acl": "public-read"}, 403, "SignatureDoesNotMatch"),
        ({"x-amz-meta-ticket": "upl_0"}, 403, "SignatureDoesNotMatch"),
        ({"Content-MD5": None}, 403, "SignatureDoesNotMatch"),
        ({"x-amz-meta-more": "1"}, 403, "AccessDenied"),
        ({"Authorization": "Bearer x"}, 400, "InvalidArgument"),
        ({"Content-Length": str(6 * 1024**3)}, 400, "EntityTooLarge"),
    ],
)
def test_a_put_with_other_headers_is_refused(glue, simulator, headers, status, code):
    """Every returned header must come as it is, and no other x-amz-* or Authorization beside them."""
    answer = glue.put(glue.ticket(), b"hello", **headers)
    assert (answer.status, answer.code) == (status, code)
    assert simulator.puts == ()


@pytest.mark.parametrize(
    ("body", "code"), [(b"hullo", "BadDigest"), (b"hello!", "EntityTooLarge"), (b"hell", "EntityTooSmall")]
)
@pytest.mark.parametrize("way", ["glue", "form"])
def test_other_bytes_than_announced_are_refused(request, way, body, code):
    """MD5 and length of the ticket hold for what is uploaded, by a PUT and by a form; nothing is kept."""
    to = request.getfixturevalue(way)
    ticket = to.ticket(b"hello")
    answer = to.upload(ticket, body)
    assert (answer.status, answer.code) == (400, code)
    assert to.simulator.puts == ()
    assert "not uploaded" in to.create(ticket)["errors"][0]["message"]


@pytest.mark.parametrize("way", ["glue", "form"])
def test_a_file_that_was_created_is_not_replaced(request, way):
    """A ticket takes no more bytes once its file exists."""
    to = request.getfixturevalue(way)
    ticket = to.ticket(b"hello")
    to.upload(ticket, b"hello")
    to.create(ticket)
    answer = to.upload(ticket, b"hello")
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert len(to.simulator.puts) == 1


def test_a_header_that_comes_twice_is_not_the_signed_one(glue):
    """Two Content-Type headers are not the one that was signed."""
    ticket = glue.ticket()
    split = urlsplit(ticket["url"])
    lines = [f"{each['name']}: {each['value']}" for each in ticket["headers"]]
    lines = [f"PUT {split.path}?{split.query} HTTP/1.1", "Content-Length: 5", *lines, lines[0], "\r\n"]
    answer = send_raw(glue.simulator, "\r\n".join(lines), b"hello")
    assert b"<Code>SignatureDoesNotMatch</Code>" in answer


def test_a_ticket_ends(glue_to):
    """An upload after the ticket's time is refused, by a PUT and by a form."""
    for way, text in (("put", b"Request has expired"), ("post", b"Policy expired")):
        now = [1_800_000_000.0]
        with Simulator(glue_upload=way, url_lifetime=60, clock=lambda now=now: now[0]) as simulator:
            glue = glue_to(simulator)
            ticket = glue.ticket()
            now[0] += 60
            answer = glue.upload(ticket, b"hello")
            assert (answer.status, answer.code) == (403, "AccessDenied")
            assert text in answer.body


@pytest.mark.parametrize("status", [204, 200, 201])
@pytest.mark.parametrize("body", [BODY, b""])
def test_a_form_is_stored(glue_to, status, body):
    """A form in the ticket's order with the file last is taken, and answered as the ticket says."""
    with Simulator(glue_upload="post", glue_success=status, glue_file_field="bytes") as simulator:
        glue = glue_to(simulator)
        ticket = glue.ticket(body, name="a&b.txt")
        answer = glue.upload(ticket, body, filename="a&b.txt")
        assert (answer.status, bool(answer.body)) == (status, status == 201)
        assert answer.etag == hashlib.md5(body).hexdigest()
        assert simulator.puts[0].sha256 == hashlib.sha256(body).hexdigest()
        assert glue.create(ticket)["data"]["createFile"]["name"] == "a&b.txt"


def test_the_file_entry_is_not_always_last(form):
    """Every second ticket has its @file entry in the middle, and each names a bare multipart/form-data."""
    tickets = [form.ticket(), form.ticket()]
    places = [[each["value"] for each in ticket["formData"]].index("@file") for ticket in tickets]
    assert places == [4, 9]
    assert [len(ticket["formData"]) for ticket in tickets] == [10, 10]
    assert tickets[0]["headers"][0] == {"name": "Content-Type", "value": "multipart/form-data"}
    for ticket in tickets:
        assert form.upload(ticket, b"hello").status == 204


def _without(name):
    return lambda parts: [part for part in parts if part[0] != name]


def _with(name, value):
    return lambda parts: [(each, value if each == name else old) for each, old in parts]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (_without("key"), 400, "InvalidArgument"),
        (_without("x-amz-meta-ticket"), 403, "AccessDenied"),
        (_without("x-amz-signature"), 403, "AccessDenied"),
        (_with("key", b"files/other"), 403, "AccessDenied"),
        (_with("Content-Type", b"image/png"), 403, "AccessDenied"),
        (_with("success_action_status", b"200"), 403, "AccessDenied"),
        (_with("policy", b"e30="), 403, "AccessDenied"),
        (lambda parts: [("more", b"1"), *parts], 403, "AccessDenied"),
        (lambda parts: [parts[0], *parts], 403, "AccessDenied"),
        (lambda parts: [parts[1], parts[0], *parts[2:]], 400, "InvalidArgument"),
        (lambda parts: [parts[-1], *parts[:-1]], 400, "InvalidArgument"),
        (lambda parts: [*parts[:4], parts[-1], *parts[4:-1]], 403, "AccessDenied"),
        (lambda parts: [*parts, ("more", b"1")], 400, "InvalidArgument"),
        (lambda parts: parts[:-1], 400, "IncorrectNumberOfFilesInPostRequest"),
        (lambda parts: [*parts[:-1], ("file", b"hello")], 403, "AccessDenied"),
        (lambda parts: [*parts[:-1], ('upload"; filename="a"', b"hello")], 400, "IncorrectNumberOfFiles"),
        (lambda parts: [("key", b"x" * 30_000), *parts[1:]], 400, "MalformedPOSTRequest"),
        (lambda parts: [*parts[:-1], ("x" * 10_000, b"hello")], 400, "MalformedPOSTRequest"),
    ],
)
def test_a_form_of_other_fields_is_refused(form, change, status, code):
    """Each field exactly, in order, none besides, the file after them, and nothing after the file."""
    ticket = form.ticket()
    answer = form.send_form(ticket, change(form.form(ticket, b"hello")))
    assert answer.status == status
    assert answer.code.startswith(code)
    assert form.simulator.puts == ()
    assert form.upload(ticket, b"hello").status == 204


@pytest.mark.parametrize("file", [{"content_type": "image/png"}, {"filename": ""}])
def test_the_file_part_tells_type_and_name(form, file):
    """The part of the file has the file's Content-Type and a filename."""
    answer = form.upload(form.ticket(), b"hello", **file)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({"content_type": "multipart/form-data"}, 412, "PreconditionFailed"),
        ({"content_type": "multipart/form-data; charset=x"}, 400, "MalformedPOSTRequest"),
        ({"content_type": "text/plain; boundary=frontier"}, 412, "PreconditionFailed"),
        ({"content_type": "multipart/form-data; boundary=other"}, 400, "MalformedPOSTRequest"),
        ({"end": ""}, 400, "MalformedPOSTRequest"),
        ({"end": "??"}, 400, "MalformedPOSTRequest"),
        ({"end": "--\r\nmore"}, 400, "MalformedPOSTRequest"),
        ({"X-Upload-Ticket": None}, 403, "AccessDenied"),
        ({"X-Upload-Ticket": "upl_0"}, 403, "AccessDenied"),
        ({"x-amz-acl": "private"}, 403, "AccessDenied"),
        ({"Authorization": "Bearer x"}, 400, "InvalidArgument"),
        ({"Content-Length": str(6 * 1024**3)}, 400, "EntityTooLarge"),
    ],
)
def test_a_form_of_other_headers_is_refused(form, given, status, code):
    """The returned headers must come back, with a boundary in the Content-Type that the body keeps to."""
    ticket = form.ticket()
    answer = form.send_form(ticket, form.form(ticket, b"hello"), **given)
    assert (answer.status, answer.code) == (status, code)
    assert form.simulator.puts == ()


def test_a_part_without_a_name_is_malformed(form):
    """A part must say which field it is."""
    ticket = form.ticket()
    body = b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n"
    headers = {"Content-Type": 'multipart/form-data; boundary="b"', "X-Upload-Ticket": ticket["id"]}
    answer = form.wire.request("POST", ticket["url"], body, headers)
    assert (answer.status, answer.code) == (400, "MalformedPOSTRequest")


@pytest.mark.parametrize(
    ("extra", "status", "code"),
    [([], 411, "MissingContentLength"), (["Transfer-Encoding: chunked"], 501, "NotImplemented")],
)
@pytest.mark.parametrize("way", ["glue", "form"])
def test_the_length_is_told_and_nothing_is_chunked(request, way, extra, status, code):
    """An upload without Content-Length, or in chunks, is refused."""
    to = request.getfixturevalue(way)
    ticket = to.ticket()
    split = urlsplit(ticket["url"])
    method, path = "PUT" if way == "glue" else "POST", f"{split.path}?{split.query}"
    lines = [f"{each['name']}: {each['value']}" for each in ticket["headers"]]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {split.netloc}", *lines, *extra])
    answer = send_raw(to.simulator, head + "\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert f"<Code>{code}</Code>".encode() in answer


def test_nothing_is_stored_of_a_form_that_was_cut(form):
    """A connection that ends within the file leaves no object, and no answer."""
    ticket = form.ticket()
    path = urlsplit(ticket["url"]).path
    parts = form.form(ticket, b"hello")
    lines = [
        f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v.decode()}\r\n' for n, v in parts[:-1]
    ]
    file = '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
    file += "Content-Type: text/plain\r\n\r\nhel"
    head = f"POST {path} HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    head += f"X-Upload-Ticket: {ticket['id']}\r\nContent-Length: 4000\r\n\r\n"
    assert send_raw(form.simulator, head + "".join(lines) + file) == b""
    assert form.simulator.puts == ()


def test_a_form_wants_a_ticket_for_forms(glue):
    """A ticket that is none, or that asks for a PUT, takes no form."""
    for ticket_id in ("upl_none", glue.ticket()["id"]):
        url = f"{glue.simulator.url}/storage/form/{ticket_id}"
        answer = glue.wire.request("POST", url, b"x", {"Content-Type": "multipart/form-data; boundary=b"})
        assert (answer.status, answer.code) == (404, "NoSuchBucket")


@pytest.mark.parametrize("do", ["reset_mid_body", {"etag": "abc-2"}, "no_etag", "expired"])
def test_faults_of_put_strike_forms_too(form, do):
    """What can happen to a PUT can happen to a form."""
    form.simulator.fault(call="put", do=do, match={"filename": "a.txt"})
    ticket = form.ticket()
    if do == "reset_mid_body":
        with pytest.raises(ConnectionError):
            form.upload(ticket, b"hello")
    else:
        answer = form.upload(ticket, b"hello")
        assert answer.status == (403 if do == "expired" else 204)
        assert answer.headers["ETag"] == ('"abc-2"' if isinstance(do, dict) else None)
    assert form.simulator.faults_left == []


def test_a_large_form_is_never_in_memory(form):
    """A form of 64 MiB is received while the memory in use grows by less than 8 MiB."""
    block, digest = b"\xa5" * 1024 * 1024, hashlib.md5()
    for _ in range(64):
        digest.update(block)
    md5 = base64.b64encode(digest.digest()).decode()
    ticket = form.ticket(contentLength=str(64 * len(block)), contentMD5=md5)
    *fields, (name, _) = form.form(ticket, b"")
    head = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v.decode()}\r\n' for n, v in fields
    )
    head += f'--b\r\nContent-Disposition: form-data; name="{name}\r\n\r\n'
    length = len(head) + 64 * len(block) + len("\r\n--b--\r\n")
    headers = {"Content-Type": "multipart/form-data; boundary=b", "X-Upload-Ticket": ticket["id"]}
    tracemalloc.start()
    try:
        blocks = (part for part in [head.encode(), *[block] * 64, b"\r\n--b--\r\n"])
        headers["Content-Length"] = str(length)
        answer = form.wire.request("POST", ticket["url"], blocks, headers)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == 204
    assert peak < 8 * 1024 * 1024
    assert form.simulator.puts[0].md5 == digest.hexdigest()
