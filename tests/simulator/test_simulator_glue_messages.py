import pytest

from attachd.simulator import Simulator

BOTH = [{"glue_messages": "attachments"}, {"glue_messages": "messages"}]


@pytest.fixture(params=BOTH, ids=["attachments page", "messages page"])
def either(request, glue_to):
    """Speak to a Glue of either shape, whose messages go to a thread where they can."""
    with Simulator(**request.param) as simulator:
        yield glue_to(simulator)


@pytest.fixture
def threads(glue_to):
    """Speak to a Glue of the messages page, with `uniqueBy`."""
    with Simulator(glue_messages="messages", glue_unique_by=True) as simulator:
        yield glue_to(simulator)


def _refusal(answer):
    return answer["errors"][0]["message"]


def test_a_message_bears_its_files(either):
    """A message is recorded with text and attachments, and answers with both."""
    file = either.file(b"hello", name="a.txt")
    sent = either.send("Look: *a.txt*", [file["id"]])["data"]["sendMessage"]
    message = sent.get("message", sent)
    assert message["attachments"] == [{"id": file["id"], "name": "a.txt"}]
    (recorded,) = either.simulator.messages
    assert (recorded.id, recorded.text) == (message["id"], "Look: *a.txt*")
    assert recorded.attachments == (file["id"],)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"attachments": ["fil_none"]}, "Attachment fil_none not found"),
        ({"attachments": ["upl_1"]}, "Attachment upl_1 not found"),
        ({"attachments": [None]}, "attachments"),
        ({"text": ""}, "empty"),
        ({"text": None}, "text"),
        ({"quotedMessageID": "msg_none"}, "Message msg_none not found"),
        ({"uniqueBy": "x"}, "uniqueBy"),
    ],
)
def test_a_wrong_message_is_refused(either, changes, text):
    """Files and the quoted message must exist, and uniqueBy is unknown unless switched on."""
    assert text in _refusal(either.send(**{"text": "hello", **changes}))
    assert either.simulator.messages == ()


def test_an_attachment_is_named_once(either):
    """The same file twice in one message is refused."""
    file = either.file(b"hello")
    assert "twice" in _refusal(either.send("hello", [file["id"], file["id"]]))


def test_a_message_answers_one_that_exists(either):
    """A message that was sent, and the one from the start, can be quoted."""
    either.send("first", quotedMessageID="msg_welcome")
    first = either.simulator.messages[0].id
    either.send("second", quotedMessageID=first)
    assert [each.quoted for each in either.simulator.messages] == ["msg_welcome", first]


def test_each_shape_knows_nothing_of_the_other(glue_to):
    """The attachments page's Glue has no thread, the messages page's no bare MessageInput."""
    for switch, other in (BOTH[0], "SendMessageInput"), (BOTH[1], "MessageInput"):
        with Simulator(**switch) as simulator:
            query = f"mutation($i: {other}!) {{ sendMessage(input: $i) {{ __typename }} }}"
            message = {"text": "x", "attachments": []}
            given = message if other == "MessageInput" else {"threadID": "thr_1", "message": message}
            assert glue_to(simulator).gql(query, i=given)["errors"]
            assert simulator.messages == ()


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ({"threadID": "thr_unknown1"}, "Thread thr_unknown1 not found"),
        ({"threadID": "grp_1"}, "Thread grp_1 not found"),
        ({"threadID": "thr_locked1"}, "is locked"),
        ({}, "Either threadID or thread"),
        ({"threadID": "thr_1", "thread": {"recipients": ["usr_1"]}}, "Either threadID or thread"),
        ({"thread": {"recipients": []}}, "recipients is empty"),
        ({"thread": {"recipients": ["usr_1", "grp_unknown"]}}, "Recipient grp_unknown not found"),
        ({"thread": {"recipients": ["thr_1"]}}, "Recipient thr_1 not found"),
        ({"thread": {"subject": "a topic"}}, "recipients"),
    ],
)
def test_a_message_wants_a_place_that_exists(threads, where, text):
    """Thread or recipients must be given, exist, and take messages."""
    assert text in _refusal(threads.send("hello", where=where))
    assert threads.simulator.messages == ()


