import base64
import hashlib
import urllib.request
from contextlib import closing
from dataclasses import replace

import pytest

from attachd.core.protocols import Answer, Upload
from attachd.destinations.glue import Glue
from attachd.destinations.graphql import GraphQL, Whose
from attachd.destinations.linked import Given
from attachd.destinations.messages import KEY, Messages
from attachd.destinations.schema import Schema
from attachd.destinations.signin import FixedSecret, GivenToken
from attachd.destinations.tenancy import Tenancy
from attachd.destinations.transport import Transport
from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity
from attachd.simulator import Simulator

TICKET = (
    "mutation Open($input: UploadTicketInput!) { uploadTicket(input: $input) "
    "{ ... on UploadTicket { id url headers { name value } } } }"
)
CREATE = "mutation Create($input: CreateFileInput!) { createFile(input: $input) { id } }"
NOWHERE = {"message": "New report"}
IN_THREAD = {"message": "New report", "thread": "thr_1"}
TO_PEOPLE = {"message": "New report", "recipients": "grp_1, usr_2", "subject": "Reports"}
EVERYTHING = [NOWHERE, IN_THREAD, TO_PEOPLE]


class Desk:
    """Messages of one account at one server, and one file that is there already."""

    def __init__(self, settings, token, clock):
        transport = Transport(settings, clock.monotonic)
        self.close = transport.close
        self.graphql = GraphQL(
            transport,
            source=GivenToken(FixedSecret(token)),
            tenancy=Tenancy(settings, None),
            url=settings.url,
            hints={},
            whose=Whose(),
            now=clock.now,
        )
        self.messages = Messages(self.graphql, Schema(self.graphql))
        self.file_id = ""

    def add_file(self):
        """Make a file at Glue, by the calls of the vendor's page."""
        described = {
            "name": "report.pdf",
            "contentLength": "3",
            "contentMD5": base64.b64encode(hashlib.md5(b"abc").digest()).decode(),
            "contentType": "application/pdf",
        }
        ticket = self.graphql.ask(TICKET, {"input": described}).data["uploadTicket"]
        headers = {each["name"]: each["value"] for each in ticket["headers"]}
        put = urllib.request.Request(ticket["url"], b"abc", headers, method="PUT")
        urllib.request.urlopen(put).close()
        created = self.graphql.ask(CREATE, {"input": {"uploadTicketID": ticket["id"]}})
        self.file_id = created.data["createFile"]["id"]

    def created(self, upload):
        """Give the receipt of `create` as it is written before the message."""
        return {"remote_id": self.file_id, **self.messages.prepare(upload)}


@pytest.fixture
def make_desk(settings, clock):
    """Make desks that are closed at the end."""
    made = []

    def make(url, token="canary-token-5f2c9a7d"):
        desk = Desk(settings(name="glue", kind="glue", url=url), token, clock)
        made.append(desk)
        return desk

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def glue(make_desk):
    """Start simulated Glues, each with a desk and one file."""
    started = []

    def start(messages="messages", **switches):
        simulator = Simulator(glue_messages=messages, **switches)
        simulator.start()
        started.append(simulator)
        desk = make_desk(simulator.glue_url, simulator.glue_token)
        desk.add_file()
        return simulator, desk

    yield start
    for simulator in started:
        simulator.stop()


@pytest.fixture
def to():
    """Make what a destination knows of a delivery, by its target."""

    def make(target, delivery_id=1):
        return Upload(delivery_id=delivery_id, filename="report.pdf", target=target, size=3, sha256="ab" * 32)

    return make


def caught(call, *args):
    with pytest.raises(Trouble) as trouble:
        call(*args)
    return trouble.value


@pytest.mark.parametrize("unique_by", [False, True])
def test_a_message_without_a_place(glue, to, unique_by):
    """The shape of the page on attachments: text, file and quoted message, and the id comes back."""
    simulator, desk = glue("attachments", glue_unique_by=unique_by)
    upload = to({**NOWHERE, "reply_to": "msg_welcome"})
    receipt = desk.messages.send(upload, desk.created(upload))
    (message,) = [each for each in simulator.messages if each.id == receipt["remote_id"]]
    assert (message.text, message.attachments, message.quoted) == (
        "New report",
        (desk.file_id,),
        "msg_welcome",
    )
    assert (message.thread, message.unique_by is not None) == (None, unique_by)


