from urllib.parse import urlencode

import pytest

from attachd.simulator import Client, Simulator

GOOD = {
    "grant_type": "client_credentials",
    "client_id": "simulator-client",
    "client_secret": "simulator-secret",
}
FORM = "application/x-www-form-urlencoded"
WHOSE = "{ currentUser { organization { id domain } } }"


@pytest.fixture
def lend(wire_to, simulator):
    """Ask a simulator for a token; each argument replaces what is right."""

    def ask(body=GOOD, of=simulator, content_type=FORM, **headers):
        body = urlencode(body) if isinstance(body, dict | list) else body
        headers = {"Content-Type": content_type, **headers}
        return wire_to(of).request("POST", "/oauth/token", body, headers)

    return ask


def test_a_lent_token_opens_until_it_ends(lend, wire_to):
    """A token serves for as long as `expires_in` says, and not a second longer."""
    now = [1000.0]
    with Simulator(client=Client(lifetime=60), clock=lambda: now[0]) as simulator:
        answer = lend(of=simulator)
        assert (answer.status, answer.json["expires_in"], answer.json["token_type"]) == (200, 60, "Bearer")
        assert answer.headers["Cache-Control"] == "no-store"
        bearer = f"Bearer {answer.json['access_token']}"
        wire = wire_to(simulator)
        assert wire.post({"query": WHOSE}, bearer).status == 200
        now[0] += 60
        assert wire.post({"query": WHOSE}, bearer).status == 401


def test_tokens_can_be_ended_early(lend, wire, simulator):
    """`expire_tokens` ends what was lent so far and nothing that is lent later."""
    first = lend().json["access_token"]
    simulator.expire_tokens()
    second = lend().json["access_token"]
    assert wire.post({"query": WHOSE}, f"Bearer {first}").status == 401
    assert wire.post({"query": WHOSE}, f"Bearer {second}").status == 200
    assert wire.gql(WHOSE)["data"]
    assert simulator.call_counts["token"] == 2


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"content_type": "application/json"}, 400, "invalid_request"),
        ({"body": "no form"}, 400, "invalid_request"),
        ({"body": [*GOOD.items(), ("client_id", "twice")]}, 400, "invalid_request"),
        ({"Authorization": "Basic eDp5"}, 400, "invalid_request"),
        ({"body": GOOD | {"grant_type": "password"}}, 400, "unsupported_grant_type"),
        ({"body": GOOD | {"client_id": "somebody"}}, 401, "invalid_client"),
        ({"body": GOOD | {"client_secret": "wrong"}}, 401, "invalid_client"),
        ({"body": {"grant_type": "client_credentials"}}, 401, "invalid_client"),
    ],
)
def test_wrong_requests_are_refused(lend, changes, status, error):
    """What the RFC does not allow gets no token but its error code."""
    answer = lend(**changes)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert "access_token" not in answer.json


def test_further_fields_can_be_asked_for(lend):
    """A client may have to send more than the RFC asks for, and a lifetime may stay untold."""
    client = Client(fields=(("audience", "api"),), tells_lifetime=False)
    with Simulator(client=client) as simulator:
        assert lend(of=simulator).status == 400
        answer = lend(GOOD | {"audience": "api"}, of=simulator)
        assert answer.status == 200
        assert "expires_in" not in answer.json


def test_several_tokens_of_several_organizations(wire_to):
    """Each accepted token belongs to its own organization."""
    tokens = {"north": "north.example", "south": "south.example", "twin": "north.example"}
    with Simulator(tokens=tokens, organization="main.example", organization_id=40) as simulator:
        wire = wire_to(simulator)
        found = {
            name: wire.post({"query": WHOSE}, f"Bearer {name}").json["data"]["currentUser"]["organization"]
            for name in (simulator.token, *tokens)
        }
    assert found[simulator.token] == {"id": 40, "domain": "main.example"}
    assert [found[name]["id"] for name in tokens] == [41, 42, 41]


def test_a_schema_may_have_no_users(wire_to):
    """Without an organization there is nothing to ask for it."""
    with Simulator(organization="") as simulator:
        errors = wire_to(simulator).gql(WHOSE)["errors"]
    assert "Cannot query field" in errors[0]["message"]


def test_the_token_endpoint_can_fail(lend, simulator):
    """Faults strike it like any other call."""
    simulator.fault(call="token", do={"status": 503})
    assert [lend().status, lend().status] == [503, 200]
