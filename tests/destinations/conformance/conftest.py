"""What every destination has to do, whatever its API is like: the kinds, and a delivery without the pipeline.

A new destination is one entry in `KINDS`.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Self

import pytest

from attachd.core.accounts import Account
from attachd.core.protocols import Answer, Receipt, Ticket, Upload
from attachd.core.settings import DestinationSettings, OAuthSettings, SecretRef
from attachd.destinations.registry import build
from attachd.destinations.signin import FixedSecret, source_of
from attachd.errors import FileChanged, Trouble
from attachd.model import Severity
from attachd.pipeline.body import HashingBody
from attachd.simulator.server import Simulator
from attachd.simulator.tokens import GLUE_CLIENT, Client

TOKEN = "canary-token-77aa01"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What the suite has to know of a kind of destination.

    Attributes:
        kind: as in rules.yaml.
        url: of its API at a simulator.
        calls: that a delivery makes, in order, by the simulator's names.
        target: one that exists there.
        attached: (shown name, SHA-256) of all that is attached there.
        ids: what a delivery's remote id may be, in the order of `attached`.
        simulator: how the stand-in is set up.
        keys: the stand-in's words for a token it accepts and for a client that it lends tokens.
        client: that client.
        told: final calls of which it can always be found out whether a lost one took effect.
        reuses: bytes that it has already are not sent again.
    """

    kind: str
    url: Callable[[Simulator], str]
    calls: tuple[str, ...]
    target: Mapping[str, str]
    attached: Callable[[Simulator], list[tuple[str, str]]]
    ids: Callable[[Simulator], list[str]]
    simulator: Mapping[str, object] = field(default_factory=dict)
    keys: tuple[str, str] = ("token", "client")
    client: Client = field(default_factory=Client)
    told: frozenset[str] = frozenset()
    reuses: bool = False


ION = Kind(
    kind="ion",
    url=lambda simulator: simulator.graphql_url,
    calls=("open", "put", "register"),
    target={"run_step": "42"},
    attached=lambda simulator: [(each.filename, each.sha256) for each in simulator.attachments],
    ids=lambda simulator: [str(each.id) for each in simulator.attachments],
)
GLUE = Kind(
    kind="glue",
    url=lambda simulator: simulator.glue_url,
    calls=("open", "put", "create"),
    target={},
    attached=lambda simulator: [(each.name, each.sha256) for each in simulator.files],
    ids=lambda simulator: [each.id for each in simulator.files],
    keys=("glue_token", "glue_client"),
    client=GLUE_CLIENT,
    told=frozenset({"create"}),
    reuses=True,
)


def in_messages(simulator: Simulator) -> list[tuple[str, str]]:
    """Name and SHA-256 of each file that hangs on a message; the text of a message without one."""
    files = {each.id: (each.name, each.sha256) for each in simulator.files}
    found = [[files[each] for each in message.attachments] for message in simulator.messages]
    assert all(len(files) == 1 for files in found)
    return [file for files in found for file in files]


SAID = replace(
    GLUE,
    calls=("open", "put", "create", "message"),
    target={"message": "A *new* report"},
    attached=in_messages,
    ids=lambda simulator: [each.id for each in simulator.messages],
)
KINDS = {
    "ion": ION,
    "ion that lists": replace(ION, simulator={"listing": "entity"}, told=frozenset({"register"})),
    "glue by put": replace(GLUE, simulator={"glue_upload": "put"}),
    "glue by post": replace(GLUE, simulator={"glue_upload": "post", "glue_metadata": True}),
    "glue with a message": replace(SAID, simulator={"glue_success": 201, "glue_upload": "post"}),
    "glue with a message in a thread": replace(
        SAID,
        simulator={"glue_messages": "messages", "glue_unique_by": True},
        target={"message": "A *new* report", "thread": "thr_1", "reply_to": "msg_welcome"},
        told=frozenset({"create", "message"}),
    ),
}


class Content:
    """An open file of given bytes, or of zeros that are never all in memory."""

    def __init__(self, data: bytes = b"", *, zeros: int = 0) -> None:
        self._data = data
        self.size = len(data) or zeros
        self._at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._at = self.size

    def read(self, length: int, /) -> bytes:
        length = min(length, self.size - self._at)
        block = self._data[self._at : self._at + length] if self._data else bytes(length)
        self._at += length
        return block

    def rewind(self) -> None:
        self._at = 0

    def sha256(self) -> str:
        self.rewind()
        digest = hashlib.sha256()
        while block := self.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


class Unsettled(Exception):
    """Nobody can tell whether a lost call took effect: a person is asked."""


def is_over(trouble: Trouble) -> bool:
    """Say whether the pipeline would hold the delivery."""
    return trouble.severity is Severity.LASTING and not trouble.fresh_url


