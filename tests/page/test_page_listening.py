import errno
import socket

import pytest

from attachd.page import listening
from attachd.page.listening import Listen, bound


def test_a_name_is_listened_to_on_every_address_it_has():
    """Whoever says localhost gets there, whichever of its addresses they take."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with bound(Listen(host="localhost", port=port)) as sockets:
        there = {address[4][0] for address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)}
        assert {each.getsockname()[0] for each in sockets} <= there
        with socket.create_connection(("localhost", port)):
            pass
    assert all(each.fileno() == -1 for each in sockets)


def test_a_family_that_is_switched_off_is_passed_over(monkeypatch):
    """`localhost` has its IPv6 address in /etc/hosts without IPv6 too; the other one is listened to."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    addresses = [(socket.AF_INET6, ("::1", port)), (socket.AF_INET, ("127.0.0.1", port))]
    monkeypatch.setattr(listening, "_addresses", lambda _: addresses)
    create = socket.create_server

    def without_ipv6(address, *, family, dualstack_ipv6):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return create(address, family=family, dualstack_ipv6=dualstack_ipv6)

    monkeypatch.setattr(socket, "create_server", without_ipv6)
    with bound(Listen(host="localhost", port=port)) as sockets:
        assert [each.getsockname() for each in sockets] == [("127.0.0.1", port)]


def test_with_port_0_there_is_one_port():
    """Two addresses with a free port each would be two pages."""
    with bound(Listen(host="localhost", port=0)) as sockets:
        assert len(sockets) == 1
        assert sockets[0].getsockname()[1] != 0


def test_a_taken_port_is_an_error_and_nothing_is_left_open():
    """What was bound before the taken one is closed again."""
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="in use"),
        bound(Listen(host="127.0.0.1", port=taken.getsockname()[1])),
    ):
        pass


def test_an_address_of_another_machine_is_an_error():
    """192.0.2.1 is nobody's (RFC 5737)."""
    with pytest.raises(OSError, match="does not have") as caught, bound(Listen(host="192.0.2.1", port=0)):
        pass
    assert caught.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize("host", ["::", "::0"])
def test_everywhere_is_both_families(host):
    """`[::]` is reached by IPv4 as well, where the machine can do that."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no dual stack")
    with bound(Listen(host=host, port=0)) as sockets:
        with socket.create_connection(("127.0.0.1", sockets[0].getsockname()[1])):
            pass
        assert sockets[0].family == socket.AF_INET6


@pytest.mark.parametrize(
    ("listen", "shown"),
    [
        (Listen(host="127.0.0.1", port=8780), "127.0.0.1:8780"),
        (Listen(host="::1", port=8780), "[::1]:8780"),
    ],
)
def test_addresses_are_shown_as_they_are_written(listen, shown):
    """As in rules.yaml, and with the port that it has become."""
    assert listen.shown() == shown
    assert listen.shown(1) == shown.replace("8780", "1")


def test_the_token_is_not_in_its_text():
    """A value that is logged by mistake tells nothing."""
    assert "page-secret" not in repr(Listen(host="127.0.0.1", port=1, token="page-secret"))
