import http.client
import json
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest


def _put_raw(simulator, upload, length, body):
    """Begin a PUT and give the open socket."""
    split = urlsplit(upload["uploadUrl"])
    head = (
        f"PUT {split.path}?{split.query} HTTP/1.1\r\nHost: {split.netloc}\r\n"
        f"Content-Type: {upload['contentType']}\r\nContent-Length: {length}\r\n\r\n"
    )
    connection = socket.create_connection((split.hostname, split.port), timeout=10)
    connection.sendall(head.encode() + body)
    return connection


def test_a_scripted_status_comes_instead_of_the_work(wire, simulator):
    """A status fault answers with its headers and body, as often as told, and does no work."""
    do = {"status": 503, "headers": {"Retry-After": "7"}, "body": "slow down"}
    simulator.fault(call="put", do=do, times=2)
    upload = wire.open()
    for _ in range(2):
        answer = wire.put(upload)
        assert (answer.status, answer.headers["Retry-After"], answer.body) == (503, "7", b"slow down")
    assert simulator.puts == ()
    assert wire.put(upload).status == 200
    assert simulator.faults_left == []


def test_a_rule_strikes_only_the_call_and_the_arguments_it_names(wire, simulator):
    """`call` and `match` leave other calls alone, and the rule stays in the script."""
    simulator.fault(call="open", do={"status": 500}, match={"filename": "b.jpg"})
    simulator.fault(call="register", do={"status": 500}, match={"entityId": "1000007"})
    simulator.fault(call="put", do={"status": 500}, match={"filename": "c.jpg"})
    wire.attach("a.jpg")
    assert len(simulator.faults_left) == 3
    query = "query($f: String!) { requestFileUploadUrl(filename: $f) { s3Key } }"
    assert wire.post({"query": query, "variables": {"f": "b.jpg"}}).status == 500
    assert wire.put(wire.open("c.jpg")).status == 500
    with pytest.raises(AssertionError, match="500"):
        wire.attach(entity_id=1_000_007)
    assert simulator.faults_left == []


def test_a_delay_comes_before_the_work(wire, simulator):
    """A delayed call is silent for its time, then done and answered."""
    simulator.fault(call="query", do={"delay": 0.2})
    before = time.monotonic()
    assert wire.gql("{ currentUser { id } }")["data"]["currentUser"]["id"] == 7
    assert time.monotonic() - before >= 0.2


def test_the_work_may_be_done_and_its_answer_lost_by_a_reset(wire, simulator):
    """work_then reset attaches the file and resets the connection."""
    upload = wire.open()
    etag = wire.put(upload).etag
    simulator.fault(call="register", do={"work_then": "reset"})
    with pytest.raises(ConnectionResetError):
        wire.register(upload["s3Key"], etag)
    assert len(simulator.attachments) == 1


def test_the_work_may_be_done_and_its_answer_lost_by_a_status(wire, simulator):
    """work_then with a status attaches the file and answers like a gateway that gave up."""
    upload = wire.open()
    etag = wire.put(upload).etag
    simulator.fault(call="register", do={"work_then": {"status": 502, "body": "bad gateway"}})
    with pytest.raises(AssertionError, match="bad gateway"):
        wire.register(upload["s3Key"], etag)
    assert len(simulator.attachments) == 1


def test_the_work_may_be_done_and_its_answer_never_come(wire, simulator):
    """work_then hang attaches the file and stays silent."""
    upload = wire.open()
    etag = wire.put(upload).etag
    simulator.fault(call="register", do={"work_then": "hang"})
    with pytest.raises(TimeoutError):
        wire.register(upload["s3Key"], etag, timeout=0.2)
    assert len(simulator.attachments) == 1


def test_a_reset_comes_before_the_body_is_read(wire, simulator):
    """A PUT is reset on its headers alone, and its URL is not used up."""
    simulator.fault(call="put", do="reset")
    upload = wire.open()
    with _put_raw(simulator, upload, 1000, b"") as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert wire.put(upload).status == 200


def test_a_reset_in_the_middle_of_the_body_waits_for_half_of_it(wire, simulator):
    """A PUT is reset once half of its body was read, and nothing is stored."""
    simulator.fault(call="put", do="reset_mid_body")
    with _put_raw(simulator, wire.open(), 1000, b"x" * 499) as connection:
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        connection.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert simulator.puts == ()


