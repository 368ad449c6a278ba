"""What is asked of Glue's API, and what its answers mean."""

from dataclasses import replace

import pytest

from attachd.core.protocols import Answer
from attachd.core.settings import OAuthSettings, SecretRef
from attachd.destinations import glue as module
from attachd.destinations.absence import AT_WORK
from attachd.errors import InvariantBroken, Trouble
from attachd.model import ErrorKind, Severity, Tenant

PICTURE = {"width": "640", "height": "480", "blur_hash": "LEHV6nWB2yk8pyo0adR*.7kCMdnj"}
PUT = {
    "content_md5": "kAFQmDzST7DWlj99KOF/cg==",
    "content_type": "application/pdf",
    "upload_ticket_id": "upl_1",
}
OAUTH = OAuthSettings(
    token_url="http://127.0.0.1:1/oauth/token",
    client_id="app",
    client_secret=SecretRef(source="env", value="S"),
    extra=(("subject", "wks_7"), ("redirect_uri", "https://attachd.example/")),
)


@pytest.fixture
def deliver(parcel, content):
    """Do what the pipeline does with a file and no message; give every receipt."""

    def go(glue, data=b"abc", filename="report.pdf"):
        file = content(data)
        upload = parcel(file, filename)
        upload = replace(upload, facts=glue.describe(upload, file))
        ticket = glue.open(upload)
        receipts = dict(ticket.receipts)
        if "put" not in receipts:
            file.rewind()
            receipts["put"] = glue.put(ticket, upload, file)
        for call in glue.final_calls(upload.target):
            if call not in receipts:
                receipts[call] = glue.complete(call, upload, receipts)
        return receipts

    return go


@pytest.fixture
def pictured(monkeypatch):
    """Let every file be a picture of 640 by 480."""
    monkeypatch.setattr(module, "measure", lambda *_, **__: PICTURE)


def test_the_target_decides_the_calls(glue):
    """A file alone is one final call, with a message two."""
    assert glue.final_calls({}) == ("create",)
    assert glue.final_calls({"message": "hi", "thread": "thr_1"}) == ("create", "message")


def test_a_file_is_made_of_what_was_uploaded(glue, small, deliver):
    """The file is created with the ticket's id, and its id is what the delivery is attached as."""
    receipts = deliver(glue)
    assert receipts["create"] == {"remote_id": "fil_1"}
    assert receipts["put"] == PUT
    assert small.asked("createFile") == [{"input": {"uploadTicketID": "upl_1"}}]


def test_known_bytes_are_neither_sent_nor_created(glue, small, deliver):
    """Where Glue has the bytes, its file is used at once and the note has both names."""
    deliver(glue, filename="old.pdf")
    receipts = deliver(glue, filename="new.pdf")
    assert receipts["create"]["remote_id"] == "fil_1"
    assert receipts["create"]["filename"] == "old.pdf"
    assert receipts["create"]["note"] == "reused fil_1, which Glue has as 'old.pdf', for 'new.pdf'"
    assert (len(small.stored), len(small.asked("createFile"))) == (1, 1)


def test_a_picture_is_told_with_its_size(glue, small, deliver, pictured):
    """Width and height go with the ticket as numbers, and with the hash where the schema takes them."""
    deliver(glue)
    assert small.asked("uploadTicket")[0]["input"]["metadata"] == {"width": 640, "height": 480}
    assert small.asked("createFile")[0]["input"]["metadata"] == {
        "width": 640,
        "height": 480,
        "blurHash": PICTURE["blur_hash"],
    }


def test_the_schema_is_asked_once(glue, small, deliver, pictured):
    """However many pictures there are, the place for their sizes is looked up once."""
    deliver(glue, b"one")
    deliver(glue, b"two")
    asked = [each["name"] for each in small.asked("__type(")]
    assert sorted(asked) == sorted(set(asked))
    assert len(small.asked("createFile")) == 2


