import json

import pytest

from attachd.simulator.server import Simulator
from attachd.simulator.tokens import Client

STEP = 1_000_000


def status(bench):
    """Give what `attachd status` knows of the destination."""
    found = json.loads(bench.call("status", "--json").stdout)
    return found["destinations"][0]


def sign_in(bench, how, url=""):
    """Replace how the destination signs in, and where it leads."""
    bench.write_rules(url=url)
    token = f"    token: {bench.simulator.token}\n"
    text = bench.rules.read_text()
    assert token in text
    bench.rules.write_text(text.replace(token, f"    {how}\n"))


def test_a_token_that_ends_in_mid_run_costs_one_renewal(bench):
    """With sixteen workers at work, one new token is asked for, and no file notices."""
    simulator = bench.simulator
    (bench.directory / "client").write_text("simulator-secret\n")
    oauth = f"oauth: {{token_url: {simulator.token_url}, client_id: simulator-client, "
    sign_in(bench, oauth + "client_secret: {file: client}}\n    workers: 16")
    for number in range(1, 81):
        bench.put(f"st/{number}/a.png", f"file {number}".encode())
    simulator.fault(call="open", do={"delay": 0.2}, times=16)  # so that sixteen are under way
    service = bench.start()
    assert simulator.wait_for(lambda: len(simulator.attachments) >= 20, 60)
    simulator.expire_tokens()
    bench.wait_until(lambda: set(bench.states().values()) == {"done"}, "all done")
    assert bench.stop(service) == 0
    rows = bench.list()
    assert len(simulator.attachments) == len(rows) == 80
    assert {row["attempts"] for row in rows} == {1}
    assert simulator.call_counts["token"] == 2
    assert "gate_closed" not in bench.log()
    assert "simulator-secret" not in bench.log()
    assert "lent-token" not in bench.log()


def test_a_wrong_token_closes_the_gate_until_its_file_is_replaced(bench):
    """A refused token burns no attempt, and the right one in its file mends it without a restart."""
    token = bench.directory / "token"
    token.write_text("canary-wrong-token\n")
    sign_in(bench, "token: {file: token}")
    for number in (1, 2, 3):
        bench.put(f"st/{number}/a.png", f"file {number}".encode())
    service = bench.start()
    bench.wait_until(lambda: status(bench)["healthy"] is False, "a closed gate")
    refused = bench.simulator.call_counts["query"]
    assert bench.simulator.wait_for(lambda: bench.simulator.call_counts["query"] >= refused + 2, 20)
    shown = status(bench)
    assert "401" in shown["detail"]
    assert "check the token" in shown["detail"]
    assert shown["paused_until"]
    assert {row["attempts"] for row in bench.list()} == {0}
    assert {row["state"] for row in bench.list()} <= {"ready", "active"}  # one may be the probe just now
    assert bench.simulator.call_counts["open"] == 0

    replacement = bench.directory / "token.new"
    replacement.write_text(f"{bench.simulator.token}\n")
    replacement.replace(token)
    bench.wait_until(lambda: set(bench.states().values()) == {"done"}, "all done")
    assert {row["attempts"] for row in bench.list()} == {1}
    bench.wait_until(lambda: status(bench)["healthy"], "an open gate")
    assert service.poll() is None
    bench.stop(service)
    everything = bench.log() + json.dumps(bench.list()) + bench.call("status").stdout
    assert "canary-wrong-token" not in everything
    assert bench.simulator.token not in everything
    ledger = (bench.directory / "attachd.db").read_bytes()
    assert b"canary-wrong-token" not in ledger


@pytest.fixture
def elsewhere():
    """Run the ION of another organization, which knows the same token."""
    with Simulator(organization="other.example", organization_id=2) as running:
        yield running


def test_a_name_that_is_pointed_to_another_tenant_sends_nothing(bench, elsewhere):
    """Neither waiting nor new files go to a tenant that the name is not bound to; status says what to do."""
    bench.put("st/1/a.png", b"before")
    assert bench.once().returncode == 0
    bench.put("st/2/b.png", b"after")
    bench.write_rules(url=elsewhere.graphql_url)
    done = bench.once()
    assert done.returncode == 75, done.stderr
    service = bench.start()
    bench.wait_until(lambda: status(bench)["healthy"] is False, "a closed gate")
    detail = status(bench)["detail"]
    assert "organization 1 at 127.0.0.1" in detail
    assert "organization 2 at 127.0.0.1" in detail
    assert "rules.yaml" in detail
    (row,) = bench.list("--state", "ready,active")
    assert (row["path"], row["attempts"]) == ("st/2/b.png", 0)
    assert row["error"]["kind"] == "tenant"
    bench.stop(service)
    told = bench.call("verify", "--json", "drop/st/1/a.png")
    assert told.returncode == 75, told.stderr
    (checked,) = json.loads(told.stdout)
    assert "organization 1" in json.dumps(checked)
    assert (checked["level"], checked["safe_to_delete"]) == ("recorded", False)
    assert set(elsewhere.call_counts) == {"query", "currentUser"}
    assert elsewhere.attachments == elsewhere.puts == ()

    bench.write_rules()
    assert bench.once().returncode == 0
    assert [each.entity_id for each in bench.simulator.attachments] == [STEP + 1, STEP + 2]


@pytest.mark.parametrize("how", ["token: {file: none}", "OAUTH"])
def test_a_secret_that_is_not_there_stops_the_start(bench, how):
    """A missing secret is a mistake of the configuration, told by its key and its file."""
    oauth = f"oauth: {{token_url: {bench.simulator.token_url}, client_id: a, client_secret: {{file: none}}}}"
    sign_in(bench, how.replace("OAUTH", oauth))
    done = bench.once()
    assert done.returncode == 78
    assert str(bench.directory / "none") in done.stderr
    assert ("oauth.client_secret" in done.stderr) == (how == "OAUTH")
    assert bench.call("check").returncode == 0


def test_a_client_that_is_not_known_is_told(bench):
    """A wrong client closes the gate with the token server's reason, and the ION is not called."""
    with Simulator(client=Client(id="another")) as simulator:
        oauth = f"oauth: {{token_url: {simulator.token_url}, client_id: me, client_secret: canary-secret-9}}"
        sign_in(bench, oauth)
        bench.put("st/1/a.png")
        done = bench.once()
    assert done.returncode == 75
    (row,) = bench.list()
    assert row["error"]["kind"] == "auth"
    assert "invalid_client" in row["error"]["message"]
    assert "client_id" in row["error"]["hint"]
    assert bench.simulator.call_counts == {}
    assert "canary-secret-9" not in done.stderr


def test_limits_hold_over_all_workers(bench):
    """A run with limits keeps to them, and a stop does not wait for them."""
    bench.write_rules(extra="limits: {requests_per_second: 4, bandwidth: 400 kB}")
    for number in (1, 2, 3):
        bench.put(f"st/{number}/a.png", bytes([number]) * 200_000)
    service = bench.start()
    assert bench.simulator.wait_for(lambda: len(bench.simulator.puts) >= 1, 30)
    assert bench.stop(service) == 0
    done = bench.once()
    assert done.returncode == 0, done.stderr
    assert len(bench.simulator.attachments) == 3