def test_a_message_to_a_thread(glue, to):
    """The shape of the page on messages: into the thread that the rule names."""
    simulator, desk = glue()
    receipt = desk.messages.send(to(IN_THREAD), desk.created(to(IN_THREAD)))
    assert (simulator.messages[-1].id, simulator.messages[-1].thread.id) == (receipt["remote_id"], "thr_1")


@pytest.mark.parametrize("subject", ["Reports", None])
def test_a_message_to_recipients(glue, to, subject):
    """Each recipient is passed on by itself; with a subject a thread begins."""
    simulator, desk = glue()
    target = {key: value for key, value in TO_PEOPLE.items() if key != "subject" or subject}
    desk.messages.send(to(target), desk.created(to(target)))
    thread = simulator.messages[-1].thread
    assert (thread.recipients, thread.subject) == (("grp_1", "usr_2"), subject or "")


@pytest.mark.parametrize(
    ("page", "target", "says"),
    [
        ("attachments", IN_THREAD, "`thread` and `recipients` have no use"),
        ("attachments", TO_PEOPLE, "`thread` and `recipients` have no use"),
        ("messages", NOWHERE, "`thread` or `recipients` is missing"),
    ],
)
def test_a_target_that_this_glue_has_no_message_for(glue, to, page, target, says):
    """It is held before the file is created, with what to do; `check --online` says the same."""
    simulator, desk = glue(page)
    trouble = caught(desk.messages.prepare, to(target))
    assert (trouble.kind, trouble.severity) == (ErrorKind.CONFIG, Severity.LASTING)
    assert says in trouble.message
    assert "correct the rule's target" in trouble.hint
    assert [says in fault for fault in desk.messages.unfit([target])] == [True]
    assert simulator.call_counts["sendMessage"] == 0


@pytest.mark.parametrize("unique_by", [False, True])
@pytest.mark.parametrize(
    ("page", "targets"), [("attachments", [NOWHERE, {}]), ("messages", [IN_THREAD, TO_PEOPLE])]
)
def test_what_would_be_sent_fits_the_schema(glue, page, targets, unique_by):
    """`check --online` holds every document against the schema, and both pages' are sound."""
    _, desk = glue(page, glue_unique_by=unique_by)
    quoting = [{**target, "reply_to": "m"} for target in targets if target]
    assert list(desk.messages.unfit([*targets, *quoting])) == []


def test_create_alone_needs_nothing(glue, to):
    """Without `message` nothing is prepared, and the schema is not asked."""
    simulator, desk = glue(glue_unique_by=True)
    before = simulator.call_counts["query"]
    assert desk.messages.prepare(to({})) == {}
    assert simulator.call_counts["query"] == before


def test_the_schema_is_asked_once(glue, to):
    """A second message costs one call."""
    simulator, desk = glue(glue_unique_by=True)
    desk.messages.send(to(IN_THREAD), desk.created(to(IN_THREAD)))
    before = simulator.call_counts["query"]
    desk.messages.send(to(IN_THREAD, 2), desk.created(to(IN_THREAD, 2)))
    assert simulator.call_counts["query"] == before
    assert len(simulator.messages) == 2


def test_every_delivery_has_a_key_of_its_own(glue, to):
    """The same file sent anew, or by another attachd, is another message."""
    _, desk = glue(glue_unique_by=True)
    keys = {desk.created(to(IN_THREAD))[KEY] for _ in range(3)}
    assert len(keys) == 3


@pytest.mark.parametrize("target", [IN_THREAD, TO_PEOPLE])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_is_settled_by_sending_with_the_same_key(glue, to, target, when):
    """Whether Glue had sent it or not, there is one message in the end, and its id is known."""
    simulator, desk = glue(glue_unique_by=True)
    created = desk.created(to(target))
    simulator.fault(call="message", do="reset" if when == "before" else {"work_then": "reset"})
    trouble = caught(desk.messages.send, to(target), created)
    assert trouble.severity is Severity.UNKNOWN
    outcome = desk.messages.reconcile(to(target), created)
    assert outcome.answer is Answer.TOOK_EFFECT
    assert [each.id for each in simulator.messages] == [outcome.receipt["remote_id"]]


@pytest.mark.parametrize(
    ("target", "where"),
    [
        (NOWHERE, "look in Glue for the message with report.pdf"),
        (IN_THREAD, "look in thread thr_1 for the message with report.pdf"),
        (TO_PEOPLE, "look at the recipients grp_1, usr_2, subject 'Reports', for the message"),
    ],
)
def test_without_a_key_nobody_can_tell(glue, to, target, where):
    """The person is told where to look, and nothing is sent."""
    simulator, desk = glue("attachments" if target is NOWHERE else "messages")
    outcome = desk.messages.reconcile(to(target), desk.created(to(target)))
    assert (outcome.answer, simulator.messages) == (Answer.CANNOT_TELL, ())
    assert outcome.hint.startswith(where)
    assert "attachd resolve ID --attached MESSAGE_ID" in outcome.hint


