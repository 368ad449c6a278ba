import base64
import hashlib

import pytest

from attachd.simulator import Client, Simulator


def _message(answer):
    assert answer.get("data") is None or None in answer["data"].values()
    return answer["errors"][0]["message"]


def _refusal(answer):
    return answer["errors"][0]["message"]


def test_a_new_file_gets_a_ticket(glue):
    """Bytes that nobody uploaded are answered with a ticket for a PUT, of the vendor's shape."""
    ticket = glue.ticket()
    assert (ticket["__typename"], ticket["formData"]) == ("UploadTicket", None)
    assert ticket["id"].startswith("upl_")
    names = [header["name"] for header in ticket["headers"]]
    assert names == ["Content-Type", "Content-MD5", "x-amz-acl", "x-amz-meta-ticket"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": ""}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"contentLength": "5 bytes"}, "contentLength"),
        ({"contentLength": "-5"}, "contentLength"),
        ({"contentLength": "\u0665"}, "contentLength"),
        ({"contentLength": 5}, "String cannot represent"),
        ({"contentLength": str(5 * 1024**3 + 1)}, "too large"),
        ({"contentMD5": hashlib.md5(b"hello").hexdigest()}, "contentMD5"),
        ({"contentMD5": base64.b64encode(b"sixteen bytes xx").decode().rstrip("=")}, "contentMD5"),
        ({"contentMD5": base64.urlsafe_b64encode(b"\xfb\xff" * 8).decode()}, "contentMD5"),
        ({"contentMD5": base64.b64encode(b"\xfb\xff" * 7).decode()}, "contentMD5"),
        ({"contentMD5": "é" * 24}, "contentMD5"),
        ({"contentMD5": base64.b64encode(b"\0" * 16).decode()[:-3] + "B=="}, "contentMD5"),
        ({"contentType": ""}, "contentType"),
        ({"contentType": "image/png\r\nX: y"}, "contentType"),
        ({"contentType": None}, "contentType"),
        ({"metadata": {"width": "5", "height": 1}}, "Int cannot represent"),
        ({"metadata": {"width": 0}}, "at least 1"),
        ({"metadata": {"blurHash": "x"}}, "blurHash"),
    ],
)
def test_a_wrong_description_is_refused(glue, changes, text):
    """Each input of uploadTicket is of exactly the form that the vendor's page gives it."""
    assert text in _message(glue.ask_ticket(**changes))


def test_the_largest_file_gets_a_ticket(glue):
    """5 GiB is not too large."""
    assert "errors" not in glue.ask_ticket(contentLength=str(5 * 1024**3))


def test_known_bytes_are_answered_with_the_file_under_its_old_name(glue):
    """The same bytes again, under another name, are the file that exists, as soon as it was created."""
    ticket = glue.ticket(b"hello", name="old.txt")
    assert glue.upload(ticket, b"hello").status == 200
    assert glue.ticket(b"hello", name="new.txt")["__typename"] == "UploadTicket", "uploaded is not created"
    file = glue.create(ticket)["data"]["createFile"]
    again = glue.ticket(b"hello", name="new.txt")
    assert again == {"__typename": "File", "id": file["id"], "name": "old.txt"}
    assert glue.ticket(b"hello", contentLength="6")["__typename"] == "UploadTicket"


def test_a_file_is_created_once_from_bytes_that_are_there(glue, simulator):
    """A file wants an uploaded ticket, which is refused the second time; the record has the bytes."""
    ticket = glue.ticket(b"hello", name="a.txt", metadata={"width": 3, "height": 4})
    assert "not uploaded" in _refusal(glue.create(ticket))
    glue.upload(ticket, b"hello")
    assert glue.create(ticket)["data"]["createFile"]["name"] == "a.txt"
    assert "already used" in _refusal(glue.create(ticket))
    assert "not found" in _refusal(glue.create({"id": "upl_none"}))
    (file,) = simulator.files
    assert (file.name, file.content_type, file.content_length) == ("a.txt", "text/plain", 5)
    assert file.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert file.metadata == {"width": 3, "height": 4}


