import subprocess
import sys

import pytest

LIMIT = 60.0

DRIVER = """
import socket, sys, urllib.request
from threading import Event

import structlog
from attachd.page.listening import Listen
from attachd.page.server import StatusPage
from attachd.status.facts import LiveFacts, ServiceFact
from attachd.status.measuring import Measured
from attachd.status.now import Now
from attachd.status.progress import STATES
from attachd.status.snapshot import ServiceStatus


class Source:
    def now(self):
        service = ServiceFact(pid=7, run="run 1", started_at="2026-11-22T01:00:00.000Z")
        facts = LiveFacts(service=service, folders=(), destinations=())
        return Now(facts=facts, folders=(), broken=(), ledger_trouble="", measured=Measured())

    def status(self):
        return ServiceStatus(
            running=True, healthy=True, pid=7, started_at="2026-11-22T01:00:00.000Z", folders=(),
            states=dict.fromkeys(STATES, 0), destinations=(), oldest_undelivered_at=None,
        )

    def problems(self, limit):
        return ()


addresses, ready = [], Event()

def hear(logger, method, event):
    addresses.append(event["address"])
    ready.set()
    raise structlog.DropEvent

structlog.configure(processors=[hear])
page = StatusPage(Source())
page.start()
page.move(Listen(host="127.0.0.1", port=0))
assert ready.wait(30)
loaded = set(sys.modules)
with urllib.request.urlopen(f"http://{addresses[0]}{sys.argv[1]}", timeout=30) as answer:
    assert answer.status == 200
print(*sorted(set(sys.modules) - loaded))
assert page.stop(30)
"""


@pytest.mark.parametrize("path", ["/metrics", "/", "/readyz"])
def test_the_first_request_waits_for_no_import(path):
    """Whatever a request needs was imported before the page is said to be ready: it takes tens of ms."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, path], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")
