import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog

from attachd.core.settings import OAuthSettings, SecretRef
from attachd.destinations.faults import Fault, Sent
from attachd.destinations.signin import FileSecret, FixedSecret, GivenToken, renew_after, source_of
from attachd.errors import Trouble, UserError
from attachd.model import ErrorKind, Severity
from attachd.simulator import Client, Simulator

SECRET = "canary-client-secret-77b0c1"


@pytest.fixture
def events():
    """Collect what is logged."""
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture
def file(tmp_path):
    """Give a file with a first secret."""
    path = tmp_path / "secret"
    path.write_text("first")
    return path


@pytest.fixture
def secret(file):
    """Give a secret that is read from that file."""

    def read():
        try:
            value = file.read_text()
        except OSError as error:
            raise UserError(f"cannot read {file}") from error
        if not value:
            raise UserError(f"{file} is empty")
        return value

    return FileSecret(file, read)


def test_a_changed_file_is_read_again(file, secret):
    """A secret that is written anew, or swapped by a rename, is used at once."""
    assert secret.current() == "first"
    file.write_text("second")
    assert secret.current() == "second"
    other = file.with_suffix(".new")
    other.write_text("thirds")
    stat = file.stat()
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(file)
    assert secret.current() == "thirds"


def test_a_file_that_is_gone_for_a_moment_changes_nothing(file, secret, events):
    """The old secret stays in use while the file is missing or empty, which is said once."""
    file.unlink()
    assert [secret.current(), secret.current()] == ["first", "first"]
    file.write_text("")
    assert secret.current() == "first"
    assert [entry["event"] for entry in events] == ["secret_unreadable"]
    file.write_text("second")
    assert secret.current() == "second"
    file.unlink()
    assert secret.current() == "second"
    assert [entry["event"] for entry in events][1:] == ["secret_changed", "secret_unreadable"]


def test_a_file_with_the_signs_of_before_is_found_on_refusal(file, secret):
    """A token that was replaced within one tick of the clock is noticed when the old one is refused."""
    source = GivenToken(secret)
    stat = file.stat()
    file.write_text("fresh")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert source.token() == "first"
    assert source.renew("first")
    assert source.token() == "fresh"
    assert not source.renew("fresh")


def test_a_secret_that_was_never_there_stops_the_start(tmp_path):
    """Without a first secret there is nothing to go on with."""

    def read():
        raise UserError("cannot read it")

    with pytest.raises(UserError):
        FileSecret(tmp_path / "none", read)


@pytest.fixture
def lender():
    """Run a simulator that lends tokens for 300 seconds."""
    with Simulator(client=Client(secret=SECRET)) as running:
        yield running


@pytest.fixture
def oauth(lender, settings, clock):
    """Make sources of tokens that ask the lender, and close them at the end."""
    made = []

    def make(secret=None, *, token_url="", client_id="simulator-client", extra=(), **changes):
        account = OAuthSettings(
            token_url=token_url or lender.token_url,
            client_id=client_id,
            client_secret=SecretRef(source="env", value="X"),
            extra=extra,
        )
        chosen = settings(oauth=account, token=None, **changes)
        made.append(source_of(chosen, secret or FixedSecret(SECRET), clock.monotonic))
        return made[-1]

    yield make
    for source in made:
        source.close()


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [(3600, 2880), (300, 240), (200, 140), (100, 50), (60, 30), (1, 0.5), (math.inf, math.inf)],
)
def test_when_a_token_is_renewed(lifetime, expected):
    """At 80 % of its life or a minute before its end, and never at once."""
    assert renew_after(lifetime) == expected


def test_a_token_is_used_until_shortly_before_its_end(oauth, lender, clock):
    """One request for a token serves many calls; the next comes before the old one ends."""
    source = oauth()
    assert {source.token() for _ in range(3)} == {"lent-token-1"}
    clock.seconds += 239
    assert source.token() == "lent-token-1"
    clock.seconds += 1
    assert source.token() == "lent-token-2"
    assert lender.call_counts["token"] == 2


def test_a_token_of_unknown_life_is_used_until_it_is_refused(settings, clock, oauth):
    """Without `expires_in` nothing is renewed on a guess."""
    with Simulator(client=Client(secret=SECRET, tells_lifetime=False)) as lender:
        source = oauth(token_url=lender.token_url)
        source.token()
        clock.seconds += 10**8
        assert source.token() == "lent-token-1"
        assert source.renew("lent-token-1")
        assert source.token() == "lent-token-2"


