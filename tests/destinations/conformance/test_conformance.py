"""What every destination has to do; `conftest.py` has the kinds."""

import json
import re
import traceback
import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import pytest
import structlog

from attachd.errors import FileUnreadable, StopRequested, Trouble
from attachd.model import ErrorKind, Severity

TOKEN = "canary-token-77aa01"
SIZES = [0, 1, 70_001, 3_000_000]
NAMES = [
    "plain.txt",
    "ü n+o&b%20#1.pdf",
    "a?b=c.csv",
    "'quote\".txt",
    "多.png",
    "*_bold_*[x](y).txt",
    "no ending",
]


@dataclass(frozen=True, kw_only=True)
class Mishap:
    """What goes wrong in a call, once.

    Attributes:
        do: for the simulator.
        passes: it is plain that nothing was done, and that it will be another time.
        lasts: it may be taken for a refusal; nothing is attached then.
        graphql: only an answer of the API can go wrong so.
    """

    do: str | Mapping[str, object]
    passes: bool = False
    lasts: bool = False
    graphql: bool = False

    @property
    def hangs(self) -> bool:
        return "hang" in str(self.do)

    def __str__(self) -> str:
        return self.do if isinstance(self.do, str) else "-".join(map(str, next(iter(self.do.items()))))


MISHAPS = (
    Mishap(do={"status": 503}, passes=True),
    Mishap(do={"status": 429, "headers": {"Retry-After": "1"}}, passes=True),
    Mishap(do="html", lasts=True),
    Mishap(do={"redirect": 302}, lasts=True),
    Mishap(do={"redirect": 307}, lasts=True),
    Mishap(do={"graphql_error": "not for you"}, lasts=True, graphql=True),
    Mishap(do="null_data", lasts=True, graphql=True),
    Mishap(do={"error_beside": "a resolver failed"}, graphql=True),
    Mishap(do="reset"),
    Mishap(do="hang"),
    Mishap(do="half"),
    Mishap(do={"status": 500}),
    Mishap(do={"status": 502}),
    Mishap(do={"work_then": "reset"}),
    Mishap(do={"work_then": "hang"}),
    Mishap(do={"work_then": {"status": 502}}),
)


def is_final(call):
    return call not in {"open", "put"}