def test_a_graphql_reset_is_a_reset(wire, simulator):
    """`any` strikes the next call whatever it is; for GraphQL without work."""
    simulator.fault(do="reset")
    with pytest.raises(ConnectionResetError):
        wire.open()
    assert wire.open()


def test_a_hanging_call_is_released_by_clearing_the_faults(wire, simulator):
    """A hang is silent without work until the faults are cleared, and then just ends."""
    simulator.fault(call="put", do="hang", times=5)
    with _put_raw(simulator, wire.open(), 5, b"hello") as connection:
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        assert wire.request("DELETE", "/faults").json == []
        assert connection.recv(1) == b""
    assert simulator.puts == ()
    assert wire.put(wire.open()).status == 200


def test_stop_releases_hanging_calls(wire, simulator):
    """A stop ends hanging and delayed connections and all their threads at once."""
    simulator.fault(call="query", do="hang")
    simulator.fault(call="query", do={"delay": 60})
    before = time.monotonic()
    ends = []

    def ask():
        try:
            wire.gql("{ currentUser { id } }", timeout=30)
        except OSError as error:
            ends.append(error)

    clients = [threading.Thread(target=ask) for _ in range(2)]
    for client in clients:
        client.start()
    assert simulator.wait_for(lambda: simulator.call_counts["query"] == 2, 10)
    simulator.stop()
    for client in clients:
        client.join()
    assert len(ends) == 2
    assert time.monotonic() - before < 10
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("simulator")]


def test_a_scripted_graphql_error(wire, simulator):
    """A GraphQL error comes as HTTP 200 with `errors`, and nothing is attached."""
    upload = wire.open()
    etag = wire.put(upload).etag
    simulator.fault(call="register", do={"graphql_error": "Permission denied"})
    refused = wire.register(upload["s3Key"], etag)
    assert refused == {"data": None, "errors": [{"message": "Permission denied"}]}
    assert simulator.attachments == ()


def test_an_etag_that_is_no_md5_is_what_validation_wants(wire, simulator):
    """With another ETag storage behaves as if encrypted: that ETag is answered, and validated."""
    simulator.fault(call="put", do={"etag": "not-an-md5-2"})
    upload = wire.open()
    answer = wire.put(upload)
    assert answer.headers["ETag"] == '"not-an-md5-2"'
    assert "errors" in wire.register(upload["s3Key"], simulator.puts[0].md5)
    assert "errors" not in wire.register(upload["s3Key"], "not-an-md5-2")


def test_an_etag_may_be_missing(wire, simulator):
    """Without ETag the object is stored all the same."""
    simulator.fault(call="put", do="no_etag")
    answer = wire.put(wire.open())
    assert (answer.status, answer.headers["ETag"]) == (200, None)
    assert len(simulator.puts) == 1


@pytest.mark.parametrize("call", ["open", "put"])
def test_a_page_may_come_instead_of_an_answer(wire, simulator, call):
    """A proxy's page is HTTP 200 and HTML, and no work is done."""
    upload = wire.open()
    simulator.fault(call=call, do="html")
    answer = (
        wire.put(upload) if call == "put" else wire.post({"query": "{ requestFileUploadUrl(filename: 1) }"})
    )
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"Sign in" in answer.body
    assert simulator.puts == ()


def test_an_answer_may_be_cut_in_the_middle_of_its_body(wire, simulator):
    """A register whose answer is cut in half is done all the same."""
    upload = wire.open()
    etag = wire.put(upload).etag
    simulator.fault(call="register", do="half")
    with pytest.raises(http.client.IncompleteRead):
        wire.register(upload["s3Key"], etag)
    assert len(simulator.attachments) == 1


def test_an_answer_without_body_may_be_cut_in_the_middle_of_its_headers(wire, simulator):
    """A PUT whose answer is cut in half is stored, and its ETag never fully told."""
    simulator.fault(call="put", do="half")
    with _put_raw(simulator, wire.open(), 5, b"hello") as connection:
        got = b"".join(iter(lambda: connection.recv(4096), b""))
    assert got.startswith(b"HTTP/1.1 200 ")
    assert b"\r\n\r\n" not in got
    assert len(simulator.puts) == 1