def test_a_refused_token_is_dropped_once(oauth, lender):
    """Many who were refused with the same token get one new one between them."""
    source = oauth()
    old = source.token()
    barrier = threading.Barrier(16)

    def refused(_):
        barrier.wait(5)
        assert source.renew(old)
        return source.token()

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(refused, range(16))) == {"lent-token-2"}
    assert lender.call_counts["token"] == 2


def test_further_fields_are_sent(oauth):
    """What stands under `extra` goes into the form."""
    client = Client(secret=SECRET, fields=(("audience", "api.example"), ("scope", "a b")))
    with Simulator(client=client) as lender:
        source = oauth(token_url=lender.token_url, extra=client.fields)
        assert source.token() == "lent-token-1"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status": 400, "body": '{"error": "invalid_scope"}'}, ErrorKind.AUTH),
        ({"status": 401, "body": '{"error": "invalid_client"}'}, ErrorKind.AUTH),
        ({"status": 403}, ErrorKind.AUTH),
        ({"status": 404, "body": "<html>"}, ErrorKind.CONFIG),
        ({"status": 302, "headers": {"Location": "/login"}}, ErrorKind.CONFIG),
        ({"status": 407}, ErrorKind.CONFIG),
        ({"status": 429}, ErrorKind.THROTTLED),
        ({"status": 500, "body": '{"error": "unknown_error"}'}, ErrorKind.SERVER),
        ({"status": 503}, ErrorKind.SERVER),
        ({"status": 200, "body": "<html>sign in</html>"}, ErrorKind.SERVER),
        ({"status": 200, "body": '{"access_token": 7}'}, ErrorKind.SERVER),
        ({"status": 200, "body": '{"access_token": ""}'}, ErrorKind.AUTH),
        ({"status": 200, "body": "[" * 100_000}, ErrorKind.SERVER),
    ],
)
def test_what_refusals_of_the_token_server_mean(oauth, lender, answer, kind):
    """What a person must mend is told from what passes; the API was not called in any case."""
    lender.fault(call="token", do=answer)
    with pytest.raises(Fault) as caught:
        oauth().token()
    assert caught.value.kind is kind
    assert caught.value.sent is Sent.NO
    assert bool(caught.value.hint) == (kind in {ErrorKind.AUTH, ErrorKind.CONFIG} and answer["status"] != 200)


def test_a_token_server_that_is_not_there_passes(oauth, dead_address):
    """No connection to the token server is passing trouble, in which the API was not called."""
    with pytest.raises(Fault) as caught:
        oauth(token_url=dead_address).token()
    assert (caught.value.kind, caught.value.sent) == (ErrorKind.NETWORK, Sent.NO)
    assert "no token could be had" in caught.value.message


def test_a_renewal_that_fails_hurts_nobody_while_the_old_token_serves(oauth, lender, clock, events):
    """The old token is used to its end, asking again now and then; only then the trouble is told."""
    source = oauth()
    source.token()
    clock.seconds += 240
    lender.fault(call="token", do={"status": 503}, times=2)
    assert [source.token(), source.token()] == ["lent-token-1"] * 2
    assert lender.call_counts["token"] == 2
    clock.seconds += 60
    with pytest.raises(Fault):
        source.token()
    assert source.token() == "lent-token-2"
    assert "token_not_renewed" in {entry["event"] for entry in events}


def test_one_failure_for_all_who_wait(oauth, lender):
    """While nobody answers, many workers wait for one time-out and not one after the other."""
    lender.fault(call="token", do="hang", times=16)
    source = oauth(read_timeout=0.5)
    barrier = threading.Barrier(16)

    def ask(_):
        barrier.wait(5)
        with pytest.raises(Fault) as caught:
            source.token()
        return caught.value.kind

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(16))) == {ErrorKind.TIMEOUT}
    lender.clear_faults()
    assert lender.call_counts["token"] == 1


def test_a_corrected_secret_file_is_used_at_the_next_try(oauth, file, secret):
    """A wrong client secret is mended by replacing its file."""
    source = oauth(secret)
    with pytest.raises(Fault) as caught:
        source.token()
    assert caught.value.kind is ErrorKind.AUTH
    file.write_text(SECRET)
    assert source.token() == "lent-token-1"


@pytest.mark.parametrize("body", [f'{{"error": "x", "error_description": "bad {SECRET}"}}', SECRET])
def test_the_secret_is_in_no_message(oauth, lender, events, body):
    """A token server that repeats the secret in its refusal does not spread it."""
    source = oauth()
    source.token()
    source.renew("lent-token-1")
    lender.fault(call="token", do={"status": 400, "body": body})
    with pytest.raises(Fault) as caught:
        source.token()
    shown = f"{caught.value!r} {caught.value.message} {caught.value.hint} {events} {source!r}"
    assert SECRET not in shown
    assert "lent-token" not in shown