class Parcel:
    """One delivery: what the pipeline does with a file, call by call. It survives in its receipts alone."""

    def __init__(self, stand: "Stand", content: Content, filename: str, number: int) -> None:
        self._stand = stand
        self._content = content
        self.upload = Upload(
            delivery_id=number,
            filename=filename,
            target=stand.kind.target,
            size=content.size,
            sha256=content.sha256(),
        )
        self.receipts: dict[str, Receipt] = {}
        self.under_way = ""
        self.troubles: list[Trouble] = []

    @property
    def shown(self) -> tuple[str, str]:
        return self.upload.filename, self.upload.sha256

    def go(self, account: Account, *, until: str = "") -> str:
        """Make the calls that are left, up to one of them; give the remote id."""
        if "put" not in self.receipts:
            self._send(account, until)
        for call in account.final_calls(self.upload.target):
            if until in self.receipts or until == "open":
                return ""
            if call not in self.receipts:
                self.under_way = call
                self.receipts[call] = account.complete(call, self.upload, self.receipts)
        return self.receipts[account.final_calls(self.upload.target)[-1]]["remote_id"]

    def ask(self, account: Account) -> Ticket:
        """Describe the file and ask for leave to send it."""
        self.under_way = "open"
        with self._content as file:
            file.rewind()
            return account.open(replace(self.upload, facts=account.describe(self.upload, file)))

    def body(self) -> HashingBody:
        """Give the bytes from their start."""
        self._content.rewind()
        return HashingBody(self._content, Event())

    def _send(self, account: Account, until: str) -> None:
        ticket = self.ask(account)
        if until == "open":
            return
        self.receipts |= ticket.receipts
        if "put" not in self.receipts:
            self.under_way = "put"
            body = self.body()
            receipt = account.put(ticket, self.upload, body)
            if body.sha256_hex() != self.upload.sha256:
                raise FileChanged("other bytes were sent")
            self.receipts["put"] = receipt

    def remember(self) -> None:
        """Keep what a ledger keeps: receipts as JSON, and nothing else."""
        self.receipts = json.loads(json.dumps({name: dict(value) for name, value in self.receipts.items()}))

    def persist(self, account: Account, *, attempts: int = 6) -> str:
        """Go on as the pipeline does, until it is attached; give the remote id.

        Raises:
            Trouble: it is lasting, or it did not pass.
            Unsettled: a person has to say what became of it.
        """
        restarted = False
        for attempt in range(attempts):
            try:
                return self.go(account)
            except Trouble as trouble:
                self.troubles.append(trouble)
                if trouble.restart and not restarted:
                    restarted = True
                    self.receipts = {}
                elif trouble.severity is Severity.UNKNOWN:
                    self.settle(account)
                elif is_over(trouble) or attempt == attempts - 1:
                    raise
                self.remember()
                self._stand.clock.seconds += 60
        raise AssertionError("not attached after so many attempts")

    def settle(self, account: Account) -> None:
        """Ask what became of the call whose answer was lost.

        Raises:
            Unsettled: it cannot be told.
        """
        for _ in range(3):
            try:
                outcome = account.reconcile(self.under_way, self.upload, self.receipts)
            except Trouble as trouble:
                if trouble.severity is Severity.LASTING:
                    raise
                self._stand.clock.seconds += 61
                continue
            if outcome.answer is Answer.CANNOT_TELL:
                assert outcome.hint
                raise Unsettled(self.under_way)
            if outcome.answer is Answer.TOOK_EFFECT:
                self.receipts[self.under_way] = outcome.receipt
            return
        raise AssertionError("nothing came of asking")


class Stand:
    """A destination of one kind against its stand-in."""

    def __init__(self, kind: Kind, clock, opened: ExitStack) -> None:
        self.kind = kind
        self.clock = clock
        self._opened = opened
        self._numbers = iter(range(1, 10_000))
        self.ahead = 0.0
        keys = dict(zip(kind.keys, (TOKEN, kind.client), strict=True))
        self.simulator = opened.enter_context(Simulator(**keys, clock=self.now, seed="s", **kind.simulator))

    def now(self) -> float:
        """Give UNIX time that the test can move."""
        return self.clock.now().timestamp() + self.ahead

    def make(self, *, oauth: bool = False, token: str = TOKEN, stopped: Event | None = None, **more: object):
        """Make the destination, as a new process would."""
        secret = SecretRef(source="env", value="SECRET")
        sign_in: dict[str, object] = {"token": secret}
        if oauth:
            asked = OAuthSettings(
                token_url=self.simulator.token_url,
                client_id=self.kind.client.id,
                client_secret=secret,
                extra=self.kind.client.fields,
            )
            sign_in = {"oauth": asked}
        settings = DestinationSettings(
            **{
                "name": "there",
                "kind": self.kind.kind,
                "url": self.kind.url(self.simulator),
                "connect_timeout": 5.0,
                "read_timeout": 5.0,
                **sign_in,
                **more,
            }
        )
        source = source_of(
            settings, FixedSecret(self.kind.client.secret if oauth else token), self.clock.monotonic
        )
        account = build(settings, source, self.clock, stopped=stopped)
        self._opened.callback(account.close)
        return account

    def parcel(self, data: bytes = b"bytes of a file", *, filename: str = "a file.txt", zeros: int = 0):
        return Parcel(self, Content(data if not zeros else b"", zeros=zeros), filename, next(self._numbers))

    @property
    def attached(self) -> list[tuple[str, str]]:
        return self.kind.attached(self.simulator)

    @property
    def ids(self) -> list[str]:
        return self.kind.ids(self.simulator)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test for every kind; where it asks for them, for every call, and every one of `MISHAPS`."""
    pairs = [(name, call) for name, kind in KINDS.items() for call in kind.calls]
    if "mishap" in metafunc.fixturenames:
        cases = [
            (*pair, mishap)
            for pair in pairs
            for mishap in metafunc.module.MISHAPS
            if not (pair[1] == "put" and mishap.graphql)
        ]
        metafunc.parametrize(("name", "call", "mishap"), cases, ids=str)
    elif "call" in metafunc.fixturenames:
        metafunc.parametrize(("name", "call"), pairs)
    elif "name" in metafunc.fixturenames:
        metafunc.parametrize("name", KINDS)


@pytest.fixture
def stand(name: str, clock) -> Iterator[Stand]:
    """Set up one destination and its stand-in."""
    with ExitStack() as opened:
        yield Stand(KINDS[name], clock, opened)


@pytest.fixture
def unsettled() -> type[Unsettled]:
    """What a parcel raises where a person has to be asked."""
    return Unsettled
