import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from attachd.destinations.signin import FileSecret, GivenToken
from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity, Tenant
from attachd.simulator import Simulator


class Names:
    """A ledger's bindings in memory."""

    def __init__(self):
        self.bound = {}
        self.asked = 0

    def bind(self, name, tenant):
        self.asked += 1
        known = self.bound.setdefault(name, tenant)
        return None if known == tenant else known


@pytest.fixture
def names():
    """Give bindings that are empty."""
    return Names()


@pytest.fixture
def tenants():
    """Run a simulator with a token of another organization."""
    with Simulator(tokens={"other-token": "other.example"}, organization_id=7) as running:
        yield running


@pytest.fixture
def account(tenants, names, make_ion):
    """Make accounts whose names are bound."""

    def make(token=tenants.token, **changes):
        return make_ion(token, bind=names.bind, **{"url": tenants.graphql_url, **changes})

    return make


def test_the_name_is_bound_before_anything_is_sent(account, tenants, names, upload):
    """The first call is the question whose account it is, and it is asked once."""
    ion = account()
    ion.open(upload())
    ion.open(upload())
    assert names.bound == {"ion": Tenant(host="127.0.0.1", organization="7")}
    assert (tenants.call_counts["currentUser"], names.asked) == (1, 1)


def test_many_workers_ask_once(account, tenants, upload):
    """Workers that start together wait for one answer."""
    ion = account()
    barrier = threading.Barrier(8)

    def work(_):
        barrier.wait(5)
        return ion.open(upload())

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(work, range(8)))) == 8
    assert tenants.call_counts["currentUser"] == 1


@pytest.mark.parametrize("call", ["open", "register", "reconcile"])
def test_another_organization_gets_nothing(account, tenants, upload, receipts, call):
    """Under a name that is bound elsewhere no call is made but the question."""
    account().open(upload())
    tenants.reset()
    ion = account("other-token")
    calls = {
        "open": lambda: ion.open(upload()),
        "register": lambda: ion.complete("register", upload(), receipts),
        "reconcile": lambda: ion.reconcile("register", upload(), receipts),
    }
    with pytest.raises(Trouble) as caught:
        calls[call]()
    trouble = caught.value
    assert (trouble.kind, trouble.severity) == (ErrorKind.TENANT, Severity.REFUSED)
    assert "organization 7 at 127.0.0.1" in trouble.message
    assert "organization 8 at 127.0.0.1" in trouble.message
    assert "name" in trouble.hint
    assert "url" in trouble.hint
    assert set(tenants.call_counts) == {"query", "currentUser"}


def test_another_host_gets_nothing(account, names, tenants, upload):
    """The host counts as well as the organization."""
    names.bound["ion"] = Tenant(host="api.example", organization="7")
    with pytest.raises(Trouble, match=r"api\.example"):
        account().open(upload())
    assert tenants.call_counts["open"] == 0


def test_a_changed_token_is_asked_about_again(make_ion, names, tenants, upload, tmp_path):
    """A token file that is replaced by another organization's is found out before the next call."""
    file = tmp_path / "token"
    file.write_text(tenants.token)
    source = GivenToken(FileSecret(file, file.read_text))
    ion = make_ion(source=source, bind=names.bind, url=tenants.graphql_url)
    ion.open(upload())
    file.write_text("other-token")
    with pytest.raises(Trouble) as caught:
        ion.open(upload())
    assert caught.value.kind is ErrorKind.TENANT
    file.write_text(tenants.token)
    ion.open(upload())
    assert tenants.call_counts["open"] == 2


def test_a_token_that_is_replaced_after_a_refusal_is_asked_about(make_ion, names, tenants, upload, tmp_path):
    """The repeated call, too, goes out only with a token whose tenant is the right one."""
    file = tmp_path / "token"
    file.write_text(tenants.token)
    ion = make_ion(
        source=GivenToken(FileSecret(file, file.read_text)), bind=names.bind, url=tenants.graphql_url
    )
    ion.open(upload())
    tenants.fault(call="open", do={"status": 401})
    tenants.fault(call="open", do={"status": 401})
    with pytest.raises(Trouble) as caught:
        ion.open(upload())
    assert caught.value.kind is ErrorKind.AUTH
    assert tenants.call_counts["open"] == 2  # the file holds no other token: not repeated

    class Swapped(GivenToken):
        def renew(self, refused):
            file.write_text("other-token")
            return super().renew(refused)

    ion = make_ion(source=Swapped(FileSecret(file, file.read_text)), bind=names.bind, url=tenants.graphql_url)
    with pytest.raises(Trouble) as caught:
        ion.open(upload())
    assert caught.value.kind is ErrorKind.TENANT
    assert tenants.call_counts["open"] == 3


def test_a_schema_that_does_not_tell_is_bound_by_its_host(make_ion, names, upload):
    """Where there is nothing to ask, the host alone is bound, and everything goes on."""
    with Simulator(organization="") as running:
        ion = make_ion(running.token, bind=names.bind, url=running.graphql_url)
        ion.open(upload())
    assert names.bound == {"ion": Tenant(host="127.0.0.1", organization=None)}


@pytest.mark.parametrize(
    ("do", "kind"),
    [
        ("reset", ErrorKind.NETWORK),
        ({"status": 502}, ErrorKind.SERVER),
        ({"status": 429}, ErrorKind.THROTTLED),
        ("html", ErrorKind.SERVER),
        ({"graphql_error": "Internal server error"}, ErrorKind.SERVER),
    ],
)
def test_trouble_while_asking_passes(account, tenants, names, upload, receipts, do, kind):
    """Nothing was sent, so even a final call is merely late, and the next one asks again."""
    ion = account()
    tenants.fault(call="query", do=do)
    with pytest.raises(Trouble) as caught:
        ion.complete("register", upload(), receipts)
    assert (caught.value.kind, caught.value.severity) == (kind, Severity.PASSING)
    assert names.asked == tenants.call_counts["register"] == 0
    ion.open(upload())
    assert names.asked == 1


@pytest.mark.parametrize("message", ["Permission denied", "Cannot query field 'currentUser'"])
def test_an_answer_that_is_refused_binds_the_host(account, tenants, names, upload, message):
    """An account that may not ask who it is can still be told by its host."""
    tenants.fault(call="query", do={"graphql_error": message})
    account().open(upload())
    assert names.bound["ion"].organization is None


def test_a_refused_token_while_asking_is_for_a_person(account, names, upload):
    """A wrong token is told as such, not as a wrong tenant."""
    with pytest.raises(Trouble) as caught:
        account("wrong-token").open(upload())
    assert caught.value.kind is ErrorKind.AUTH
    assert names.asked == 0