def test_the_token_server_is_reached_by_the_proxy(oauth, server, start_server, reply):
    """`proxy` holds for the token server as well."""
    proxy = start_server()
    proxy.api.append(reply(body={"access_token": "t"}))
    source = oauth(token_url=server.url, proxy=f"http://127.0.0.1:{proxy.server_port}")
    assert source.token() == "t"
    assert server.seen == []
    assert proxy.seen[0].path == server.url


def test_a_ca_file_that_is_not_there_is_told_at_once(oauth, tmp_path):
    """`ca_file` holds for the token server as well."""
    with pytest.raises(UserError, match=r"missing\.pem"):
        oauth(ca_file=str(tmp_path / "missing.pem"))


def test_no_basic_credentials_and_no_netrc(oauth, server, reply, tmp_path):
    """The client's secret goes into the form alone, to the one who asked for it."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    server.api.append(reply(body={"access_token": "t", "expires_in": "60"}))
    assert oauth(token_url=server.url).token() == "t"
    (request,) = server.seen
    assert "Authorization" not in request.headers
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert f"client_secret={SECRET}" in request.body.decode()


class TestCalls:
    """A destination whose tokens are lent, through its calls."""

    @pytest.fixture
    def ion(self, oauth, lender, make_ion):
        """Give an account at the lender's ION."""
        return make_ion(source=oauth(), url=lender.graphql_url)

    def test_a_call_with_a_token_that_ended_is_made_once_more(self, ion, lender, upload):
        """A 401 costs one renewal, and the caller does not notice."""
        ion.open(upload())
        lender.expire_tokens()
        ion.open(upload())
        assert lender.call_counts["token"] == 2
        assert lender.call_counts["open"] == 3

    def test_a_registration_is_made_once_more(self, ion, lender, upload, body):
        """A refused token means that nothing was done, so even a final call is repeated once."""
        ticket = ion.open(upload())
        put = ion.put(ticket, upload(), body(b"abc"))
        lender.expire_tokens()
        receipt = ion.complete("register", upload(), {"put": put})
        assert [str(each.id) for each in lender.attachments] == [receipt["remote_id"]]
        assert lender.call_counts["register"] == 2

    def test_a_second_refusal_is_for_a_person(self, ion, lender, upload):
        """Where the new token is refused as well, the gate must close: renewing does not help."""
        lender.fault(call="open", do={"status": 401}, times=2)
        with pytest.raises(Trouble) as caught:
            ion.open(upload())
        assert (caught.value.kind, caught.value.severity) == (ErrorKind.AUTH, Severity.REFUSED)
        assert (lender.call_counts["open"], lender.call_counts["token"]) == (2, 2)

    @pytest.mark.parametrize("status", [403, 407, 500, 503])
    def test_other_refusals_renew_nothing(self, ion, lender, upload, status):
        """Only a 401 speaks of the token."""
        lender.fault(call="open", do={"status": status})
        with pytest.raises(Trouble):
            ion.open(upload())
        assert (lender.call_counts["open"], lender.call_counts["token"]) == (1, 1)

    def test_a_refusal_in_graphql_renews_as_well(self, ion, lender, upload):
        """An API that says it in `errors` is understood too."""
        lender.fault(call="open", do={"graphql_error": "Unauthenticated"})
        ion.open(upload())
        assert lender.call_counts["token"] == 2

    def test_a_wrong_client_is_told_as_such(self, oauth, lender, make_ion, upload):
        """A client that the token server does not know closes the gate, with the keys to look at."""
        ion = make_ion(source=oauth(client_id="nobody"), url=lender.graphql_url)
        with pytest.raises(Trouble) as caught:
            ion.open(upload())
        assert (caught.value.kind, caught.value.severity) == (ErrorKind.AUTH, Severity.REFUSED)
        assert "client_secret" in caught.value.hint
        assert lender.call_counts["open"] == 0

    def test_a_token_server_that_fails_is_passing_for_every_call(self, ion, lender, upload, receipts):
        """Without a token nothing was sent, so even a final call may simply be made later."""
        lender.fault(call="token", do={"status": 503})
        with pytest.raises(Trouble) as caught:
            ion.complete("register", upload(), receipts)
        assert (caught.value.kind, caught.value.severity) == (ErrorKind.SERVER, Severity.PASSING)
        assert lender.call_counts["register"] == 0