@pytest.mark.parametrize(
    "inputs",
    [
        None,
        {},
        {"CreateFileInput": {"uploadTicketID": "String"}},
        {"CreateFileInput": {"metadata": "M"}, "M": {"blurHash": "String"}},
    ],
)
def test_a_schema_without_a_place_gets_no_metadata(glue, small, deliver, pictured, inputs):
    """Where the schema is not shown, or takes no size, the file is created without."""
    small.inputs = inputs
    deliver(glue)
    assert small.asked("createFile") == [{"input": {"uploadTicketID": "upl_1"}}]


def test_a_schema_takes_what_it_has(glue, small, deliver, pictured):
    """Only the values that the schema takes are given, under the name it has for them."""
    small.inputs = {"CreateFileInput": {"preview": "P"}, "P": {"width": "Int", "height": "Int"}}
    deliver(glue)
    assert small.asked("createFile")[0]["input"]["preview"] == {"width": 640, "height": 480}


@pytest.mark.parametrize("status", [500, 503])
def test_a_schema_that_cannot_be_asked_now_keeps_no_file(glue, small, pictured, parcel, content, status):
    """A picture is created without its size rather than not at all."""
    small.tickets["upl_1"] = {"contentMD5": "x", "name": "a.png"}
    small.api_says(status)
    receipt = glue.complete("create", parcel(content(b"abc")), {"put": PUT | PICTURE})
    assert receipt == {"remote_id": "fil_1"}
    assert small.asked("createFile") == [{"input": {"uploadTicketID": "upl_1"}}]


def test_a_refused_token_is_no_missing_schema(glue, small, pictured, parcel, content):
    """Where Glue refuses us altogether, no file is created at all."""
    small.api_says(401)
    with pytest.raises(Trouble) as caught:
        glue.complete("create", parcel(content(b"abc")), {"put": PUT | PICTURE})
    assert caught.value.severity is Severity.REFUSED
    assert small.asked("createFile") == []


@pytest.mark.parametrize(
    "message",
    [
        "Upload ticket not found",
        "UploadTicket upl_1 has expired",
        "This ticket was used already",
        "not found",
    ],
)
def test_a_ticket_that_is_over_starts_the_delivery_over(glue, small, parcel, content, message):
    """An unknown, expired or used ticket is no end: the file is sent with another one."""
    small.api_refuses(message)
    with pytest.raises(Trouble) as caught:
        glue.complete("create", parcel(content(b"abc")), {"put": PUT})
    assert (caught.value.kind, caught.value.severity) == (ErrorKind.EXPIRED, Severity.LASTING)
    assert caught.value.restart
    assert "another ticket" in caught.value.hint


@pytest.mark.parametrize(
    ("message", "kind", "severity"),
    [
        ("You do not have permission", ErrorKind.PERMISSION, Severity.LASTING),
        ("rate limit exceeded", ErrorKind.THROTTLED, Severity.PASSING),
        (
            'Field "uploadTicketID" is not defined by type "CreateFileInput"',
            ErrorKind.REJECTED,
            Severity.LASTING,
        ),
    ],
)
def test_other_refusals_are_what_they_are(glue, small, parcel, content, message, kind, severity):
    """A refusal that is not about the ticket starts nothing over."""
    small.api_refuses(message)
    with pytest.raises(Trouble) as caught:
        glue.complete("create", parcel(content(b"abc")), {"put": PUT})
    assert (caught.value.kind, caught.value.severity, caught.value.restart) == (kind, severity, False)


LOST = [
    {"act": "reset"},
    {"status": 500},
    {"body": b"<html>"},
    {"body": {"data": {"createFile": None}}},
]


@pytest.mark.parametrize("lost", LOST)
def test_a_lost_answer_is_never_taken_for_a_refusal(glue, small, parcel, content, lost):
    """Where the answer is missing or cannot be read, nobody knows whether there is a file."""
    small.api_says(**lost)
    with pytest.raises(Trouble) as caught:
        glue.complete("create", parcel(content(b"abc")), {"put": PUT})
    assert caught.value.severity is Severity.UNKNOWN
    assert "attachd resolve" in caught.value.hint


