import pytest

from attachd.destinations.storage import BY_CODE, BY_STATUS
from attachd.errors import FileChanged, FileUnreadable, Trouble
from attachd.model import ErrorKind, Severity


def xml(code, message="why"):
    """Write an error as S3 does."""
    head = '<?xml version="1.0"?>\n'
    return f"{head}<Error><Code>{code}</Code><Message>{message}</Message><RequestId>1</RequestId></Error>"


# status, body, kind, severity, fresh_url, restart
REFUSALS = [
    (403, xml("AccessDenied", "Request has expired"), "expired", "passing", True, False),
    (403, xml("AccessDenied", "Access Denied"), "permission", "lasting", True, False),
    (403, xml("SignatureDoesNotMatch"), "signature", "lasting", True, False),
    (400, xml("ExpiredToken"), "expired", "passing", True, False),
    (400, xml("TokenRefreshRequired"), "expired", "passing", True, False),
    (403, xml("RequestTimeTooSkewed"), "expired", "passing", True, False),
    (400, xml("RequestTimeout"), "timeout", "passing", True, False),
    (400, xml("IncompleteBody"), "network", "passing", True, False),
    (400, xml("BadDigest"), "integrity", "lasting", False, True),
    (400, xml("InvalidDigest"), "integrity", "lasting", False, True),
    (400, xml("EntityTooLarge"), "too_large", "lasting", False, False),
    (411, xml("MissingContentLength"), "rejected", "lasting", False, False),
    (501, xml("NotImplemented"), "rejected", "lasting", False, False),
    (400, xml("MalformedPOSTRequest"), "rejected", "lasting", False, False),
    (400, xml("IncorrectNumberOfFilesInPostRequest"), "rejected", "lasting", False, False),
    (400, xml("InvalidPolicyDocument"), "rejected", "lasting", False, False),
    (404, xml("NoSuchBucket"), "rejected", "lasting", False, False),
    (403, xml("InvalidAccessKeyId"), "rejected", "lasting", False, False),
    (503, xml("SlowDown"), "throttled", "passing", False, False),
    (503, xml("ServiceUnavailable"), "server", "passing", False, False),
    (500, xml("InternalError"), "server", "passing", False, False),
    (400, xml("SomethingNew"), "rejected", "lasting", False, False),
    (503, xml("SomethingNew"), "server", "passing", False, False),
    (403, "<html>Forbidden</html>", "permission", "lasting", True, False),
    (407, "<html>Proxy</html>", "config", "refused", False, False),
    (408, "", "timeout", "passing", True, False),
    (411, "<html>Length required</html>", "rejected", "lasting", False, False),
    (413, "<html>Too large</html>", "too_large", "lasting", False, False),
    (429, "", "throttled", "passing", False, False),
    (501, "", "rejected", "lasting", False, False),
    (502, "<html>Bad gateway</html>", "server", "passing", False, False),
    (418, "", "rejected", "lasting", False, False),
    (301, xml("PermanentRedirect"), "rejected", "lasting", False, False),
]


@pytest.fixture
def put(ion, upload, body):
    """Send three bytes, or a given body, to storage."""

    def send(data=None):
        return ion.put(ion.open(upload()), upload(), data or body(b"abc"))

    return send


def refusal(put, *arguments):
    """Give the trouble that a put meets."""
    with pytest.raises(Trouble) as caught:
        put(*arguments)
    return caught.value


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: f"{row[0]} {row[2]}")
def test_refusals(put, server, reply, row):
    """Each refusal of storage has its kind, its severity, and what may help at once."""
    status, answer, *meaning = row
    server.storage.append(reply(status, answer))
    trouble = refusal(put)
    found = [trouble.kind.value, trouble.severity.value, trouble.fresh_url, trouble.restart]
    assert found == meaning
    assert trouble.hint
    assert str(status) in trouble.message


def test_every_code_is_tested():
    """The table above has a row for each code that attachd knows."""
    tested = " ".join(row[1] for row in REFUSALS)
    assert [code for code in BY_CODE if f"<Code>{code}</Code>" not in tested] == []


def test_every_status_is_tested():
    """The table above has a row without a code for each status that attachd knows."""
    tested = {status for status, answer, *_ in REFUSALS if "<Code>" not in answer}
    assert set(BY_STATUS) <= tested


def test_pauses_that_storage_asks_for(put, server, reply):
    """`Retry-After` of storage is passed on."""
    server.storage.append(reply(503, xml("SlowDown"), {"Retry-After": "30"}))
    assert refusal(put).retry_after == 30.0