def test_a_subject_makes_a_thread_and_none_a_chat(threads):
    """Recipients with a subject get a new thread each time; without one, always the same chat."""
    group = {"recipients": ["grp_1", "wks_simulator"]}
    for thread in (group, group, {**group, "subject": "Reports"}, {**group, "subject": "Reports"}):
        threads.send("hello", where={"thread": thread})
    found = [each.thread for each in threads.simulator.messages]
    assert found[0] == found[1]
    assert len({thread.id for thread in found}) == 3
    assert (found[3].subject, found[3].recipients) == ("Reports", ("grp_1", "wks_simulator"))
    assert threads.node(found[3].id)["subject"] == "Reports"


def test_thread_by_leads_to_the_same_thread(threads):
    """The same threadBy is the same thread, with its subject updated."""
    for subject in ("Monday", "Tuesday"):
        thread = {"recipients": ["grp_1"], "subject": subject, "threadBy": "week"}
        threads.send("hello", where={"thread": thread})
    first, second = (each.thread for each in threads.simulator.messages)
    assert (first.id, first.subject, second.subject) == (second.id, "Monday", "Tuesday")


def test_the_same_unique_by_updates_and_never_doubles(threads):
    """A repeated uniqueBy replaces text and attachments of one message, and makes no second thread."""
    where = {"thread": {"recipients": ["grp_1"], "subject": "Reports"}}
    file = threads.file(b"hello")
    first = threads.send("one", where=where, uniqueBy="delivery 7")
    second = threads.send("two", [file["id"]], where=where, uniqueBy="delivery 7")
    assert first["data"]["sendMessage"]["thread"] == second["data"]["sendMessage"]["thread"]
    (message,) = threads.simulator.messages
    assert (message.text, message.attachments, message.sent) == ("two", (file["id"],), 2)


def test_the_record_and_the_page_show_files_and_messages(threads, wire_to):
    """GET /record has files and messages, and the page shows their names and texts, escaped."""
    file = threads.file(b"hello", name="<a>.txt")
    threads.send("See & read", [file["id"]], where={"threadID": "thr_1"})
    wire = wire_to(threads.simulator)
    record = wire.request("GET", "/record").json
    assert (record["files"][0]["name"], record["messages"][0]["text"]) == ("<a>.txt", "See & read")
    page = wire.request("GET", "/").body.decode()
    assert page.count("&lt;a&gt;.txt") == 2
    assert "See &amp; read" in page
    assert "thr_1" in page
    wire.request("DELETE", "/record")
    assert threads.simulator.files == threads.simulator.messages == ()


LOST = [("create", "createFile"), ("message", "sendMessage")]


@pytest.mark.parametrize(("call", "field"), LOST)
def test_the_work_may_be_done_and_its_answer_lost(threads, call, field):
    """work_then does what `create` and `message` ask for, and loses the answer."""
    simulator = threads.simulator
    ticket = threads.ticket(b"hello", name="a.txt")
    threads.upload(ticket, b"hello")
    if call == "message":
        threads.create(ticket)
    match = {"filename": "a.txt"}
    simulator.fault(call=call, do={"work_then": {"status": 502}}, match=match)
    with pytest.raises(AssertionError, match="502"):
        threads.create(ticket) if call == "create" else threads.send("hello", [simulator.files[0].id])
    assert simulator.faults_left == []
    assert len(simulator.files) == 1
    assert len(simulator.messages) == (call == "message")
    assert simulator.call_counts[call] == simulator.call_counts[field] == 1


def test_faults_strike_opening_and_uploading_by_the_files_name(glue, simulator):
    """`open` and `put` are matched by `filename`, and struck like ION's."""
    simulator.fault(call="open", do={"graphql_error": "not now"}, match={"filename": "a.txt"})
    simulator.fault(call="put", do={"status": 503}, match={"filename": "b.txt"})
    assert _refusal(glue.ask_ticket(name="a.txt")) == "not now"
    assert glue.upload(glue.ticket(b"hello", name="b.txt"), b"hello").status == 503
    assert simulator.faults_left == []
    assert (simulator.call_counts["open"], simulator.call_counts["put"]) == (2, 1)
