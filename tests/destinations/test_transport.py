import contextlib
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc

import pytest

from attachd.destinations import connections
from attachd.destinations.connections import Proxies, is_loopback
from attachd.destinations.faults import Fault, Sent
from attachd.destinations.transport import Transport
from attachd.errors import UserError
from attachd.model import ErrorKind

HEADERS = {"Content-Type": "image/jpeg"}
TOKEN = "canary-token-5f2c9a7d"


@pytest.fixture
def transport(settings):
    """Make transports that are closed at the end."""
    made = []

    def make(**changes):
        made.append(Transport(settings(**changes), time.monotonic))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_storage_never_sees_the_token(transport, server, body, canaries):
    """The token goes to the API alone, and to storage goes no credential at all."""
    line = transport()
    line.post_json(b"{}", TOKEN)
    line.send("PUT", server.upload_url(), HEADERS, body(b"abc"))
    api, storage = server.seen
    assert api.headers["Authorization"] == f"Bearer {canaries[0]}"
    assert "Authorization" not in storage.headers
    assert canaries[0] not in str(storage)


def test_netrc_adds_nothing(transport, server, body, tmp_path, monkeypatch):
    """Entries for the host in .netrc change neither call."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\ndefault login x password y\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    line = transport()
    line.post_json(b"{}", TOKEN)
    line.send("PUT", server.upload_url(), HEADERS, body(b"abc"))
    assert server.seen[0].headers["Authorization"].startswith("Bearer ")
    assert "Authorization" not in server.seen[1].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_never_followed(transport, server, reply, body, status):
    """A redirect is an answer like any other; nothing is sent to where it points."""
    line = transport()
    location = {"Location": server.upload_url("elsewhere")}
    server.storage.append(reply(status, "", location))
    server.api.append(reply(status, "", location))
    assert line.send("PUT", server.upload_url(), HEADERS, body(b"abc")).status == status
    assert line.post_json(b"{}", TOKEN).status == status
    assert len(server.seen) == 2


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1])
def test_bodies_are_never_chunked(transport, server, body, size):
    """Each size, zero included, is sent with its length."""
    answer = transport().send("PUT", server.upload_url(), HEADERS, body(size=size))
    assert answer.status == 200
    put = server.seen[0]
    assert put.headers["Content-Length"] == str(size)
    assert "Transfer-Encoding" not in put.headers
    assert put.size == size


def test_only_the_named_headers_are_sent_to_storage(transport, server, body):
    """Storage gets the given type and length and nothing that a signature might not cover."""
    transport().send("PUT", server.upload_url(), {"Content-Type": "image/x-odd; a=b"}, body(b"abc"))
    headers = server.seen[0].headers
    assert headers["Content-Type"] == "image/x-odd; a=b"
    assert headers["User-Agent"].startswith("attachd/")
    assert set(headers) <= {"Host", "Accept-Encoding", "Content-Type", "Content-Length", "User-Agent"}


def test_signed_urls_arrive_as_they_are(transport, server, body):
    """Neither the path nor the query of a signed URL is changed on the way."""
    path = (
        "/bucket/a%20b/%C3%A4+c%2Fd//x?X-Amz-Credential=AK%2F2026%2Fs3&X-Amz-SignedHeaders=host%3Ba&X=%2B%3D"
    )
    transport().send("PUT", server.upload_url().split("/bucket")[0] + path, HEADERS, body(b"abc"))
    assert server.seen[0].path == path


def test_large_files_take_little_memory(transport, server, body):
    """A file of 64 MiB is streamed in blocks of 1 MiB and never held in memory."""
    data = body(size=64 << 20)
    line = transport()
    tracemalloc.start()
    try:
        line.send("PUT", server.upload_url(), HEADERS, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert server.seen[0].size == 64 << 20
    assert data.largest_read == 1 << 20
    assert peak < 16 << 20


def test_connections_are_kept(transport, server, body):
    """Call after call goes over the same connection."""
    line = transport()
    for _ in range(3):
        line.send("PUT", server.upload_url(), HEADERS, body(b"abc"))
    assert len({request.peer for request in server.seen}) == 1


def test_idle_connections_are_not_used_again(transport, server, body, monkeypatch):
    """A connection that stood idle too long is replaced before anything is sent on it."""
    monkeypatch.setattr(connections, "MAX_IDLE", -1.0)
    line = transport()
    line.post_json(b"{}", TOKEN)
    line.post_json(b"{}", TOKEN)
    assert len({request.peer for request in server.seen}) == 2


def test_idle_connections_that_were_closed_are_noticed(transport, server, reply):
    """A connection that the other side closed while it was idle costs a new one and no failure."""
    line = transport()
    server.api.append(reply(200, "{}", act="close later"))
    line.post_json(b"{}", TOKEN)
    assert server.closed.wait(5)
    assert line.post_json(b"{}", TOKEN).status == 200


def test_cookies_are_not_kept(transport, server, reply):
    """What the other side wants remembered is not sent back."""
    line = transport()
    server.api.append(reply(headers={"Set-Cookie": "a=b"}))
    line.post_json(b"{}", TOKEN)
    line.post_json(b"{}", TOKEN)
    assert "Cookie" not in server.seen[1].headers


def test_slow_lines_have_the_read_time_out_for_each_block(transport, server, body):
    """Sending may take longer than connecting: the short limit ends once the connection stands."""
    server.pause = 0.3
    line = transport(connect_timeout=0.1, read_timeout=5.0)
    answer = line.send("PUT", server.upload_url(), HEADERS, body(size=16 << 20))
    assert answer.status == 200


def test_connecting_has_its_own_time_out(transport):
    """A host that does not take the connection is given up after the connect time-out, unsent."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = []
        try:
            for _ in range(4):  # fills the queue of a listener that never accepts
                client = socket.socket()
                client.settimeout(0)
                client.connect_ex(address)
                waiting.append(client)
            with pytest.raises(Fault) as caught:
                transport(connect_timeout=0.2, url=f"http://127.0.0.1:{address[1]}/").post_json(b"{}", TOKEN)
        finally:
            for client in waiting:
                client.close()
    assert (caught.value.kind, caught.value.sent) == (ErrorKind.TIMEOUT, Sent.NO)


