import threading

import pytest

from attachd.core.protocols import Answer
from attachd.destinations.ion import LOOKED_UP
from attachd.destinations.signin import FileSecret, GivenToken
from attachd.errors import InvariantBroken, Trouble
from attachd.model import ErrorKind, Severity


def deliver(ion, upload, body):
    """Make all calls of one delivery."""
    ticket = ion.open(upload)
    put = ion.put(ticket, upload, body)
    return ion.complete("register", upload, {"put": put})


def test_whole_way(ion, server, upload, body):
    """Three calls attach a file: the URL with the entity id, the bytes, and the registration."""
    receipt = deliver(ion, upload(), body(b"abc"))
    assert receipt == {"remote_id": "4242"}
    opened, put, registered = server.seen
    assert opened.json["variables"] == {"filename": "inspection.jpg", "id": "42"}
    assert (put.method, put.body, put.headers["Content-Type"]) == ("PUT", b"abc", "image/jpeg")
    assert registered.json["variables"]["input"] == {
        "filename": "inspection.jpg",
        "s3Key": "uploads/inspection.jpg",
        "s3Etag": "900150983cd24fb0d6963f7d28e17f72",
        "entityId": "9042",
        "validateUpload": True,
    }


def test_receipts_are_text(ion, upload, body):
    """What is kept in the ledger is text, and is all that the registration needs later."""
    ticket = ion.open(upload())
    put = ion.put(ticket, upload(), body(b"abc"))
    assert put == {
        "s3_key": "uploads/inspection.jpg",
        "s3_etag": "900150983cd24fb0d6963f7d28e17f72",
        "entity_id": "9042",
        "content_type": "image/jpeg",
    }
    assert "X-Amz" not in repr(ticket)


def test_validate_upload_can_be_switched_off(make_ion, server, upload, receipts):
    """`validate_upload: false` reaches the mutation."""
    make_ion(validate_upload=False).complete("register", upload(), receipts)
    assert server.seen[0].json["variables"]["input"]["validateUpload"] is False


@pytest.mark.parametrize(("target", "field"), LOOKED_UP.items())
def test_each_kind_of_target_is_looked_up_by_its_own_field(ion, server, upload, target, field):
    """Each kind of target asks for its own entity in the same query as the URL."""
    ticket = ion.open(upload(target={target: "7"}))
    assert ticket.facts["entity_id"] == "9007"
    assert len(server.seen) == 1
    assert f" {field}(id: $id) {{ entity {{ id }} }}" in server.seen[0].json["query"]


def test_an_entity_needs_no_look_up(ion, server, upload):
    """An entity id is used as it is, and only the URL is asked for."""
    ticket = ion.open(upload(target={"entity": "9876"}))
    assert ticket.facts["entity_id"] == "9876"
    assert server.seen[0].json["variables"] == {"filename": "inspection.jpg"}


@pytest.mark.parametrize("given", [9876, "9876"])
def test_ids_may_be_numbers_or_text(ion, server, reply, upload, receipts, given):
    """Ids are kept as text, whichever way the vendor sends them."""
    url = {"uploadUrl": server.upload_url(), "s3Key": "k", "contentType": "image/png"}
    server.api.append(
        reply(body={"data": {"requestFileUploadUrl": url, "runStep": {"entity": {"id": given}}}})
    )
    assert ion.open(upload()).facts["entity_id"] == "9876"
    server.api.append(reply(body={"data": {"createFileAttachment": {"fileAttachment": {"id": given}}}}))
    assert ion.complete("register", upload(), receipts) == {"remote_id": "9876"}


@pytest.mark.parametrize("given", [True, "", 1.5, {}, None])
def test_what_is_no_id_is_not_taken_for_one(ion, server, reply, upload, given):
    """A strange value in the place of an id never becomes an entity id."""
    url = {"uploadUrl": server.upload_url(), "s3Key": "k", "contentType": "image/png"}
    server.api.append(
        reply(body={"data": {"requestFileUploadUrl": url, "runStep": {"entity": {"id": given}}}})
    )
    with pytest.raises(Trouble) as caught:
        ion.open(upload())
    assert caught.value.kind is ErrorKind.UNKNOWN_TARGET


def test_known_entities_are_not_asked_for_again(ion, server, upload, clock):
    """Within ten minutes the next file to the same target asks for its URL alone."""
    ion.open(upload())
    clock.seconds += 599
    ticket = ion.open(upload(filename="second.png"))
    assert ticket.facts["entity_id"] == "9042"
    assert "runStep" not in server.seen[1].json["query"]
    clock.seconds += 2
    ion.open(upload())
    assert "runStep" in server.seen[2].json["query"]