@pytest.mark.parametrize(("call", "target"), [("create", {}), ("message", IN_THREAD)])
def test_a_ledger_that_knows_of_no_call_settles_nothing(settings, clock, dead_address, to, call, target):
    """Put back from a copy, it has no receipts: a person is asked, and Glue is not."""
    given = Given(
        settings=settings(name="glue", kind="glue", url=dead_address),
        token=GivenToken(FixedSecret("canary-token-5f2c9a7d")),
        clock=clock,
    )
    with closing(Glue(given)) as account:
        outcome = account.reconcile(call, to(target), {})
    assert outcome.answer is Answer.CANNOT_TELL
    assert "attachd resolve ID" in outcome.hint


def test_a_message_that_went_without_a_key_is_not_sent_again(glue, to):
    """A Glue that has learned `uniqueBy` since then does not know the first message by it."""
    simulator, desk = glue(glue_unique_by=True)
    outcome = desk.messages.reconcile(to(IN_THREAD), {"remote_id": desk.file_id})
    assert (outcome.answer, simulator.messages) == (Answer.CANNOT_TELL, ())


def test_a_key_that_glue_does_not_take_any_more_settles_nothing(glue, to):
    """What was prepared with a key never goes without it: not at first, and not to settle doubt."""
    simulator, desk = glue()
    created = {"remote_id": desk.file_id, KEY: "attachd-1"}
    assert caught(desk.messages.send, to(IN_THREAD), created).kind is ErrorKind.REJECTED
    assert desk.messages.reconcile(to(IN_THREAD), created).answer is Answer.CANNOT_TELL
    assert simulator.messages == ()


def test_a_refusal_proves_nothing_about_the_first_try(glue, to):
    """The thread may have been locked after the message was sent."""
    _, desk = glue(glue_unique_by=True)
    locked = {**IN_THREAD, "thread": "thr_locked"}
    outcome = desk.messages.reconcile(to(locked), {"remote_id": desk.file_id, KEY: "attachd-1"})
    assert outcome.answer is Answer.CANNOT_TELL
    assert "locked" in outcome.hint


def test_a_glue_that_cannot_be_asked_leaves_the_doubt(glue, to):
    """It is asked again later."""
    simulator, desk = glue(glue_unique_by=True)
    created = desk.created(to(IN_THREAD))
    simulator.fault(call="message", do={"status": 503})
    assert caught(desk.messages.reconcile, to(IN_THREAD), created).severity is Severity.PASSING


@pytest.mark.parametrize(
    ("target", "kind", "hint"),
    [
        ({"thread": "thr_unknown"}, ErrorKind.UNKNOWN_TARGET, "check the rule's thread, recipients"),
        ({"thread": "thr_locked"}, ErrorKind.PERMISSION, "the thread must take replies"),
        ({"recipients": "grp_1, grp_unknown"}, ErrorKind.UNKNOWN_TARGET, "that the app was added"),
        ({"thread": "thr_1", "reply_to": "msg_0"}, ErrorKind.UNKNOWN_TARGET, "reply_to"),
    ],
)
def test_refused_places(glue, to, target, kind, hint):
    """What Glue does not know or does not allow is held, with what to do."""
    simulator, desk = glue()
    upload = to({"message": "x", **target})
    trouble = caught(desk.messages.send, upload, desk.created(upload))
    assert (trouble.kind, trouble.severity, trouble.restart) == (kind, Severity.LASTING, False)
    assert hint in trouble.hint
    assert simulator.messages == ()


def test_a_file_that_is_gone_is_sent_once_more(glue, to):
    """Glue does not know the attachment: the delivery starts over from the upload."""
    _, desk = glue()
    trouble = caught(desk.messages.send, to(IN_THREAD), {"remote_id": "fil_gone"})
    assert (trouble.kind, trouble.restart) == (ErrorKind.INTEGRITY, True)