def test_hostile_xml_is_not_parsed(put, server, reply):
    """Entities in an error are neither expanded nor fetched, and a long answer is cut."""
    bomb = '<!DOCTYPE x [<!ENTITY a "boom"><!ENTITY b SYSTEM "file:///etc/passwd">]>'
    server.storage.append(reply(403, f"{bomb}{xml('AccessDenied', '&a;&b;')}{'x' * 1_000_000}"))
    trouble = refusal(put)
    assert trouble.kind is ErrorKind.PERMISSION
    assert "&a;&b;" in trouble.message
    assert len(trouble.message) < 500


def test_echoed_signatures_are_not_passed_on(put, server, reply, canaries):
    """A signature or a signed URL that storage repeats is not in what people see."""
    token, signature = canaries
    text = f"wrong {signature} for https://s3.test/k?X-Amz-Signature={signature} {'y' * 400}"
    server.storage.append(reply(403, xml("SignatureDoesNotMatch", text)))
    trouble = refusal(put)
    shown = f"{trouble} {trouble.message} {trouble.hint} {trouble.__cause__!r}"
    assert signature not in shown
    assert token not in shown
    assert len(trouble.message) < 500


@pytest.mark.parametrize(
    ("given", "kept"),
    [('"an-etag"', "an-etag"), ("an-etag", "an-etag"), ('W/"an-etag"', "an-etag"), ('"abc-3"', "abc-3")],
)
def test_etags_lose_their_quotes_only(put, server, reply, given, kept):
    """The ETag is passed on as it came, without quotes and without the mark of a weak one."""
    server.storage.append(reply(headers={"ETag": given}))
    assert put()["s3_etag"] == kept


@pytest.mark.parametrize("headers", [{}, {"ETag": ""}, {"ETag": '""'}, {"ETag": '"9c1185'}])
def test_an_answer_without_etag_cannot_be_registered(put, server, reply, headers):
    """A success without an ETag is tried once more from the start, and then held."""
    server.storage.append(reply(headers=headers))
    trouble = refusal(put)
    assert (trouble.kind, trouble.severity, trouble.restart) == (ErrorKind.INTEGRITY, Severity.LASTING, True)


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({}, False),
        ({"x-amz-server-side-encryption": "AES256"}, False),
        ({"x-amz-server-side-encryption": "aws:kms"}, True),
        ({"x-amz-server-side-encryption": "aws:kms:dsse"}, True),
        ({"x-amz-server-side-encryption-customer-algorithm": "AES256"}, True),
    ],
)
def test_an_etag_is_compared_only_where_it_is_an_md5(put, server, reply, headers, accepted):
    """An ETag in the form of an MD5 must fit, unless keys of KMS or of the customer were used."""
    server.storage.append(reply(headers={"ETag": f'"{"0" * 32}"', **headers}))
    if accepted:
        assert put()["s3_etag"] == "0" * 32
    else:
        trouble = refusal(put)
        assert (trouble.kind, trouble.severity, trouble.restart) == (
            ErrorKind.INTEGRITY,
            Severity.LASTING,
            True,
        )


def test_an_etag_in_capitals_fits(put, server, reply):
    """The comparison does not mind capital letters, and passes the ETag on as it came."""
    etag = "900150983CD24FB0D6963F7D28E17F72"
    server.storage.append(reply(headers={"ETag": f'"{etag}"'}))
    assert put()["s3_etag"] == etag


@pytest.mark.parametrize("act", ["reset", "hang up"])
def test_a_broken_connection_asks_for_a_new_url(put, server, reply, act):
    """A connection that breaks during a PUT may be a refusal, so a new URL is worth asking for."""
    server.storage.append(reply(act=act))
    trouble = refusal(put)
    assert (trouble.kind, trouble.severity) == (ErrorKind.NETWORK, Severity.PASSING)
    assert trouble.fresh_url
    assert not trouble.unreachable


@pytest.mark.parametrize("act", ["answer", "refuse"])
def test_a_refusal_during_the_sending_is_read(put, server, reply, body, act):
    """An answer that comes while the body is still being sent is found, even if the connection broke."""
    server.storage.append(reply(403, xml("AccessDenied", "Request has expired"), early=True, act=act))
    data = body(size=64 << 20)
    assert refusal(put, data).kind is ErrorKind.EXPIRED
    assert act == "answer" or data.left