def test_an_answer_that_trickles_for_ever_is_broken_off(transport):
    """A byte at a time it would never time out, and hold a worker for hours; half an answer is none."""
    promised = 1_000_000

    def trickle(listener):
        connection = listener.accept()[0]
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {promised}\r\n\r\n".encode())
            for _ in range(promised):
                connection.sendall(b" ")
                time.sleep(0.01)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=trickle, args=(listener,))
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        answer = transport(read_timeout=0.2, url=url).post_json(b"{}", TOKEN)
        server.join(30)
    assert not server.is_alive()
    assert (answer.status, answer.body) == (200, b"")


def test_unknown_names(transport, monkeypatch):
    """A name that cannot be resolved was never called."""

    def fail(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(Fault) as caught:
        transport(url="https://ion.invalid/graphql").post_json(b"{}", TOKEN)
    assert (caught.value.kind, caught.value.sent) == (ErrorKind.NETWORK, Sent.NO)
    assert caught.value.message == "no connection to ion.invalid: Name or service not known"


def test_tls_with_a_server_that_has_none(transport, server):
    """A TLS handshake that fails has sent nothing of the request."""
    with pytest.raises(Fault) as caught:
        transport(url=server.url.replace("http:", "https:")).post_json(b"{}", TOKEN)
    assert (caught.value.kind, caught.value.sent) == (ErrorKind.TLS, Sent.NO)
    assert server.seen == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a certificate for loopback that nobody vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    place = tmp_path_factory.mktemp("tls")
    command = (
        f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    )
    command += " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=place, check=True, capture_output=True)
    return place


@pytest.fixture
def tls_server(certificate, start_server):
    """Play the API and the storage behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return start_server(lambda plain: context.wrap_socket(plain, server_side=True))


def test_certificates_are_checked(transport, tls_server):
    """A certificate that nobody vouches for ends the handshake, and the reason is told."""
    with pytest.raises(Fault) as caught:
        transport(url=tls_server.url).post_json(b"{}", TOKEN)
    assert (caught.value.kind, caught.value.sent) == (ErrorKind.TLS, Sent.NO)
    assert "self-signed certificate" in caught.value.message


def test_a_given_ca_file_wins_over_the_environment(transport, tls_server, certificate, body, monkeypatch):
    """The authorities come from `ca_file`, and without it from the environment at the start."""
    given = transport(url=tls_server.url, ca_file=str(certificate / "cert.pem"))
    assert given.send("PUT", tls_server.upload_url(), HEADERS, body(size=2 << 20)).status == 200
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    from_environment = transport(url=tls_server.url)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert from_environment.send("PUT", tls_server.upload_url(), HEADERS, body(b"abc")).status == 200


def test_a_reset_during_the_sending_is_no_fault_of_tls(transport, tls_server, certificate, reply, body):
    """A connection that breaks after the handshake is trouble with the network, not with TLS."""
    line = transport(url=tls_server.url, ca_file=str(certificate / "cert.pem"))
    tls_server.storage.append(reply(act="reset", early=True))
    with pytest.raises(Fault) as caught:
        line.send("PUT", tls_server.upload_url(), HEADERS, body(size=32 << 20))
    assert (caught.value.kind, caught.value.sent) == (ErrorKind.NETWORK, Sent.UNKNOWN)


def test_a_refusal_during_the_sending_is_read_through_tls(transport, tls_server, certificate, reply, body):
    """Under TLS, too, a refusal that comes while the body is being sent is found."""
    line = transport(url=tls_server.url, ca_file=str(certificate / "cert.pem"))
    tls_server.storage.append(reply(403, "why", early=True, act="refuse"))
    answer = line.send("PUT", tls_server.upload_url(), HEADERS, body(size=64 << 20))
    assert (answer.status, answer.body) == (403, b"why")


def test_a_ca_file_that_is_not_there_is_told_at_once(transport, tmp_path):
    """A missing CA file is found before the first call, and by its name."""
    with pytest.raises(UserError, match=r"there is no CA file .*missing\.pem"):
        transport(ca_file=str(tmp_path / "missing.pem"))


def test_a_given_proxy_takes_everything(transport, server, start_server, body):
    """With `proxy` in the settings, all calls go there, on loopback too."""
    proxy = start_server()
    line = transport(proxy=f"http://127.0.0.1:{proxy.server_port}")
    line.send("PUT", server.upload_url(), HEADERS, body(b"abc"))
    assert server.seen == []
    assert proxy.seen[0].path.startswith(f"http://127.0.0.1:{server.server_port}/bucket/")


def test_a_proxy_that_is_not_there(transport, dead_address):
    """A proxy that cannot be reached has passed nothing on."""
    with pytest.raises(Fault) as caught:
        transport(url="https://ion.invalid/graphql", proxy=dead_address).post_json(b"{}", TOKEN)
    assert (caught.value.kind, caught.value.sent) == (ErrorKind.NETWORK, Sent.NO)


def test_a_proxy_that_refuses_the_tunnel(transport, server):
    """A proxy that refuses to connect further has passed nothing on, and its reason is told."""
    proxy = server.url.replace("/graphql", "")
    with pytest.raises(Fault) as caught:
        transport(url="https://ion.invalid/graphql", proxy=proxy).post_json(b"{}", TOKEN)
    assert (caught.value.kind, caught.value.sent) == (ErrorKind.NETWORK, Sent.NO)
    assert "tunnel connection failed: 501" in caught.value.message


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "nonsense", "http://me:pass[word@127.0.0.1:1", "http://me:password@"]
)
def test_other_proxies_are_a_matter_of_configuration(transport, proxy):
    """Only HTTP proxies can be used; others are said to be unusable before anything is sent."""
    with pytest.raises(Fault) as caught:
        transport(proxy=proxy).post_json(b"{}", TOKEN)
    assert caught.value.sent is Sent.NO
    assert caught.value.kind in {ErrorKind.CONFIG, ErrorKind.NETWORK}


def test_proxies_of_the_environment(monkeypatch):
    """The environment is read once; NO_PROXY and loopback go straight."""
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", "straight.test, .inside.test,10.0.0.0/8,port.test:8443,bad/mask")
    proxies = Proxies(None)
    monkeypatch.delenv("https_proxy")
    straight = [
        "straight.test",
        "a.straight.test",
        "a.inside.test",
        "10.1.2.3",
        "port.test:8443",
        "localhost",
    ]
    for host in straight:
        assert proxies.for_url(f"https://{host}/x") == {}
    for host in ("ion.test", "notstraight.test", "11.1.2.3", "port.test"):
        assert proxies.for_url(f"https://{host}/x") == {"https": "http://proxy.test:3128"}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("127.0.0.1", "127.8.8.8", "::1", "LocalHost")),
        *((host, False) for host in ("10.0.0.1", "localhost.evil.test", "127.0.0.1.evil.test", "")),
    ],
)
def test_loopback(host, expected):
    """Only this machine itself counts as loopback, whatever a name looks like."""
    assert is_loopback(host) is expected


def test_requests_that_cannot_be_made_are_never_sent(transport, server, body):
    """A header that HTTP has no form for ends the call before it starts, also after one that went well."""
    line = transport()
    line.send("PUT", server.upload_url(), HEADERS, body(b"abc"))
    with pytest.raises(Fault) as caught:
        line.send("PUT", server.upload_url(), {"Content-Type": "image/x\r\nX-Evil: 1"}, body(b"abc"))
    assert (caught.value.kind, caught.value.sent) == (ErrorKind.CONFIG, Sent.NO)
    assert "X-Evil" not in caught.value.message
    assert len(server.seen) == 1


def test_debug_logs_hold_no_signed_url(transport, server, body, caplog, canaries):
    """The libraries' own records, which hold whole URLs, do not come out even at debug level."""
    with caplog.at_level(logging.DEBUG):
        transport().send("PUT", server.upload_url(), HEADERS, body(b"abc"))
    assert not [record for record in caplog.records if canaries[1] in record.getMessage()]