def test_missing_targets_are_asked_for_again(ion, server, reply, upload):
    """A target that was not there is not remembered as missing."""
    server.api.append(reply(body={"data": {"requestFileUploadUrl": {}, "runStep": None}}))
    with pytest.raises(Trouble):
        ion.open(upload())
    assert ion.open(upload()).facts["entity_id"] == "9042"


def test_a_wrong_target_at_registration_is_looked_up_anew(ion, server, reply, upload, receipts):
    """An entity that the registration does not know is dropped from the memory."""
    ion.open(upload())
    server.api.append(reply(body={"data": None, "errors": [{"message": "Entity with id 9042 not found"}]}))
    with pytest.raises(Trouble) as caught:
        ion.complete("register", upload(), receipts)
    assert (caught.value.kind, caught.value.severity) == (ErrorKind.UNKNOWN_TARGET, Severity.LASTING)
    assert caught.value.restart
    ion.open(upload())
    assert "runStep" in server.seen[-1].json["query"]


def test_a_wrong_entity_in_the_rules_is_not_tried_twice(ion, server, reply, upload, receipts):
    """An entity id that the rule gave cannot be looked up, so nothing is started over."""
    server.api.append(reply(body={"data": None, "errors": [{"message": "Entity with id 9042 not found"}]}))
    with pytest.raises(Trouble) as caught:
        ion.complete("register", upload(target={"entity": "9042"}), receipts)
    assert (caught.value.kind, caught.value.restart) == (ErrorKind.UNKNOWN_TARGET, False)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"runStep": None}, "ION knows no run_step 42"),
        ({"runStep": {"entity": None}}, "run_step 42 has no entity id"),
    ],
)
def test_unknown_targets_are_named(ion, server, reply, upload, data, message):
    """A target that ION does not show is held with its name and what to check."""
    url = {"uploadUrl": server.upload_url(), "s3Key": "k", "contentType": "image/png"}
    server.api.append(reply(body={"data": {"requestFileUploadUrl": url, **data}}))
    with pytest.raises(Trouble) as caught:
        ion.open(upload())
    assert (caught.value.kind, caught.value.severity) == (ErrorKind.UNKNOWN_TARGET, Severity.LASTING)
    assert caught.value.message == message
    assert "entity takes an entity id" in caught.value.hint


def test_errors_beside_everything_needed_do_not_matter(ion, server, reply, upload):
    """Errors in an answer that has the URL and the entity id do not stop the file."""
    url = {"uploadUrl": server.upload_url(), "s3Key": "k", "contentType": "image/png"}
    data = {"requestFileUploadUrl": url, "runStep": {"entity": {"id": 5}}}
    server.api.append(reply(body={"data": data, "errors": [{"message": "a warning"}]}))
    assert ion.open(upload()).facts["entity_id"] == "5"


def test_partial_data_goes_by_the_error_of_what_is_missing(ion, server, reply, upload):
    """Of several errors the one of the missing field is told, and the entity is not asked for twice."""
    errors = [
        {"message": "something else", "path": ["runStep", "title"]},
        {"message": "Permission denied", "path": ["requestFileUploadUrl"]},
    ]
    data = {"requestFileUploadUrl": None, "runStep": {"entity": {"id": 5}}}
    server.api.append(reply(body={"data": data, "errors": errors}))
    with pytest.raises(Trouble) as caught:
        ion.open(upload())
    assert caught.value.kind is ErrorKind.PERMISSION
    ion.open(upload())
    assert "runStep" not in server.seen[1].json["query"]


def test_a_registration_with_an_id_counts(ion, server, reply, upload, receipts):
    """A registration that gave an id has taken effect, whatever errors stand beside it."""
    data = {"createFileAttachment": {"fileAttachment": {"id": 7}}}
    server.api.append(reply(body={"data": data, "errors": [{"message": "downloadUrl failed"}]}))
    assert ion.complete("register", upload(), receipts) == {"remote_id": "7"}