def test_metadata_is_an_unknown_field_unless_switched_on(glue, glue_to):
    """Creating a file takes metadata only where the switch lets its input have it."""
    given = {"width": 3, "height": 4, "blurHash": "LEHV6n"}
    assert "metadata" in _refusal(glue.create(glue.ticket(), metadata=given))
    with Simulator(glue_metadata=True) as simulator:
        other = glue_to(simulator)
        other.file(b"hello", metadata=given)
        assert simulator.files[0].metadata == given


def test_an_id_leads_to_what_it_names(glue, wire):
    """An id gives files with a URL that serves their bytes, threads, messages and the workspace."""
    file = glue.file(b"hello")
    shown = glue.node(file["id"])
    facts = {"fileType": "other", "contentLength": "5", "contentType": "text/plain", "previewable": False}
    assert {**shown, **facts} == shown
    assert shown["contentMD5"] == base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    assert wire.request("GET", shown["url"]).body == b"hello"
    assert glue.node("thr_1") == {"__typename": "Thread", "id": "thr_1"}
    assert glue.node("msg_welcome")["__typename"] == "Message"
    assert glue.node("wks_simulator")["__typename"] == "Workspace"
    assert [glue.node(each) for each in ("fil_9", "thr_unknown1", "usr_1", "x")] == [None] * 4


@pytest.mark.parametrize(
    "authorization", ["Bearer wrong", "Bearer simulator-token", "simulator-glue-token", "Token x", "Bearer"]
)
def test_only_a_bearer_token_of_glue_opens(glue, authorization):
    """Every other Authorization is a 401, ION's own token too."""
    assert glue.post({"query": "{ __typename }"}, authorization=authorization).status == 401
    assert glue.post({"query": "{ __typename }"}).status == 200


def test_ion_does_not_take_glues_token(glue, wire):
    """A token that was sent to the wrong one of the two is noticed."""
    assert wire.post({"query": "{ __typename }"}, f"Bearer {glue.token}").status == 401


def test_a_request_that_is_none_is_malformed(glue):
    """A body that is no GraphQL request is HTTP 400."""
    assert glue.post([]).status == 400
    assert glue.wire.request("GET", glue.simulator.glue_url).status == 405


@pytest.mark.parametrize("left_out", [None, "subject", "redirect_uri"])
def test_a_lent_token_wants_subject_and_redirect_uri(lend_glue, glue, left_out):
    """The token endpoint lends Glue's client a token only for both fields, and it opens Glue alone."""
    answer = lend_glue(left_out)
    assert answer.status == (200 if left_out is None else 400)
    if left_out is None:
        bearer = f"Bearer {answer.json['access_token']}"
        assert glue.post({"query": "{ __typename }"}, authorization=bearer).status == 200
        assert glue.wire.post({"query": "{ __typename }"}, bearer).status == 401
        glue.simulator.expire_tokens()
        assert glue.post({"query": "{ __typename }"}, authorization=bearer).status == 401


def test_glues_client_can_be_another(glue_to, lend_glue):
    """`glue_client` replaces who is lent tokens."""
    with Simulator(glue_client=Client(id="other", fields=(("subject", "wks_9"),))) as simulator:
        assert lend_glue(None, of=simulator).status == 401
        form = {"client_id": "other", "subject": "wks_9"}
        assert lend_glue(None, of=simulator, **form).status == 200


@pytest.mark.parametrize("switch", [{"glue_upload": "PUT"}, {"glue_messages": ""}, {"glue_success": 303}])
def test_an_unknown_switch_is_refused(switch):
    """A switch of a value that nobody knows is no simulator."""
    with pytest.raises(ValueError, match="is none of"):
        Simulator(**switch)


def test_introspection_tells_the_schema(glue):
    """The two shapes of an upload answer, and what createFile takes, can be asked for."""
    types = '{ union: __type(name: "UploadTicketResponse") { possibleTypes { name } } }'
    found = glue.gql(types)["data"]["union"]["possibleTypes"]
    assert {each["name"] for each in found} == {"File", "UploadTicket"}
