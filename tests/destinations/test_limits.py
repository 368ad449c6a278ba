import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from attachd.destinations.pace import Pace, block_of
from attachd.destinations.transport import Transport
from attachd.errors import StopRequested

TOKEN = "canary-token-5f2c9a7d"
TYPE = {"Content-Type": "image/jpeg"}


@pytest.fixture
def limited(settings):
    """Make transports with limits, and the event that cuts their waits."""
    made = []

    def make(**limits):
        stopped = threading.Event()
        made.append(Transport(settings(**limits), time.monotonic, stopped))
        return made[-1], stopped

    yield make
    for each in made:
        each.close()


def test_calls_keep_their_rate_over_all_workers(limited):
    """Eight workers together make no more calls a second than the limit says."""
    transport, _ = limited(requests_per_second=20)
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: transport.post_json(b"{}", TOKEN), range(8)))
    assert time.monotonic() - began >= 7 / 20 - 0.01


def test_transfers_keep_their_rate_together(limited, server, body):
    """Two transfers at once share the bandwidth, and all bytes arrive."""
    transport, _ = limited(bandwidth=1_000_000)
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        url = server.upload_url()
        list(pool.map(lambda _: transport.send("PUT", url, TYPE, body(b"x" * 200_000)), range(2)))
    assert time.monotonic() - began >= 0.3 - 0.01
    assert [request.size for request in server.calls("PUT")] == [200_000] * 2


def test_limited_transfers_send_small_blocks(limited, server, body):
    """A slow rate is kept by many small blocks, so that storage never waits for long."""
    transport, _ = limited(bandwidth=1_000_000)
    sent = body(b"x" * 150_000)
    transport.send("PUT", server.upload_url(), TYPE, sent)
    assert sent.largest_read == block_of(1_000_000) == 100_000


def test_without_limits_nothing_waits(limited, server, body):
    """No limit is no limit: whole blocks, one after the other."""
    transport, stopped = limited()
    stopped.set()
    sent = body(size=3_000_000)
    transport.send("PUT", server.upload_url(), TYPE, sent)
    assert transport.post_json(b"{}", TOKEN).status == 200
    assert sent.largest_read == 1_048_576


@pytest.mark.parametrize("what", ["call", "transfer"])
def test_a_stop_cuts_the_wait(limited, server, body, what):
    """A wait for the limit ends with the stop, and what waited is not sent."""
    transport, stopped = limited(requests_per_second=0.01, bandwidth=1024)
    calls = {
        "call": lambda: transport.post_json(b"{}", TOKEN),
        "transfer": lambda: transport.send("PUT", server.upload_url(), TYPE, body(b"x" * 1_000_000)),
    }
    transport.post_json(b"{}", TOKEN)
    threading.Timer(0.1, stopped.set).start()
    began = time.monotonic()
    with pytest.raises(StopRequested):
        calls[what]()
    assert time.monotonic() - began < 5
    assert len(server.calls("POST")) == 1


def test_a_pace_waits_for_what_it_owes():
    """The wait is as long as the amount asks for at that rate."""
    pace = Pace(100.0, room=1.0, monotonic=time.monotonic, stopped=threading.Event())
    began = time.monotonic()
    pace.wait(11)
    assert 0.09 <= time.monotonic() - began < 2
