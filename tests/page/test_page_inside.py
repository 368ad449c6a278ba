import contextlib
import socket
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from attachd.core.heart import Heart
from attachd.errors import LedgerError
from attachd.page import server
from attachd.page.connections import CONNECTIONS
from attachd.page.health import broken, unready
from attachd.page.listening import Listen
from attachd.page.server import StatusPage
from attachd.service.paging import STUCK_SECONDS, Inside, Paging
from attachd.status.measuring import Measures


class Hands:
    """A clock that stands where it is put."""

    def __init__(self):
        self.at = 0.0

    def monotonic(self):
        return self.at


def inside(values, clock, **changes):
    """Give what the page asks, of a service without folders."""
    rooms = SimpleNamespace(watches={}, wiring=SimpleNamespace(clock=clock, measures=Measures()))
    parts = {
        "rooms": rooms,
        "reports": None,
        "holder": None,
        "settings": dict,
        "facts": values.facts,
        "failures": list,
        "trouble": lambda: None,
        "stuck": list,
        "main": Heart(clock),
    }
    return Inside(**(parts | changes))


def test_all_is_well(values):
    """Nothing to say is the good case."""
    now = inside(values, Hands()).now()
    assert broken(now) == []
    assert unready(now) == []


def test_what_died_or_is_stuck_is_named(values):
    """A thread that ended, and a loop without a sign of life: the process is not healthy."""
    now = inside(
        values, Hands(), failures=lambda: [("intake", OSError("x"))], stuck=lambda: ["claims of ion"]
    ).now()
    assert broken(now) == ["intake has died: OSError", "claims of ion is stuck"]
    assert unready(now) == broken(now)


def test_a_main_loop_that_stands_is_noticed_from_outside(values):
    """It is the one that looks after all others; while it drains nothing is expected of it."""
    clock = Hands()
    source = inside(values, clock)
    source.main.beat()
    clock.at = STUCK_SECONDS
    assert broken(source.now()) == []
    clock.at += 1
    assert broken(source.now()) == ["main loop is stuck"]
    source.main.rest()
    assert broken(source.now()) == []


def test_a_ledger_that_cannot_be_written_is_not_ready(values):
    """The process is healthy, and nothing gets through."""
    now = inside(values, Hands(), trouble=lambda: LedgerError("no space is left")).now()
    assert broken(now) == []
    assert unready(now) == ["ledger: no space is left"]


@pytest.fixture
def page(values, monkeypatch):
    """Give a page in this process, which tries again at once."""
    monkeypatch.setattr(server, "RETRY_SECONDS", 0.05)
    made = StatusPage(values.source())
    made.start()
    yield made
    assert made.stop(30)


def test_a_server_that_ends_by_itself_is_started_anew(page, http, until):
    """Whatever became of it, the page comes back, and the log says so once."""
    with capture_logs() as logs:
        page.move(Listen(host="127.0.0.1", port=0))
        first = until(lambda: [line for line in logs if line["event"] == "page_ready"])[0]["address"]
        assert http(first, "/healthz").status == 200
        page._server.should_exit = True
        ready = until(lambda: [line for line in logs if line["event"] == "page_ready"][1:])
    assert http(ready[0]["address"], "/healthz").status == 200
    assert [line["why"] for line in logs if line["event"] == "page_not_served"] == [
        "RuntimeError: the page's server ended by itself"
    ]


def test_connections_that_ask_nothing_make_room(page, http, until):
    """Whoever opens thousands takes neither the page from others nor descriptors from deliveries."""
    with capture_logs() as logs, contextlib.ExitStack() as opened:
        page.move(Listen(host="127.0.0.1", port=0))
        address = until(lambda: [line for line in logs if line["event"] == "page_ready"])[0]["address"]
        port = int(address.rpartition(":")[2])
        held = [opened.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(200)]
        for each in held:
            each.settimeout(0)
        assert http(address, "/healthz").status == 200
        until(lambda: 0 < sum(not is_cut(each) for each in held) <= CONNECTIONS)
        assert is_cut(held[0])
        assert not is_cut(held[-1])


def is_cut(connection: socket.socket) -> bool:
    """Say whether the other end has closed a connection on which it said nothing."""
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_what_strangers_send_is_no_line_of_the_log(page, until, caplog):
    """What is no HTTP is refused; a line for each would let anybody fill the disk."""
    with capture_logs() as logs:
        page.move(Listen(host="127.0.0.1", port=0))
        address = until(lambda: [line for line in logs if line["event"] == "page_ready"])[0]["address"]
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=30) as stranger:
        stranger.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        assert stranger.recv(100).startswith(b"HTTP/1.1 400 ")
    assert not caplog.records


def test_a_page_that_is_wanted_nowhere_waits(page, http, until):
    """It goes when it is taken out, stays where it is told the same again, and can come back."""
    listen = Listen(host="127.0.0.1", port=0)
    with capture_logs() as logs:
        page.move(listen)
        address = until(lambda: [line for line in logs if line["event"] == "page_ready"])[0]["address"]
        page.move(listen)
        assert http(address, "/healthz").status == 200
        page.move(None)
        until(lambda: page._server is None)
        page.move(listen)
        until(lambda: [line for line in logs if line["event"] == "page_ready"][1:])


def test_without_an_address_there_is_no_page(values):
    """Nothing is imported and nothing runs for a page that nobody wants."""
    paging = Paging(values.source())
    paging.show_at(None)
    paging.stop(1)
    assert paging._page is None