def test_an_id_beside_an_error_is_an_answer(glue, small, parcel, content):
    """A resolver that fails beside the file does not make it undone."""
    errors = [{"message": "name failed"}]
    small.api_says(body={"data": {"createFile": {"id": "fil_9"}}, "errors": errors})
    assert glue.complete("create", parcel(content(b"abc")), {"put": PUT}) == {"remote_id": "fil_9"}


def test_a_file_that_is_there_settles_doubt(glue, small, parcel, content):
    """Asked for a ticket again, Glue answers with the file that the lost call made."""
    small.files[PUT["content_md5"]] = {"id": "fil_1", "name": "report.pdf"}
    outcome = glue.reconcile("create", parcel(content(b"abc")), {"put": PUT})
    assert outcome.answer is Answer.TOOK_EFFECT
    assert outcome.receipt["remote_id"] == "fil_1"
    (asked,) = small.asked("uploadTicket")
    assert asked["input"]["contentMD5"] == PUT["content_md5"]
    assert (asked["input"]["contentLength"], asked["input"]["contentType"]) == ("3", "application/pdf")


def test_a_ticket_is_proof_only_after_a_while(glue, small, parcel, content, clock):
    """While Glue may still be at work, a ticket says nothing; later it says that there is no file."""
    upload = parcel(content(b"abc"))
    with pytest.raises(Trouble) as caught:
        glue.reconcile("create", upload, {"put": PUT})
    assert caught.value.severity is Severity.PASSING
    clock.seconds += AT_WORK
    assert glue.reconcile("create", upload, {"put": PUT}).answer is Answer.DID_NOT
    assert (small.stored, small.asked("createFile")) == ([], [])


def test_doubt_that_cannot_be_settled_is_left_to_a_person(glue, small, parcel, content):
    """Where Glue refuses to be asked, a person is told what to do; where it is down, it is asked later."""
    upload = parcel(content(b"abc"))
    small.api_refuses("forbidden")
    small.api_says(503)
    outcome = glue.reconcile("create", upload, {"put": PUT})
    assert outcome.answer is Answer.CANNOT_TELL
    assert "attachd resolve ID" in outcome.hint
    assert "forbidden" in outcome.hint
    with pytest.raises(Trouble) as caught:
        glue.reconcile("create", upload, {"put": PUT})
    assert caught.value.severity is Severity.PASSING


ODD = [
    {"__typename": "UploadTicket", "id": "upl_1", "url": None, "headers": [], "formData": None},
    {"__typename": "UploadTicket", "id": None, "url": "https://s/x", "headers": [], "formData": None},
    {"__typename": "UploadTicket", "id": "upl_1", "url": "https://s/x", "headers": "x", "formData": None},
    {"__typename": "UploadTicket", "id": "upl_1", "url": "https://s/x", "headers": [3], "formData": None},
    {"__typename": "UploadTicket", "id": "upl_1", "url": "https://s/x", "headers": [{"name": "a"}]},
    {"__typename": "File", "id": None, "name": "a"},
    {"__typename": "Surprise", "id": "x"},
    None,
]


@pytest.mark.parametrize("given", ODD)
def test_an_answer_that_is_no_ticket_is_asked_for_again(glue, small, parcel, content, given):
    """What cannot be read is passing trouble: a ticket may be asked for as often as one likes."""
    file = content(b"abc")
    upload = parcel(file)
    upload = replace(upload, facts=glue.describe(upload, file))
    small.api_says(200, {"data": {"uploadTicket": given}})
    with pytest.raises(Trouble) as caught:
        glue.open(upload)
    assert caught.value.severity is Severity.PASSING


