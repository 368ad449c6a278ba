import pytest

from attachd.destinations import graphql
from attachd.destinations.faults import TABLE
from attachd.destinations.ion import HINTS
from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity

HTML = "<html><body>Bad gateway</body></html>"
ERRORS = {"errors": [{"message": "why"}]}

# status, body, (kind, severity) for a query, (kind, severity) for the registration
BY_STATUS = [
    (301, "", "rejected lasting", "rejected lasting"),
    (302, "", "rejected lasting", "rejected lasting"),
    (307, "", "rejected lasting", "rejected lasting"),
    (400, ERRORS, "rejected lasting", "rejected lasting"),
    (401, ERRORS, "auth refused", "auth refused"),
    (401, HTML, "auth refused", "auth refused"),
    (403, ERRORS, "permission lasting", "permission lasting"),
    (404, HTML, "rejected lasting", "rejected lasting"),
    (407, HTML, "config refused", "config refused"),
    (408, "", "timeout passing", "rejected lasting"),
    (409, ERRORS, "rejected lasting", "rejected lasting"),
    (422, ERRORS, "rejected lasting", "rejected lasting"),
    (429, "", "throttled passing", "throttled passing"),
    (500, ERRORS, "server passing", "unknown_outcome unknown"),
    (502, HTML, "server passing", "unknown_outcome unknown"),
    (503, HTML, "server passing", "server passing"),
    (504, HTML, "server passing", "unknown_outcome unknown"),
    (200, HTML, "server passing", "unknown_outcome unknown"),
    (200, "", "server passing", "unknown_outcome unknown"),
    (200, b"\xff\xfe{", "server passing", "unknown_outcome unknown"),
    (200, "[]", "server passing", "unknown_outcome unknown"),
    (200, "9" * 5000, "server passing", "unknown_outcome unknown"),
    (200, "[" * 100_000, "server passing", "unknown_outcome unknown"),
    (200, {"data": None}, "server passing", "unknown_outcome unknown"),
    (200, {"data": {}}, "server passing", "unknown_outcome unknown"),
    (200, {"data": {"createFileAttachment": None, "x": 1}}, "server passing", "unknown_outcome unknown"),
    (
        200,
        {"data": {"createFileAttachment": {"fileAttachment": {}}}},
        "server passing",
        "unknown_outcome unknown",
    ),
]

# message in a 200, query, registration
BY_MESSAGE = [
    ("Permission denied on createFileAttachment", "permission lasting", "permission lasting"),
    ("You are not authorized to do this", "permission lasting", "permission lasting"),
    ("Forbidden", "permission lasting", "permission lasting"),
    ("Run step not found", "unknown_target lasting", "unknown_target lasting"),
    ("Entity 5 does not exist", "unknown_target lasting", "unknown_target lasting"),
    ("Entity 5 doesn't exist", "unknown_target lasting", "unknown_target lasting"),
    ("No run step with id 42", "unknown_target lasting", "unknown_target lasting"),
    ("Please provide proper credentials", "auth refused", "auth refused"),
    ("Unable to parse authentication token", "auth refused", "auth refused"),
    ("Unable to find appropriate RSA key", "auth refused", "auth refused"),
    ("The token has expired", "auth refused", "auth refused"),
    ("Rate limit exceeded", "throttled passing", "throttled passing"),
    ("Internal server error", "server passing", "rejected lasting"),
    ("validateUpload failed: ETag mismatch", "rejected lasting", "integrity lasting"),
    (
        "Upload validation failed: s3Etag does not match the stored object",
        "rejected lasting",
        "integrity lasting",
    ),
    ("The s3Etag does not match the uploaded object", "rejected lasting", "integrity lasting"),
    ("Uploaded file uploads/a.jpg does not exist", "unknown_target lasting", "integrity lasting"),
    ("Cannot query field 'uploadUrl' on type 'X'", "rejected lasting", "rejected lasting"),
    ("Variable '$input' got invalid value; 's3Etag' is not defined", "rejected lasting", "rejected lasting"),
    ("Something nobody has heard of", "rejected lasting", "rejected lasting"),
]


def refusal(call):
    """Give the trouble of a call, and its kind and severity as words."""
    with pytest.raises(Trouble) as caught:
        call()
    trouble = caught.value
    return trouble, f"{trouble.kind.value} {trouble.severity.value}"


