import asyncio
import base64

import pytest
from starlette.responses import PlainTextResponse

from attachd.page.guard import Guard, is_ours, shows
from attachd.page.listening import Listen


@pytest.mark.parametrize(
    ("asked", "host", "ours"),
    [
        ("127.0.0.1:8780", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("LocalHost:9999", "127.0.0.1", True),
        ("[::1]:8780", "127.0.0.1", True),
        ("[::1]", "::1", True),
        ("127.1.2.3", "127.0.0.1", True),
        ("evil.example", "127.0.0.1", False),
        ("evil.example:8780", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("10.0.0.5", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        ("[", "127.0.0.1", False),
        ("10.0.0.5:8780", "10.0.0.5", True),
        ("station.example:8780", "station.example", True),
        ("STATION.example", "station.example", True),
        ("10.0.0.6", "10.0.0.5", False),
        ("10.0.0.6", "0.0.0.0", True),
        ("[2001:db8::1]:8780", "::", True),
        ("10.0.0.6:8780", "0", True),
        ("10.0.0.6:8780", "0:0:0:0:0:0:0:0", True),
        ("evil.example", "0.0.0.0", False),
    ],
)
def test_the_host_header_has_to_name_this_machine(asked, host, ours):
    """A name that somebody else led here is refused; where we listen everywhere, every address is ours."""
    assert is_ours([asked], host) is ours


def test_where_we_listen_everywhere_the_machine_has_its_name(monkeypatch):
    """People reach a station by its name."""
    monkeypatch.setattr("socket.gethostname", lambda: "Station-3")
    assert is_ours(["station-3:8780"], "0.0.0.0")
    assert not is_ours(["station-3:8780"], "127.0.0.1")


@pytest.mark.parametrize("hosts", [[], ["127.0.0.1", "evil.example"]])
def test_a_request_names_its_host_once(hosts):
    """None, or two of them, is no question that we could answer."""
    assert not is_ours(hosts, "127.0.0.1")


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "well"),
    [
        ("Bearer page-secret", True),
        ("bearer   page-secret ", True),
        (basic("anna:page-secret"), True),
        (basic(":page-secret"), True),
        ("", False),
        ("page-secret", False),
        ("Bearer", False),
        ("Bearer page-secre", False),
        ("Bearer page-secret2", False),
        ("Bearer pägé", False),
        ("Token page-secret", False),
        (basic("page-secret:"), False),
        ("Basic page-secret", False),
        ("Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(), False),
    ],
)
def test_the_token_is_shown_as_bearer_or_as_a_password(header, well):
    """Tools send it as Bearer, a browser asks for it as a password; nothing else opens the page."""
    assert shows(header, "page-secret") is well


def served(method: str, **headers: str) -> tuple[int, dict[str, str]]:
    """Send one request through the guard and give status and headers."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    guard = Guard(PlainTextResponse("inside"), Listen(host="127.0.0.1", port=1, token="page-secret"))
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": "/", "headers": raw}
    asyncio.run(guard(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"host": "127.0.0.1", "authorization": "Bearer page-secret"}, 200),
        ("HEAD", {"host": "127.0.0.1", "authorization": "Bearer page-secret"}, 200),
        ("POST", {"host": "127.0.0.1", "authorization": "Bearer page-secret"}, 405),
        ("GET", {"host": "127.0.0.1"}, 401),
        ("POST", {"host": "127.0.0.1"}, 401),
        ("GET", {"host": "evil.example", "authorization": "Bearer page-secret"}, 400),
        ("GET", {}, 400),
    ],
)
def test_every_answer_is_guarded(method, headers, status):
    """Whatever is answered, refusals too, is not to be kept, framed, guessed at or told on."""
    got, found = served(method, **headers)
    assert got == status
    assert found["cache-control"] == "no-store"
    assert found["x-content-type-options"] == "nosniff"
    assert found["referrer-policy"] == "no-referrer"
    assert found["content-security-policy"].startswith("default-src 'none';")