def test_a_file_is_found_by_its_id(glue, small):
    """A file is known by its name there, and its bytes are fetched from where Glue says."""
    url = small.upload_url("a")
    small.nodes["fil_1"] = {"__typename": "File", "id": "fil_1", "name": "a.pdf", "url": url}
    found = glue.look_up("fil_1")
    assert (found.filename, found.entity_id, found.download_url) == ("a.pdf", "", url)
    assert "canary" not in repr(found)
    assert b"".join(glue.fetch(found.download_url)) == b"the bytes"


def test_the_file_of_a_message_is_found_by_the_messages_id(glue, small):
    """An attachment is looked for behind a message; what is no file, is none."""
    small.nodes["msg_1"] = {
        "__typename": "Message",
        "attachments": [{}, {"id": "fil_1", "name": "a", "url": 3}],
    }
    small.nodes["msg_2"] = {"__typename": "Message", "attachments": []}
    found = glue.look_up("msg_1")
    assert (found.filename, found.download_url) == ("a", "")
    assert glue.look_up("msg_2") is None


def test_what_is_not_there_is_told_from_what_cannot_be_asked(glue, small):
    """Null and an error that says so mean that there is none; every other refusal is trouble."""
    assert glue.look_up("fil_0") is None
    small.api_refuses("Node fil_0 not found")
    assert glue.look_up("fil_0") is None
    small.api_refuses("forbidden")
    with pytest.raises(Trouble) as caught:
        glue.look_up("fil_0")
    assert caught.value.kind is ErrorKind.PERMISSION


def test_a_message_that_is_gone_in_between_is_not_there(glue, small):
    """A message that is deleted between the two questions is no surprise."""
    small.api_says(200, {"data": {"node": {"__typename": "Message"}}})
    assert glue.look_up("msg_1") is None


def test_who_tells_name_and_workspace(glue, make_glue, small):
    """Whose token it is, Glue tells, and rules.yaml the workspace; where neither does, nothing is said."""
    assert glue.who() == "Robot"
    assert make_glue(oauth=OAUTH).who() == "Robot at wks_7"
    small.api_refuses('Cannot query field "me" on type "Query"')
    assert glue.who() == ""
    small.api_says(401)
    with pytest.raises(Trouble) as caught:
        glue.who()
    assert caught.value.kind is ErrorKind.AUTH


@pytest.mark.parametrize(("oauth", "organization"), [(None, None), (OAUTH, "wks_7")])
def test_the_name_is_bound_to_host_and_workspace(make_glue, small, oauth, organization):
    """A name stands for one workspace at one host, and no call is spent on asking for it."""
    bound = []
    account = make_glue(oauth=oauth, bind=lambda name, tenant: bound.append((name, tenant)))
    account.who()
    assert bound == [("glue", Tenant(host="127.0.0.1", organization=organization))]
    assert len(small.calls) == 1


def test_another_workspace_under_the_same_name_gets_nothing(make_glue, small):
    """A name that is bound elsewhere leads to no call at all."""
    account = make_glue(oauth=OAUTH, bind=lambda *_: Tenant(host="127.0.0.1", organization="wks_1"))
    with pytest.raises(Trouble) as caught:
        account.who()
    assert (caught.value.kind, caught.value.severity) == (ErrorKind.TENANT, Severity.REFUSED)
    assert small.calls == []


def test_unknown_calls_are_a_fault_of_ours(glue, parcel, content):
    """A call that Glue has not, or not yet, is never sent."""
    upload = parcel(content(b"abc"))
    for call in ("register", "create", "message"):
        with pytest.raises(InvariantBroken):
            glue.complete(call, upload, {})


def test_large_files_are_refused_before_anything_is_asked(make_glue, small, parcel, content):
    """The limit of rules.yaml holds before a ticket is asked for."""
    with pytest.raises(Trouble) as caught:
        make_glue(max_file_size=2).open(parcel(content(b"abc")))
    assert caught.value.kind is ErrorKind.TOO_LARGE
    assert small.calls == []