@pytest.fixture
def refused(ion, upload, receipts, body):
    """Make one call that is refused; gives the trouble, and its kind and severity as words."""
    calls = {
        "open": lambda: ion.open(upload()),
        "put": lambda: ion.put(ion.open(upload()), upload(), body(b"abc")),
        "register": lambda: ion.complete("register", upload(), receipts),
    }
    return lambda call: refusal(calls[call])


@pytest.mark.parametrize(("status", "body", "query", "registration"), BY_STATUS)
def test_statuses_and_unreadable_answers(refused, server, reply, status, body, query, registration):
    """Each status and each unreadable answer has its meaning, for a query and for the registration."""
    headers = {"Location": "http://127.0.0.1:1/elsewhere"} if status < 400 else {}
    server.api.extend([reply(status, body, headers), reply(status, body, headers)])
    _, meaning = refused("open")
    assert meaning == query
    trouble, meaning = refused("register")
    assert meaning == registration
    assert len(server.seen) == 2
    if trouble.severity is Severity.UNKNOWN:
        assert "attachments panel" in trouble.hint


@pytest.mark.parametrize(("message", "query", "registration"), BY_MESSAGE)
def test_errors_in_a_200(refused, server, reply, message, query, registration):
    """Errors in an answer with status 200 go by what their message says."""
    answer = reply(body={"data": None, "errors": [{"message": message}]})
    server.api.extend([answer, answer])
    trouble, meaning = refused("open")
    assert meaning == query
    assert not trouble.restart
    assert message in trouble.message
    trouble, meaning = refused("register")
    assert meaning == registration
    assert trouble.restart == (trouble.kind in {ErrorKind.INTEGRITY, ErrorKind.UNKNOWN_TARGET})


@pytest.mark.parametrize("body", [{"message": "why"}, {"error": "why"}, {"errors": [{"message": "why"}]}])
def test_reasons_of_a_refused_call_are_told(refused, server, reply, body):
    """A refusal that comes before GraphQL runs may give its reason in several forms."""
    server.api.append(reply(401, body))
    trouble, _ = refused("open")
    assert trouble.message.endswith(" answered 401: why")


def test_codes_are_read_beside_messages(refused, server, reply):
    """A code in `extensions` counts as much as the message."""
    error = {"message": "You may not pass", "extensions": {"code": "UNAUTHENTICATED"}}
    server.api.append(reply(body={"errors": [error]}))
    _, meaning = refused("open")
    assert meaning == "auth refused"


@pytest.mark.parametrize("errors", [["text"], [{}], [{"message": None, "path": 7, "extensions": []}]])
def test_odd_errors_are_errors_all_the_same(refused, server, reply, errors):
    """Entries of `errors` in a form nobody expects still count as a refusal."""
    server.api.append(reply(body={"errors": errors}))
    _, meaning = refused("register")
    assert meaning == "rejected lasting"


def test_an_unclear_failure_of_the_registration_says_where_to_look(refused, server, reply):
    """An internal error of the registration is held, and the hint says to look in ION."""
    server.api.append(reply(body={"errors": [{"message": "Internal server error"}]}))
    trouble, _ = refused("register")
    assert "attachments panel" in trouble.hint


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("Sun, 26 Apr 2026 12:01:30 GMT", 90.0),
        ("Sun, 26 Apr 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("9" * 30, None),
    ],
)
def test_retry_after(refused, server, reply, value, seconds):
    """`Retry-After` is read as seconds or as a date, and nonsense is left aside."""
    server.api.append(reply(429, "", {"Retry-After": value}))
    trouble, _ = refused("open")
    assert trouble.retry_after == seconds


@pytest.mark.parametrize("act", ["reset", "hang up", "half"])
def test_answers_that_break_off(refused, server, reply, act):
    """An answer that breaks off is passing for a query and leaves the registration in doubt."""
    body = {"data": {"createFileAttachment": {"fileAttachment": {"id": 1}}}}
    server.api.extend([reply(body=body, act=act), reply(body=body, act=act)])
    trouble, _ = refused("open")
    assert trouble.severity is Severity.PASSING
    assert not trouble.unreachable
    _, meaning = refused("register")
    assert meaning == "unknown_outcome unknown"
    assert len(server.seen) == 2