def test_a_url_may_be_refused_as_expired(wire, simulator):
    """The expired fault is S3's answer, and the next PUT is served."""
    simulator.fault(call="put", do="expired")
    upload = wire.open()
    answer = wire.put(upload)
    assert answer.status == 403
    assert b"Request has expired" in answer.body
    assert wire.put(upload).status == 200


def test_a_redirect_that_is_followed_is_counted(wire, simulator):
    """A redirect leads to an address of the simulator that tells whether somebody came."""
    simulator.fault(call="put", do={"redirect": 307})
    answer = wire.put(wire.open())
    assert (answer.status, answer.headers["Location"]) == (307, f"{simulator.url}/redirected")
    assert simulator.call_counts["redirected"] == 0
    wire.request("PUT", answer.headers["Location"], b"x")
    assert simulator.call_counts["redirected"] == 1


def test_faults_are_scripted_over_http(wire, simulator):
    """POST /faults appends rules, GET shows those left, DELETE clears them."""
    rules = [{"call": "put", "times": 2, "do": "reset"}, {"do": {"delay": 1}, "match": {"filename": "x"}}]
    assert wire.request("POST", "/faults", json.dumps(rules)).status == 200
    shown = wire.request("GET", "/faults").json
    assert shown[0] == {"call": "put", "times": 2, "match": {}, "do": "reset"}
    assert shown[1]["call"] == "any"
    wire.request("DELETE", "/faults")
    assert simulator.faults_left == []


@pytest.mark.parametrize(
    "rule",
    [
        "reset",
        {},
        {"do": "explode"},
        {"do": {"status": "503"}},
        {"do": {"status": 503, "delay": 1}},
        {"do": {"reset": 1}},
        {"do": "status"},
        {"do": ["reset"]},
        {"do": {"status": 503, "headers": "x"}},
        {"do": {"work_then": "explode"}},
        {"do": "reset", "call": "upload"},
        {"do": "reset", "times": 0},
        {"do": "reset", "match": "x"},
        {"do": "reset", "when": 1},
        {"do": "no_etag", "call": "register"},
        {"do": {"graphql_error": "x"}, "call": "put"},
    ],
)
def test_a_rule_that_is_none_is_refused_whole(wire, simulator, rule):
    """A wrong rule is 400 with the reason, and no rule of its list is taken."""
    answer = wire.request("POST", "/faults", json.dumps([{"do": "reset"}, rule]))
    assert answer.status == 400
    assert answer.json["error"]
    assert simulator.faults_left == []


def test_an_early_answer_does_not_wait_for_the_body(wire, simulator):
    """The refusal of a PUT comes on its headers alone, and the connection ends behind it."""
    simulator.fault(call="put", do={"early": 403, "body": "no"})
    with _put_raw(simulator, wire.open(), 1000, b"") as connection:
        answer = b""
        while block := connection.recv(4096):
            answer += block
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.endswith(b"no")
    assert simulator.puts == ()


def test_a_trickled_answer_comes_byte_by_byte(wire, simulator):
    """The work is done and the whole answer comes, each byte after its pause; clearing ends it."""
    simulator.fault(call="open", do={"trickle": 0.0001})
    assert wire.open()["s3Key"]
    simulator.fault(call="open", do={"trickle": 60})
    clearing = threading.Timer(0.1, simulator.clear_faults)
    clearing.start()
    with pytest.raises(http.client.RemoteDisconnected):
        wire.open()
    clearing.join()


def test_an_error_may_stand_beside_the_data(wire, simulator):
    """The work is done, and its answer has `errors` as well."""
    simulator.fault(call="open", do={"error_beside": "a resolver failed"})
    answer = wire.gql('query { requestFileUploadUrl(filename: "a.jpg") { s3Key } }')
    assert answer["data"]["requestFileUploadUrl"]["s3Key"]
    assert [each["message"] for each in answer["errors"]] == ["a resolver failed"]


def test_data_may_be_null_without_a_reason(wire, simulator):
    """No work is done and nothing is said."""
    simulator.fault(call="register", do="null_data")
    assert wire.register("key", "etag") == {"data": None}
    assert simulator.attachments == ()