@pytest.mark.parametrize("size", SIZES)
def test_upload(stand, size):
    """Bytes of any number, none among them, are attached once, under their name, with the id it got."""
    parcel = stand.parcel(bytes(range(256)) * (size // 256) + bytes(size % 256))
    remote_id = parcel.go(stand.make())
    assert stand.attached == [parcel.shown]
    assert stand.ids == [remote_id]


@pytest.mark.parametrize("filename", NAMES)
def test_names_arrive_as_they_are(stand, filename):
    """No character of a name is lost, doubled or taken for markup."""
    parcel = stand.parcel(filename=filename)
    parcel.go(stand.make())
    assert stand.attached == [parcel.shown]


def test_a_large_file_needs_no_memory(stand):
    """Whatever a file's size, some blocks of it are in memory and no more."""
    parcel = stand.parcel(zeros=48 * 1024 * 1024)
    account = stand.make()
    stand.parcel().go(account)
    tracemalloc.start()
    parcel.go(account)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert stand.attached[-1] == parcel.shown
    assert peak < 12 * 1024 * 1024


def test_work_is_resumed_after_each_call(stand, call):
    """A new process goes on with what the receipts say: no call that has one is made again."""
    parcel = stand.parcel()
    parcel.go(stand.make(), until=call)
    parcel.remember()
    before = stand.simulator.call_counts[call]
    remote_id = parcel.go(stand.make())
    assert stand.attached == [parcel.shown]
    assert stand.ids == [remote_id]
    assert stand.simulator.call_counts[call] == before + (call == "open")


def test_receipts_are_plain_text_without_secrets(stand):
    """What is kept in the ledger is text, and nothing of a signed URL or a token is in it."""
    parcel = stand.parcel()
    account = stand.make()
    parcel.go(account)
    kept = json.dumps({name: dict(receipt) for name, receipt in parcel.receipts.items()})
    assert all(type(value) is str for receipt in parcel.receipts.values() for value in receipt.values())
    assert "canary" not in kept
    assert "X-Amz" not in kept
    assert "://" not in kept


def test_an_expired_url_is_told_and_renewed(stand):
    """A URL whose time is over is known by its answer, and another one serves at once."""
    parcel, account = stand.parcel(), stand.make()
    ticket = parcel.ask(account)
    stand.ahead += 4000
    with pytest.raises(Trouble) as caught:
        account.put(ticket, parcel.upload, parcel.body())
    assert (caught.value.kind, caught.value.severity) == (ErrorKind.EXPIRED, Severity.PASSING)
    assert caught.value.fresh_url
    parcel.go(account)
    assert stand.attached == [parcel.shown]


@pytest.mark.slow
def test_no_mishap_of_any_call_doubles_loses_or_betrays(stand, call, mishap, unsettled):
    """Whatever goes wrong in whatever call: attached once in the end, or told, and no secret is shown."""
    parcel = stand.parcel()
    ticket = stand.parcel(b"another").ask(stand.make())
    account = stand.make(read_timeout=1.0 if mishap.hangs else 20.0)
    stand.simulator.fault(call=call, do=mishap.do)
    with structlog.testing.capture_logs() as lines:
        ended = attempt(lambda: parcel.persist(account), Trouble, unsettled)
    assert stand.simulator.faults_left == []
    if isinstance(ended, Trouble):
        assert mishap.lasts
        assert ended.hint
        assert stand.attached == []
    elif isinstance(ended, unsettled):
        assert is_final(call)
        assert call not in stand.kind.told
        assert not mishap.passes
        assert len(stand.attached) <= 1
    else:
        assert stand.attached == [parcel.shown]
        assert stand.ids == [ended]
    texts = [repr(lines), repr(ticket), str(ticket), repr(account), repr(account.__dict__)]
    for trouble in [*parcel.troubles, *([ended] if isinstance(ended, Exception) else [])]:
        texts += [*traceback.format_exception(trouble), getattr(trouble, "hint", "")]
    assert [secret for secret in (TOKEN, *secrets_in(ticket)) for text in texts if secret in text] == []


def attempt(work, *expected):
    """Give what it returns, or which of these it raises."""
    try:
        return work()
    except expected as ended:
        return ended


def secrets_in(ticket):
    """Give what of a ticket nobody may see: signatures and whatever else is long."""
    values = [value for _, value in parse_qsl(urlsplit(ticket.url).query)]
    values += [value for _, value in ticket.form or ()]
    found = [value for value in values if re.fullmatch(r"[0-9A-Za-z+/=_-]{32,}", value)]
    assert found
    return found


@pytest.mark.parametrize("what", ["reset", {"status": 500}, {"status": 503}], ids=str)
def test_a_call_that_fails_again_and_again(stand, call, what, unsettled):
    """Trouble that comes three times is no different: what may be repeated is, and nothing is doubled."""
    parcel = stand.parcel()
    stand.simulator.fault(call=call, do=what, times=3)
    ended = attempt(lambda: parcel.persist(stand.make()), unsettled)
    if isinstance(ended, unsettled):
        assert is_final(call)
        assert call not in stand.kind.told
        assert what != {"status": 503}
    else:
        assert stand.attached == [parcel.shown]


def test_an_answer_that_was_lost_is_found_by_another_process(stand, call, unsettled):
    """Whoever asks after a crash knows the receipts alone, and that is enough."""
    parcel, lost = stand.parcel(), stand.make()
    stand.simulator.fault(call=call, do={"work_then": "reset"})
    with pytest.raises(Trouble) as caught:
        parcel.go(lost)
    assert (caught.value.severity is Severity.UNKNOWN) == is_final(call)
    parcel.remember()
    account = stand.make()
    ended = attempt(lambda: is_final(call) and parcel.settle(account), unsettled)
    if ended:
        assert call not in stand.kind.told
    else:
        assert parcel.go(account) == stand.ids[0]
    if not ended or call == stand.kind.calls[-1]:
        assert stand.attached == [parcel.shown]


def test_a_refused_token_is_told(stand, call):
    """A token that is refused says so, is nobody's fault but the account's, and attaches nothing."""
    parcel = stand.parcel()
    if call != "put":
        stand.simulator.fault(call=call, do={"status": 401}, times=2)
        with pytest.raises(Trouble) as caught:
            parcel.go(stand.make())
        assert (caught.value.kind, caught.value.severity) == (ErrorKind.AUTH, Severity.REFUSED)
        assert caught.value.hint
    with pytest.raises(Trouble) as caught:
        stand.parcel().go(stand.make(token="another-token"))
    assert caught.value.severity is Severity.REFUSED
    assert stand.attached == []


def test_a_token_that_ends_is_renewed_in_any_call(stand, call):
    """A token that ends between two calls is renewed, and the call is made once more by itself."""
    account = stand.make(oauth=True)
    stand.parcel(b"first").go(account)
    parcel = stand.parcel(b"second")
    before = {"open": "", **dict(zip(stand.kind.calls[1:], stand.kind.calls, strict=False))}[call]
    if before:
        parcel.go(account, until=before)
    stand.simulator.expire_tokens()
    parcel.go(account)
    assert stand.attached[-1] == parcel.shown
    assert len(stand.attached) == 2
    assert stand.simulator.call_counts["token"] == 2


def test_a_call_that_is_refused_for_good_is_not_repeated(stand, call):
    """A plain refusal is lasting: it is told with what the other side said, and nothing is attached."""
    parcel = stand.parcel()
    do = {"status": 400, "body": "<Error><Code>NoSuchBucket</Code></Error>"}
    stand.simulator.fault(call=call, do=do if call == "put" else {"graphql_error": "not for you"}, times=3)
    with pytest.raises(Trouble) as caught:
        parcel.persist(stand.make())
    assert caught.value.severity is Severity.LASTING
    assert ("NoSuchBucket" if call == "put" else "not for you") in caught.value.message
    assert caught.value.hint
    assert stand.simulator.call_counts[call] == 1
    assert stand.attached == []


def test_nobody_there(stand, call):
    """Where no connection comes about, that is what is told, and nothing is in doubt."""
    parcel, account = stand.parcel(), stand.make(connect_timeout=1.0)
    before = dict(zip(stand.kind.calls[1:], stand.kind.calls, strict=False)).get(call)
    ticket = parcel.ask(account) if call == "put" else None
    if before and call != "put":
        parcel.go(account, until=before)
    stand.simulator.stop()
    send = (
        partial(account.put, ticket, parcel.upload, parcel.body()) if ticket else partial(parcel.go, account)
    )
    with pytest.raises(Trouble) as caught:
        send()
    assert (caught.value.severity, caught.value.unreachable) == (Severity.PASSING, True)
    stand.simulator.start()


def test_the_same_bytes_again(stand):
    """A second delivery of the same bytes, under another name, is attached as well, in its own right."""
    account = stand.make()
    first, second = stand.parcel(filename="first.txt"), stand.parcel(filename="second.txt")
    ids = [first.go(account), second.persist(account)]
    assert {sha256 for _, sha256 in stand.attached} == {first.upload.sha256}
    assert set(stand.ids) == set(ids)
    assert len(stand.ids) == len(set(ids))
    assert stand.simulator.call_counts["put"] == (1 if stand.kind.reuses else 2)


def test_many_at_once(stand):
    """Eight workers share a destination and disturb each other in nothing."""
    account = stand.make()
    parcels = [stand.parcel(bytes([n]) * 50_000, filename=f"{n}.bin") for n in range(32)]
    waiting = iter(parcels)
    ids = []

    def work():
        ids.extend(parcel.go(account) for parcel in waiting)

    threads = [Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(stand.attached) == sorted(parcel.shown for parcel in parcels)
    assert sorted(ids) == sorted(stand.ids)


@pytest.mark.parametrize("error", [FileUnreadable("Input/output error"), StopRequested("the service stops")])
def test_trouble_with_the_file_is_not_the_destinations(stand, error):
    """What reading the file raises comes through as it is, and nothing is attached."""
    parcel, account = stand.parcel(bytes(3_000_000)), stand.make()
    ticket = parcel.ask(account)
    body = parcel.body()
    body._file = Broken(error)
    with pytest.raises(type(error)) as caught:
        account.put(ticket, parcel.upload, body)
    assert caught.value is error
    assert stand.attached == []


class Broken:
    """A file that gives one block, and then trouble."""

    def __init__(self, error):
        self.blocks = iter([bytes(1000)])
        self.error = error

    def read(self, length, /):
        block = next(self.blocks, None)
        if block is None:
            raise self.error
        return block


def test_what_is_too_large_is_refused_before_anything_is_asked(stand):
    """A file over the limit costs no call."""
    account = stand.make(max_file_size=10)
    account.admit(10)
    with pytest.raises(Trouble) as caught:
        account.admit(11)
    assert (caught.value.kind, caught.value.severity) == (ErrorKind.TOO_LARGE, Severity.LASTING)
    with pytest.raises(Trouble):
        stand.parcel().go(account)
    assert stand.simulator.call_counts["put"] == 0