def test_time_outs(make_ion, server, reply, upload, receipts):
    """An answer that does not come in time is passing for a query and leaves the registration in doubt."""
    ion = make_ion(read_timeout=0.1)
    server.api.extend([reply(delay=0.3), reply(delay=0.3)])
    _, meaning = refusal(lambda: ion.open(upload()))
    assert meaning == "timeout passing"
    _, meaning = refusal(lambda: ion.complete("register", upload(), receipts))
    assert meaning == "unknown_outcome unknown"


def test_too_long_answers_are_unreadable(refused, server, reply, monkeypatch):
    """An answer longer than what is read of it is not taken for a whole one."""
    monkeypatch.setattr("attachd.destinations.transport.API_ANSWER", 1000)
    data = {"createFileAttachment": {"fileAttachment": {"id": 1}}, "pad": "x" * 1000}
    server.api.append(reply(body={"data": data}))
    _, meaning = refused("register")
    assert meaning == "unknown_outcome unknown"


def test_a_refused_connection_leaves_no_doubt(make_ion, upload, receipts, dead_address):
    """A registration that found nobody listening was never sent, so it may be repeated."""
    ion = make_ion(url=dead_address)
    for call in (lambda: ion.open(upload()), lambda: ion.complete("register", upload(), receipts)):
        trouble, meaning = refusal(call)
        assert meaning == "network passing"
        assert trouble.unreachable
        assert "refused" in trouble.message


@pytest.mark.parametrize("token", ["", "two\nlines", "tökén"])
def test_tokens_that_cannot_be_sent(make_ion, server, upload, receipts, token):
    """A token that no header can carry refuses every delivery, and is not shown."""
    ion = make_ion(token=token)
    trouble, meaning = refusal(lambda: ion.complete("register", upload(), receipts))
    assert meaning == "auth refused"
    assert server.seen == []
    assert not token or token not in trouble.message


@pytest.mark.parametrize("status", [200, 400, 401, 500])
@pytest.mark.parametrize("call", ["open", "register"])
def test_echoed_secrets_are_not_passed_on(refused, server, reply, canaries, status, call):
    """A token or a signed URL that the API repeats in an error is not in what people see."""
    token, signature = canaries
    signed = f"X-Amz-Signature={signature}"
    message = f"bad token {token} for https://s3.test/k?{signed}\x1b[31m\n{signed}"
    server.api.append(reply(status, {"data": None, "errors": [{"message": message}]}))
    trouble, _ = refused(call)
    shown = f"{trouble} {trouble.message} {trouble.hint} {trouble.__cause__!r} {trouble.info}"
    assert token not in shown
    assert signature not in shown
    assert "\x1b" not in shown
    assert "\n" not in trouble.message
    assert "https://s3.test/k?***" in trouble.message


def test_every_kind_of_trouble_has_its_fix():
    """Whatever ION or the way there can answer, the hint says what a person can do."""
    meanings = [*graphql.BY_STATUS.values(), *(meaning for _, meaning in graphql.BY_MESSAGE)]
    kinds = {meaning.kind for meaning in meanings} | {row.kind for row in TABLE.values() if row.kind}
    assert sorted(kind for kind in kinds if not HINTS.get(kind)) == []


# The vendor's table of common errors: what is met, and a word of its fix that the hint must have.
COMMON_ERRORS = [
    (
        "storage",
        (403, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"),
        "new upload URL",
    ),
    ("storage", (403, "<Error><Code>SignatureDoesNotMatch</Code></Error>"), "content type"),
    ("api", "validateUpload failed: s3Etag does not match", "once more"),
    ("api", "Entity 42 not found", "entity takes an entity id"),
    ("api", "Permission denied on createFileAttachment", "run step update"),
]


@pytest.mark.parametrize(("where", "what", "words"), COMMON_ERRORS)
def test_common_errors_have_their_fix(refused, server, reply, where, what, words):
    """Each row of the vendor's table of common errors is met with its fix."""
    if where == "storage":
        server.storage.append(reply(*what))
        trouble, _ = refused("put")
    else:
        server.api.append(reply(body={"errors": [{"message": what}]}))
        trouble, _ = refused("register")
    assert words in trouble.hint
