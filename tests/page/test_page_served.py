import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.slow

PROMTOOL = shutil.which("promtool")
ALERTS = Path(__file__).parents[2] / "docs" / "alerts.yml"


@pytest.fixture
def promtool():
    """Give the command, which CI must have."""
    if PROMTOOL is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool is missing, and CI must have it: it is in Debian's package prometheus")
        pytest.skip("promtool is not installed: it is in Debian's package prometheus")
    return PROMTOOL


def number(text: str, name: str, **labels: str) -> float:
    """Give the sum of the samples of this name that have these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_a_file_shows_in_metrics_and_on_the_page(served, http, until, promtool):
    """Dropped, attached, counted: the numbers are those of the work, and promtool has nothing to say."""
    address = served.serve()
    served.put("7/photo.dat", b"12345")
    served.put("<b>nowhere.txt", b"x")
    until(
        lambda: number(http(address, "/metrics").text, "attachd_files_without_delivery", standing="unmatched")
    )
    until(
        lambda: number(http(address, "/metrics").text, "attachd_attempts_total", outcome="done"),
        "an attempt that attached it",
    )
    text = http(address, "/metrics").text
    assert number(text, "attachd_deliveries", state="done", destination="ion") == 1
    assert number(text, "attachd_sent_bytes_total", destination="ion") == 5
    for call in ("open", "put", "register"):
        labels = {"destination": "ion", "call": call, "outcome": "ok"}
        assert number(text, "attachd_call_duration_seconds_count", **labels) == 1
    assert number(text, "attachd_settle_wait_seconds_count", folder="1") == 2
    assert number(text, "attachd_settle_wait_seconds_sum", folder="1") >= 0.4
    assert number(text, "attachd_files_found_total", folder="1") == 2
    assert number(text, "attachd_queue_wait_seconds_count", destination="ion") == 1
    assert number(text, "attachd_delivery_duration_seconds_count", destination="ion") == 1
    assert str(served.directory) not in text
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    page = http(address, "/")
    assert page.status == 200
    assert "&lt;b&gt;nowhere.txt" in page.text
    assert served.stop(served.process) == 0


def test_the_alert_rules_are_sound(promtool):
    """Every rule of docs/alerts.yml parses."""
    checked = subprocess.run(
        [promtool, "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_health_is_told_by_status_code(served, http, until):
    """A service whose folders and destinations are well is healthy and ready; HEAD is enough to see it."""
    address = served.serve()
    assert http(address, "/healthz").text == '{"healthy":true,"reasons":[]}'
    until(lambda: http(address, "/readyz").status == 200)
    assert http(address, "/readyz", method="HEAD").text == ""
    assert http(address, "/healthz", method="POST").status == 405
    assert http(address, "/nowhere").status == 404
    assert http(address, "/", Host="evil.example").status == 400


def test_a_folder_that_is_gone_and_a_closed_gate_are_not_ready(served, http, until):
    """The process lives, but what lands now does not get through: 503, with the reasons."""
    served.write_rules(url="http://127.0.0.1:9/graphql")
    for name in ("a", "b", "c"):
        served.put(f"7/{name}", name.encode())
    address = served.serve()
    until(lambda: "destination ion: " in http(address, "/readyz").text)
    assert http(address, "/healthz").status == 200
    assert number(http(address, "/metrics").text, "attachd_gate_closed", destination="ion") == 1
    shutil.rmtree(served.drop)
    until(lambda: "folder 1: " in http(address, "/readyz").text)
    assert http(address, "/readyz").status == 503


def test_another_address_asks_for_its_token(served, http):
    """Without the token nothing is to be had, health neither; the name of this machine is no secret."""
    (served.directory / "page-token").write_text("page-secret\n")
    served.write_rules(address='"0.0.0.0:0"', token="{file: page-token}")
    address = served.serve().replace("0.0.0.0", "127.0.0.1")
    for path in ("/", "/healthz", "/readyz", "/metrics", "/nowhere"):
        refused = http(address, path)
        assert refused.status == 401
        assert "Bearer" in refused.headers["www-authenticate"]
    assert http(address, "/", Authorization="Bearer page-secret").status == 200
    assert http(address, "/metrics", Authorization="Bearer wrong").status == 401
    assert "page-secret" not in served.log()


def test_a_token_that_cannot_be_read_is_a_config_error(served):
    """The service does not start with a page that nobody could guard."""
    served.write_rules(address='"0.0.0.0:0"', token="{file: nowhere}")
    assert served.start().wait(30) == 78
    assert "service.status_token" in served.log()


def test_a_taken_port_is_tried_again(served, http, until):
    """The service goes on without its page, warns once, and has it when the port is free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        served.write_rules(address=f'"127.0.0.1:{port}"')
        served.start()
        until(lambda: "page_not_served" in served.log())
        until(lambda: "scan_finished" in served.log())
        assert served.process.poll() is None
    assert served.address() == f"127.0.0.1:{port}"
    assert http(f"127.0.0.1:{port}", "/healthz").status == 200
    assert served.log().count("page_not_served") == 1


def test_a_reload_moves_the_page_and_changes_its_token(served, http, until):
    """Address and token are those of the rules in force; a page that is taken out is gone."""
    before = served.serve()
    served.write_rules(token="{env: PAGE_TOKEN_FOR_A_TEST}")
    served.reload()
    until(lambda: "reload_refused" in served.log(), "the token cannot be had: the reload is refused")
    assert http(before, "/healthz").status == 200
    assert number(http(before, "/metrics").text, "attachd_rules_refused") == 1
    assert "PAGE_TOKEN_FOR_A_TEST is not set" in http(before, "/").text
    served.write_rules(token="new-page-secret")
    served.reload()
    after = served.address(2)
    assert http(after, "/healthz").status == 401
    assert http(after, "/healthz", Authorization="Bearer new-page-secret").status == 200
    rules = served.rules.read_text()
    served.rules.write_text(rules.replace("status: ", "drain: 5s #").replace("status_token", "#"))
    served.reload()
    until(lambda: not answers(http, after), "no page any more")
    assert served.stop(served.process) == 0


def answers(http, address: str) -> bool:
    try:
        return bool(http(address, "/healthz"))
    except OSError:
        return False


def test_a_stop_does_not_wait_for_whoever_reads_the_page(served, http, until):
    """A connection that is kept open, and one that never says anything, do not keep the service."""
    address = served.serve()
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port))) as silent,
        socket.create_connection((host, int(port))) as open_,
    ):
        open_.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert open_.recv(100).startswith(b"HTTP/1.1 200")
        silent.sendall(b"GET /heal")
        assert served.stop(served.process) == 0


def test_a_service_without_the_extra_says_so(served):
    """The missing packages and how to get them are named, as an error of rules.yaml."""
    without = served.driver(
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "hidden = {'uvicorn', 'prometheus_client'}\n"
        "importlib.util.find_spec = lambda name, *more: None if name in hidden else find(name, *more)\n"
    )
    assert served.start(without).wait(30) == 78
    assert "needs the extra `page`: uvicorn, prometheus_client not installed" in served.log()
    assert "pip install 'attachd[page]'" in served.log()