def test_too_large_files_are_refused_before_anything_is_asked(make_ion, server, upload):
    """A file over the limit costs no call, and the hint names the setting."""
    with pytest.raises(Trouble) as caught:
        make_ion(max_file_size=10).open(upload(size=11))
    assert (caught.value.kind, caught.value.severity) == (ErrorKind.TOO_LARGE, Severity.LASTING)
    assert "limits.max_file_size" in caught.value.hint
    assert server.seen == []
    assert make_ion(max_file_size=11).open(upload(size=11))


def test_a_missing_content_type_is_not_made_up(ion, server, reply, upload, body):
    """Where the vendor gives no content type, none is sent."""
    server.content_type = ""
    ticket = ion.open(upload(filename="no-extension"))
    ion.put(ticket, upload(), body(b"abc"))
    assert "Content-Type" not in server.calls("PUT")[0].headers


@pytest.mark.parametrize(
    "url", [{"uploadUrl": None}, {"s3Key": 5}, {"contentType": "a\r\nb"}, {"contentType": "€"}]
)
def test_urls_in_another_form_are_not_used(ion, server, reply, upload, url):
    """An upload URL that is not in the vendor's form is asked for again later."""
    whole = {"uploadUrl": server.upload_url(), "s3Key": "k", "contentType": "image/png"}
    server.api.append(reply(body={"data": {"requestFileUploadUrl": {**whole, **url}}}))
    with pytest.raises(Trouble) as caught:
        ion.open(upload(target={"entity": "1"}))
    assert (caught.value.kind, caught.value.severity) == (ErrorKind.SERVER, Severity.PASSING)


@pytest.mark.parametrize("target", [{}, {"lookup": "x"}, {"run": "1", "part": "2"}, {"run": "1", "x": "2"}])
def test_other_targets_are_refused(ion, server, upload, target):
    """A target that is not exactly one of the kinds ION has is a matter of configuration."""
    with pytest.raises(Trouble) as caught:
        ion.open(upload(target=target))
    assert (caught.value.kind, caught.value.severity) == (ErrorKind.CONFIG, Severity.LASTING)
    assert server.seen == []


def test_calls_that_do_not_exist_are_a_fault_of_ours(ion, upload, receipts):
    """Completing anything but a registration after a put cannot happen."""
    with pytest.raises(InvariantBroken):
        ion.complete("message", upload(), receipts)
    with pytest.raises(InvariantBroken):
        ion.complete("register", upload(), {})


def test_reconciling_never_guesses(ion, server, upload, receipts):
    """An ION that shows no list of attachments leaves it to a person, who is told where to look."""
    outcome = ion.reconcile("register", upload(), receipts)
    assert outcome.answer is Answer.CANNOT_TELL
    assert "inspection.jpg" in outcome.hint
    assert "run_step 42 (entity 9042)" in outcome.hint


def test_the_token_is_asked_for_every_call(make_ion, server, upload, tmp_path):
    """A token file that changes is used from the next call on."""
    file = tmp_path / "token"
    file.write_text("first-token")
    destination = make_ion(source=GivenToken(FileSecret(file, file.read_text)), auth_scheme="Token")
    destination.open(upload())
    file.write_text("second-token")
    destination.open(upload())
    assert [call.headers["Authorization"] for call in server.seen] == [
        "Token first-token",
        "Token second-token",
    ]


def test_a_bare_token_has_no_prefix(make_ion, server, upload):
    """An empty `auth_scheme` sends the token alone."""
    make_ion(auth_scheme="", token="bare-token").open(upload())
    assert server.seen[0].headers["Authorization"] == "bare-token"


def test_names_that_are_not_ascii_arrive(ion, server, upload):
    """Names with other letters, quotes and escaped bytes are sent as they are."""
    name = 'Prüf "№ 1" \\xff.jpg'
    ion.open(upload(filename=name))
    assert server.seen[0].json["variables"]["filename"] == name


def test_many_workers_at_once(make_ion, server, upload, body):
    """Sixteen threads share one destination, and each file gets its own way."""
    ion = make_ion(workers=16)
    failures = []

    def work(number):
        try:
            for round_ in range(2):
                mine = upload(filename=f"{number}-{round_}.jpg", target={"run_step": str(number)})
                data = f"{number}-{round_}".encode()
                put = ion.put(ion.open(mine), mine, body(data))
                assert put["entity_id"] == str(9000 + number)
                assert put["s3_key"] == f"uploads/{number}-{round_}.jpg"
                ion.complete("register", mine, {"put": put})
        except Exception as error:  # noqa: BLE001 - handed to the main thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(server.seen) == 16 * 2 * 3
    assert server.connections <= 32