def test_a_reset_during_the_sending(put, server, reply, body):
    """A connection that is reset while the body is being sent is passing trouble with the network."""
    server.storage.append(reply(act="reset", early=True))
    trouble = refusal(put, body(size=64 << 20))
    assert (trouble.kind, trouble.severity, trouble.fresh_url) == (ErrorKind.NETWORK, Severity.PASSING, True)


def test_success_before_the_end_of_the_body_is_none(put, server, reply, body):
    """An answer of success to a body that was not sent to its end is not believed."""
    server.storage.append(reply(200, "", {"ETag": '"x"'}, early=True, act="refuse"))
    trouble = refusal(put, body(size=64 << 20))
    assert (trouble.kind, trouble.severity) == (ErrorKind.NETWORK, Severity.PASSING)


def test_a_slow_answer_is_a_time_out(make_ion, server, reply, upload, body):
    """An answer of storage that does not come in time is passing."""
    ion = make_ion(read_timeout=0.1)
    server.storage.append(reply(delay=0.4))
    with pytest.raises(Trouble) as caught:
        ion.put(ion.open(upload()), upload(), body(b"abc"))
    assert (caught.value.kind, caught.value.severity) == (ErrorKind.TIMEOUT, Severity.PASSING)


@pytest.mark.parametrize("error", [FileChanged("it became shorter"), FileUnreadable("Input/output error")])
def test_errors_of_the_file_come_through(put, server, body, error):
    """What goes wrong with the file itself is not taken for trouble with the network."""
    with pytest.raises(type(error)) as caught:
        put(body(size=4 << 20, fails=error))
    assert caught.value is error
    assert put(body(b"abc"))["s3_etag"]


def test_a_body_that_ends_early_is_a_changed_file(put, body):
    """A body that has fewer bytes than its size never leaves the connection waiting for more."""
    short = body(b"abc")
    short.size = 5
    with pytest.raises(FileChanged):
        put(short)


def test_a_body_that_grew_is_sent_to_its_known_size(put, server, body):
    """Of a file that became longer no more is sent than was announced."""
    grown = body(b"abcdef")
    grown.size = 3
    put(grown)
    assert server.calls("PUT")[0].body == b"abc"


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://s3.example.com/k?X-Amz-Signature=canary-signature", "not https"),
        ("ftp://127.0.0.1/k", "not https"),
        ("/k?X-Amz-Signature=canary-signature", "not https"),
        ("https://[::1/k?X-Amz-Signature=canary-signature", "cannot be read"),
        ("https://evil.example.com/k?X-Amz-Signature=canary-signature", "storage_hosts"),
    ],
)
def test_urls_that_are_not_allowed(make_ion, server, reply, upload, body, url, word):
    """Bytes go by https or to this machine only, and only to hosts on the list."""
    ion = make_ion(storage_hosts=("S3.example.com", "127.0.0.1"))
    answer = {"requestFileUploadUrl": {"uploadUrl": url, "s3Key": "k", "contentType": "image/png"}}
    server.api.append(reply(body={"data": answer}))
    ticket = ion.open(upload(target={"entity": "1"}))
    with pytest.raises(Trouble) as caught:
        ion.put(ticket, upload(), body(b"abc"))
    assert (caught.value.kind, caught.value.severity) == (ErrorKind.CONFIG, Severity.LASTING)
    assert word in caught.value.message
    assert "canary" not in caught.value.message


def test_hosts_on_the_list_are_allowed(make_ion, upload, body):
    """A host on the list takes bytes."""
    ion = make_ion(storage_hosts=("127.0.0.1",))
    assert ion.put(ion.open(upload()), upload(), body(b"abc"))["s3_etag"]


def test_nobody_at_the_storage(make_ion, server, reply, upload, body, dead_address):
    """Storage where nobody listens is passing trouble, and no reason to ask for a new URL."""
    ion = make_ion()
    url = dead_address.replace("/graphql", "/k?X-Amz-Signature=canary-signature")
    answer = {"requestFileUploadUrl": {"uploadUrl": url, "s3Key": "k", "contentType": "image/png"}}
    server.api.append(reply(body={"data": answer}))
    ticket = ion.open(upload(target={"entity": "1"}))
    with pytest.raises(Trouble) as caught:
        ion.put(ticket, upload(), body(b"abc"))
    trouble = caught.value
    assert (trouble.kind, trouble.severity) == (ErrorKind.NETWORK, Severity.PASSING)
    assert trouble.unreachable
    assert not trouble.fresh_url
    assert "canary" not in trouble.message
