"""Bytes to Glue's storage, by PUT and in a form."""

import hashlib
import tracemalloc
from base64 import b64encode
from dataclasses import replace

import pytest

from attachd.errors import FileChanged, Trouble
from attachd.model import ErrorKind, Severity

MANY = 64 * 1024 * 1024


@pytest.fixture
def send(parcel):
    """Do what the pipeline does up to `put`; give the ticket and the receipt."""

    def go(glue, file, filename="report.pdf"):
        upload = parcel(file, filename)
        upload = replace(upload, facts=glue.describe(upload, file))
        ticket = glue.open(upload)
        file.rewind()
        return ticket, glue.put(ticket, upload, file)

    return go


def test_the_ticket_is_asked_for_as_the_page_says(glue, small, content, send):
    """Name, length as text, the raw MD5 in base64 and the type are told, and no size of no picture."""
    send(glue, content(b"abc"))
    (asked,) = small.asked("uploadTicket")
    assert asked["input"] == {
        "name": "report.pdf",
        "contentLength": "3",
        "contentMD5": b64encode(hashlib.md5(b"abc").digest()).decode(),
        "contentType": "application/pdf",
    }
    assert "__typename" in small.calls[0].json["query"]


def test_a_put_has_exactly_the_headers_it_was_given(glue, small, content, send, secret_words):
    """Storage gets the headers of the ticket as they are, its length, and no credential of ours."""
    small.headers += [
        {"name": "Content-MD5", "value": "kAFQmDzST7DWlj99KOF/cg=="},
        {"name": "authorization", "value": "storage's own"},
        {"name": "X-Odd", "value": "a;b = ü"},
    ]
    send(glue, content(b"abc"))
    (stored,) = small.stored
    given = {name.lower(): value for name, value in stored.headers}
    own = {name: given.pop(name) for name in ("host", "user-agent", "accept-encoding", "content-length")}
    assert (own["content-length"], own["accept-encoding"]) == ("3", "identity")
    assert given == {
        "content-type": "application/pdf",
        "x-amz-acl": "private",
        "content-md5": "kAFQmDzST7DWlj99KOF/cg==",
        "authorization": "storage's own",
        "x-odd": "a;b = ü",
    }
    assert (stored.method, stored.start) == ("PUT", b"abc")
    assert secret_words[0] not in str(stored)


def test_headers_of_the_connection_are_ours(glue, small, content, send):
    """What a ticket says about host, length and connection is not forwarded."""
    ours = ("Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect")
    small.headers = [{"name": name, "value": "odd"} for name in ours]
    send(glue, content(b"abc"))
    assert small.stored[0].header("Host") == f"127.0.0.1:{small.server_port}"
    assert small.stored[0].header("Content-Length") == "3"
    assert "odd" not in dict(small.stored[0].headers).values()


@pytest.mark.parametrize("headers", [None, []])
@pytest.mark.parametrize("form", [None, []])
def test_a_ticket_without_headers_and_form_is_a_plain_put(glue, small, content, send, headers, form):
    """Null and an empty list say the same: no header is added, not even a type, and there is no form."""
    small.headers, small.form = headers, form
    send(glue, content(b"abc"))
    assert (small.stored[0].method, small.stored[0].header("Content-Type")) == ("PUT", None)


def test_a_form_keeps_order_and_values_and_ends_with_the_file(glue, small, content, send):
    """Fields come in their order with their values as given, then the file under its given name."""
    small.use_form()
    send(glue, content(b"\r\n--x\x00abc"), 'a "b"\r\nc.pdf')
    (stored,) = small.stored
    assert stored.method == "POST"
    expected = [each for each in small.form if each["value"] != "@file"]
    named = [(f'Content-Disposition: form-data; name="{each["name"]}"', each["value"]) for each in expected]
    *fields, (head, file) = stored.parts
    assert [(name, value.decode()) for name, value in fields] == named
    assert head.splitlines() == [
        'Content-Disposition: form-data; name="file"; filename="a %22b%22%0D%0Ac.pdf"',
        "Content-Type: application/pdf",
    ]
    assert file == b"\r\n--x\x00abc"