@pytest.mark.parametrize(
    ("said", "kind", "severity"),
    [
        ("You do not have permission to post", ErrorKind.PERMISSION, Severity.LASTING),
        ("Replies are turned off in this thread", ErrorKind.PERMISSION, Severity.LASTING),
        ("Thread is archived", ErrorKind.PERMISSION, Severity.LASTING),
        ("No such file: fil_1", ErrorKind.INTEGRITY, Severity.LASTING),
        ("Text is too long", ErrorKind.REJECTED, Severity.LASTING),
        ("Too many requests", ErrorKind.THROTTLED, Severity.PASSING),
    ],
)
def test_other_words_of_refusal(make_desk, server, reply, to, said, kind, severity):
    """No page has codes, so the words decide; without a schema the page that fits the target counts."""
    desk = make_desk(server.url)
    hidden = reply(body={"errors": [{"message": "GraphQL introspection is not allowed"}]})
    server.api.extend([hidden, reply(body={"data": {"sendMessage": None}, "errors": [{"message": said}]})])
    trouble = caught(desk.messages.send, to(IN_THREAD), {"remote_id": "fil_1"})
    assert (trouble.kind, trouble.severity) == (kind, severity)
    assert server.seen[-1].json["variables"] == {
        "input": {"threadID": "thr_1", "message": {"text": "New report", "attachments": ["fil_1"]}}
    }


@pytest.mark.parametrize("target", EVERYTHING)
def test_without_a_schema_the_vendors_pages_count(make_desk, server, reply, to, target):
    """Each target has the shape of the page that fits it, without a key, and an id beside errors is an id."""
    desk = make_desk(server.url)
    hidden = reply(body={"errors": [{"message": "GraphQL introspection is not allowed"}]})
    given = {"id": "msg_7"} if target is NOWHERE else {"message": {"id": "msg_7"}, "thread": None}
    sent = {"data": {"sendMessage": given}, "errors": [{"message": "internal error", "path": ["x"]}]}
    server.api.extend([hidden, reply(body=sent)])
    created = desk.messages.prepare(to(target))
    assert created == {}
    assert desk.messages.send(to(target), {"remote_id": "fil_1"}) == {"remote_id": "msg_7"}
    page = "MessageInput!" if target is NOWHERE else "SendMessageInput!"
    assert server.seen[-1].json["query"].startswith(f"mutation Send($input: {page})")


def test_an_answer_without_an_id_is_doubt(make_desk, server, reply, to):
    """Nobody knows whether a message stands there."""
    desk = make_desk(server.url)
    hidden = reply(body={"errors": [{"message": "GraphQL introspection is not allowed"}]})
    server.api.extend([hidden, reply(body={"data": {"sendMessage": {"message": {}}}})])
    assert caught(desk.messages.send, to(IN_THREAD), {"remote_id": "f"}).severity is Severity.UNKNOWN


def test_a_schema_that_is_not_at_hand_is_waited_for(make_desk, server, reply, to):
    """A passing failure of the question is passing for the delivery, and it is asked again."""
    desk = make_desk(server.url)
    server.api.extend([reply(503), reply(body={"data": {"__schema": {"mutationType": None}}})])
    assert caught(desk.messages.prepare, to(NOWHERE)).severity is Severity.PASSING
    assert desk.messages.prepare(to(NOWHERE)) == {}


def test_a_refused_form_makes_the_schema_be_asked_again(make_desk, server, reply, to):
    """Glue's API may change while attachd runs; the next try goes by what it is then."""
    desk = make_desk(server.url)
    rejected = {"errors": [{"message": 'Unknown type "SendMessageInput"'}], "data": None}
    none = {"data": {"__schema": None}}
    server.api.extend([reply(body=none), reply(body=rejected), reply(body=none), reply(body=rejected)])
    for _ in range(2):
        trouble = caught(desk.messages.send, to(IN_THREAD), {"remote_id": "f"})
        assert trouble.kind is ErrorKind.REJECTED
    assert ["Roots" in seen.json["query"] for seen in server.seen] == [True, False, True, False]


def test_a_refused_token_is_the_destinations_trouble(glue, to, make_desk):
    """It closes the gate and says nothing about the message."""
    simulator, desk = glue()
    other = make_desk(simulator.glue_url, "wrong-token")
    trouble = caught(other.messages.send, to(IN_THREAD), {"remote_id": desk.file_id})
    assert (trouble.kind, trouble.severity) == (ErrorKind.AUTH, Severity.REFUSED)


def test_the_target_is_only_read(glue, to):
    """The same upload may be sent by another attempt."""
    _, desk = glue()
    upload = to(TO_PEOPLE)
    desk.messages.send(upload, desk.created(upload))
    assert replace(upload) == to(TO_PEOPLE)
