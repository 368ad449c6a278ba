import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from attachd.simulator import Simulator, serve


def test_many_clients_at_once(wire, simulator):
    """32 clients go through the whole flow at the same time, each to its own run step."""
    gate = threading.Barrier(32)

    def attach(number):
        gate.wait(10)
        return wire.attach(f"{number}.txt", b"x" * number, 1_000_000 + number)["entityId"]

    with ThreadPoolExecutor(32) as pool:
        entities = list(pool.map(attach, range(1, 33)))
    assert entities == [1_000_000 + number for number in range(1, 33)]
    assert {(a.object_id, a.size, a.filename) for a in simulator.attachments} == {
        (number, number, f"{number}.txt") for number in range(1, 33)
    }
    assert len({a.id for a in simulator.attachments}) == 32


def test_a_connection_is_kept_for_many_requests(wire):
    """HTTP/1.1 connections stay open, also after a refusal whose body was not wanted."""
    with wire.connect() as connection:
        for _ in range(3):
            connection.request("PUT", "/storage/x?", b"x" * 100_000)
            response = connection.getresponse()
            assert response.status == 403
            response.read()
            sock = connection.sock
            connection.request("GET", "/record")
            assert connection.getresponse().read().startswith(b"{")
            assert connection.sock is sock is not None


def test_the_page_shows_what_was_attached_where_and_escapes_names(wire):
    """The page lists file and object, and a filename is text and never markup."""
    wire.attach("<script>alert(1)</script>.jpg", b"hello", 3_000_042)
    wire.simulator.fault(call="put", do={"status": 500}, match={"filename": "<b>"})
    answer = wire.request("GET", "/")
    text = answer.body.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.jpg" in text
    assert "procedure 42" in text
    assert "<script" not in text
    assert "<b>" not in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "900000 to 999999" in text
    assert "800000 to 899999" in text


def test_the_page_loads_nothing_from_elsewhere(wire, simulator):
    """The page names no address but the simulator's own, for ION, for Glue and for tokens."""
    text = wire.request("GET", "/").body.decode()
    assert text.count("://") == text.count(simulator.url) == 3
    assert "src=" not in text
    assert "href=" not in text


def test_the_record_can_be_read_and_reset(wire, simulator):
    """GET /record tells attachments, PUTs and counters in order; DELETE forgets them but no id returns."""
    made = wire.attach("a.txt", b"hello")
    record = wire.request("GET", "/record").json
    (attachment,), (put,) = record["attachments"], record["puts"]
    assert (attachment["id"], attachment["kind"], attachment["object_id"]) == (made["id"], "runStep", 42)
    assert attachment["s3_key"] == put["s3_key"] == made["s3Key"]
    assert attachment["sha256"] == put["sha256"]
    assert record["calls"]["put"] == 1
    assert "path" not in put
    assert wire.request("DELETE", "/record").json == {
        "attachments": [],
        "files": [],
        "messages": [],
        "puts": [],
        "calls": {},
    }
    assert wire.request("GET", made["downloadUrl"]).status == 404
    assert wire.attach()["id"] == made["id"] + 1
    assert len(simulator.attachments) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/graphql", 405),
        ("PUT", "/record", 405),
        ("GET", "/nowhere", 404),
        ("POST", "/storage/x", 404),
    ],
)
def test_what_is_not_served_says_so(wire, method, path, status):
    """Other methods and paths are refused."""
    assert wire.request(method, path, b"x" if method != "GET" else None).status == status


def test_it_listens_on_loopback_only(simulator):
    """The socket is bound to 127.0.0.1 and to no other address."""
    assert urlsplit(simulator.url).hostname == "127.0.0.1"
    assert simulator._running._listener.server_address[0] == "127.0.0.1"


def test_it_stops_and_starts_again_at_the_same_address(wire, simulator):
    """A restart keeps address, record and what ION knows; in between nobody answers."""
    upload = wire.open()
    etag = wire.put(upload).etag
    url = simulator.url
    simulator.stop()
    with pytest.raises(ConnectionRefusedError):
        wire.request("GET", "/record")
    assert len(simulator.puts) == 1
    simulator.start()
    assert simulator.url == url
    assert "errors" not in wire.register(upload["s3Key"], etag)


def test_a_stop_leaves_no_bytes_no_thread_and_no_idle_connection(wire, simulator):
    """After a stop the directory, the threads and connections that were idle are gone."""
    wire.attach()
    path = simulator.puts[0].path
    assert path.exists()
    split = urlsplit(simulator.url)
    with socket.create_connection((split.hostname, split.port), timeout=10) as idle:
        idle.sendall(b"GET /record HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")
        simulator.stop()
        simulator.stop()
        assert idle.recv(65536) == b""
    assert not path.parent.exists()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("simulator")]


def test_there_is_no_address_before_the_start():
    """Asking for the address of a simulator that never ran is a mistake and told as one."""
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = Simulator().url


def test_a_taken_port_is_told(simulator):
    """A second simulator on the same port cannot start."""
    port = urlsplit(simulator.url).port
    with pytest.raises(OSError, match="in use"):
        Simulator(port).start()


def test_serve_announces_what_to_set_and_ends_when_told():
    """The command's function tells address and token, serves, and returns once it is told to stop."""
    lines, ready, stop = [], threading.Event(), threading.Event()

    def announce(line):
        lines.append(line)
        if line.startswith("#"):
            ready.set()

    thread = threading.Thread(target=serve, args=(0, announce, stop))
    thread.start()
    assert ready.wait(10)
    url = lines[0].removeprefix("export ION_URL=")
    split = urlsplit(url)
    socket.create_connection((split.hostname, split.port), timeout=10).close()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert lines[1] == "export ION_TOKEN=simulator-token"


def test_wait_for_wakes_on_what_happens_and_gives_up_in_time(wire, simulator):
    """A wait ends when its condition holds, or says that it never did."""
    client = threading.Thread(target=wire.attach)
    client.start()
    assert simulator.wait_for(lambda: len(simulator.attachments) == 1, 10)
    client.join()
    assert not simulator.wait_for(lambda: len(simulator.attachments) == 2, 0.01)


def test_a_seed_makes_storage_keys_repeatable(wire_to):
    """Two simulators with the same seed give the same keys, two without differ."""

    def key(seed):
        with Simulator(seed=seed) as simulator:
            return wire_to(simulator).open()["s3Key"]

    assert key("a") == key("a") != key("b")
    assert key("") != key("")