def test_a_form_is_sent_with_its_length_and_boundary(glue, small, content, send):
    """The type that carries the boundary takes the place of the given one; other headers stay."""
    small.use_form()
    send(glue, content(b"abc"))
    send(glue, content(b"abd"))
    first, second = small.stored
    assert first.header("Content-Length") == str(len(first.start)) == str(first.size)
    assert first.header("Transfer-Encoding") is None
    assert first.header("x-amz-acl") == "private"
    types = [value for name, value in first.headers if name.lower() == "content-type"]
    assert len(types) == 1
    assert types[0].startswith("multipart/form-data; boundary=")
    assert types[0] != second.header("Content-Type")


@pytest.mark.parametrize("in_form", [False, True])
def test_an_empty_file_is_sent(glue, small, content, send, in_form):
    """A file of zero bytes goes like any other, with its length."""
    small.use_form(in_form)
    send(glue, content())
    (stored,) = small.stored
    assert stored.header("Content-Length") == str(len(stored.start))
    assert (stored.parts[-1][1] if in_form else stored.start) == b""


@pytest.mark.parametrize("in_form", [False, True])
def test_a_large_file_needs_no_memory(glue, small, content, send, parcel, in_form):
    """Whatever the size, some blocks of it are in memory and no more."""
    small.use_form(in_form)
    file = content(zeros=MANY)
    send(glue, content(b"warm"))
    tracemalloc.start()
    send(glue, file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert small.stored[-1].size >= MANY
    assert peak < MANY / 4


@pytest.mark.parametrize("in_form", [False, True])
@pytest.mark.parametrize("status", [200, 201, 204])
def test_storage_may_say_yes_in_three_ways(glue, small, content, send, in_form, status):
    """200, 201 and 204 are success, with an ETag or without."""
    small.use_form(in_form)
    small.storage_says(status)
    _, receipt = send(glue, content(b"abc"))
    assert receipt["upload_ticket_id"] == "upl_1"


@pytest.mark.parametrize("in_form", [False, True])
@pytest.mark.parametrize("status", [202, 206, 301, 303, 307])
def test_anything_else_is_no_success(glue, small, content, send, in_form, status):
    """Another answer, a redirect above all, is not followed and not taken for success."""
    small.use_form(in_form)
    small.storage_says(status, headers={"Location": small.upload_url("elsewhere")})
    with pytest.raises(Trouble) as caught:
        send(glue, content(b"abc"))
    assert (caught.value.kind, caught.value.severity) == (ErrorKind.REJECTED, Severity.LASTING)
    assert len(small.stored) == 1


REFUSALS = [
    ("EntityTooLarge", "Your proposed upload exceeds the maximum", 400, "too_large", False, False),
    ("AccessDenied", "Invalid according to Policy: Policy expired.", 403, "expired", True, False),
    ("AccessDenied", "Invalid according to Policy: Condition failed", 403, "permission", True, False),
    ("BadDigest", "The Content-MD5 you specified did not match", 400, "integrity", False, True),
    ("MalformedPOSTRequest", "The body is not well-formed", 400, "rejected", False, False),
    ("InvalidPolicyDocument", "No valid policy", 400, "rejected", False, False),
    ("SlowDown", "Reduce your rate", 503, "throttled", False, False),
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusals_of_storage_are_understood(glue, small, content, send, refusal):
    """What S3 says about a form decides what happens next, as for a PUT."""
    code, message, status, kind, fresh_url, restart = refusal
    small.use_form()
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    small.storage_says(status, body)
    with pytest.raises(Trouble) as caught:
        send(glue, content(b"abc"))
    assert caught.value.kind == kind
    assert (caught.value.fresh_url, caught.value.restart) == (fresh_url, restart)


@pytest.mark.parametrize("in_form", [False, True])
def test_other_bytes_in_storage_are_noticed(glue, small, content, send, in_form):
    """An ETag that is the MD5 of something else means that the bytes were altered on the way."""
    small.use_form(in_form)
    small.storage_says(201, headers={"ETag": f'"{"0" * 32}"'})
    with pytest.raises(Trouble) as caught:
        send(glue, content(b"abc"))
    assert (caught.value.kind, caught.value.restart) == (ErrorKind.INTEGRITY, True)


@pytest.mark.parametrize("in_form", [False, True])
def test_an_upload_that_broke_is_made_again(glue, small, content, send, in_form):
    """After a lost answer the same file is sent anew, with a ticket of its own."""
    small.use_form(in_form)
    small.storage_says(act="reset")
    file = content(b"abc")
    with pytest.raises(Trouble) as caught:
        send(glue, file)
    assert (caught.value.severity, caught.value.fresh_url) == (Severity.PASSING, True)
    file.rewind()
    _, receipt = send(glue, file)
    assert receipt["upload_ticket_id"] == "upl_2"
    assert small.stored[1].start.count(b"abc") == 1


BAD_HEADERS = [
    {"name": "X-Bad", "value": "a\r\nX-Injected: b"},
    {"name": "X-Bad", "value": "a\x00b"},
    {"name": "X Bad", "value": "a"},
    {"name": "", "value": "a"},
    {"name": "X-Bad", "value": " a"},
    {"name": "X-Bad", "value": "a \u20ac"},
]


@pytest.mark.parametrize("bad", BAD_HEADERS)
def test_headers_that_cannot_be_sent_are_refused(glue, small, content, send, bad):
    """A header with a control character or no proper name is refused, and nothing is sent."""
    small.headers = [bad]
    with pytest.raises(Trouble, match="header that cannot be sent") as caught:
        send(glue, content(b"abc"))
    assert caught.value.severity is Severity.LASTING
    assert small.stored == []


@pytest.mark.parametrize("places", [0, 2])
def test_a_form_must_have_one_place_for_the_file(glue, small, content, send, places):
    """A form without a place for the file, or with two, cannot be followed."""
    small.form = [{"name": f"file{number}", "value": "@file"} for number in range(places)]
    small.form.append({"name": "key", "value": "k"})
    with pytest.raises(Trouble, match="places for the file"):
        send(glue, content(b"abc"))
    assert small.stored == []


@pytest.mark.parametrize("in_form", [False, True])
def test_nothing_of_a_ticket_is_shown(glue, small, content, send, secret_words, in_form):
    """Neither the ticket itself nor what storage says back shows a signature, a policy or a field."""
    small.use_form(in_form)
    small.headers.append({"name": "x-amz-security-token", "value": secret_words[1]})
    echo = f"<Error><Code>SignatureDoesNotMatch</Code><Message>{' '.join(secret_words)}</Message></Error>"
    small.storage_says(403, echo.encode())
    with pytest.raises(Trouble) as caught:
        send(glue, content(b"abc"))
    ticket, receipt = send(glue, content(b"abc"))
    shown = f"{caught.value!r} {caught.value.message} {caught.value.hint} {ticket!r} {receipt!r}"
    hidden = secret_words[1:] if in_form else secret_words[1:2]
    assert all(word not in shown for word in hidden)
    assert "SignatureDoesNotMatch" in caught.value.message


class Short:
    """A body that ends before its size."""

    size = 10

    def __init__(self):
        self.blocks = [b"abc", b""]

    def read(self, length=-1, /):
        return self.blocks.pop(0)

    def md5_hex(self):
        return ""


def test_a_file_that_became_shorter_is_noticed_in_a_form(glue, small, content, parcel):
    """The form is never closed behind bytes that are missing."""
    small.use_form()
    file = content(b"0123456789")
    upload = parcel(file)
    ticket = glue.open(replace(upload, facts=glue.describe(upload, file)))
    with pytest.raises(FileChanged):
        glue.put(ticket, upload, Short())


def test_bytes_that_changed_since_they_were_hashed_are_not_described(glue, content, parcel):
    """The MD5 that Glue knows bytes by is only told of the bytes whose SHA-256 is known."""
    file = content(b"abc")
    upload = replace(parcel(file), sha256="0" * 64)
    with pytest.raises(FileChanged):
        glue.describe(upload, file)
