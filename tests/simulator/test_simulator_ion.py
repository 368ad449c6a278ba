import hashlib
import http.client
import json
from urllib.parse import urlsplit

import pytest

from attachd.simulator import Ids, Simulator

KINDS = ["runStep", "run", "procedure", "step", "part", "runStepField"]


def _vendor_gql(simulator, query, variables=None):
    connection = http.client.HTTPConnection(urlsplit(simulator.graphql_url).netloc, timeout=30)
    body = json.dumps({"query": query, "variables": variables or {}})
    headers = {"Authorization": f"Bearer {simulator.token}", "Content-Type": "application/json"}
    connection.request("POST", "/graphql", body, headers)
    response = connection.getresponse()
    assert response.status == 200
    payload = json.loads(response.read())
    connection.close()
    if "errors" in payload:
        raise RuntimeError(payload["errors"])
    return payload["data"]


def test_the_vendors_python_example_attaches_a_file(simulator, tmp_path):
    """The calls of the vendor's end-to-end example, in its order and words, attach the file."""
    path = tmp_path / "inspection-photo-2026-04-26.jpg"
    path.write_bytes(b"\xff\xd8 an image")
    first = _vendor_gql(
        simulator,
        "query($f: String!) { requestFileUploadUrl(filename: $f) { uploadUrl s3Key contentType } }",
        {"f": path.name},
    )["requestFileUploadUrl"]
    split = urlsplit(first["uploadUrl"])
    connection = http.client.HTTPConnection(split.netloc, timeout=30)
    connection.request(
        "PUT", f"{split.path}?{split.query}", path.read_bytes(), {"Content-Type": first["contentType"]}
    )
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    etag = response.headers["ETag"].strip('"')
    connection.close()
    entity_id = _vendor_gql(simulator, "query($id: ID!) { runStep(id: $id) { entity { id } } }", {"id": 42})[
        "runStep"
    ]["entity"]["id"]
    result = _vendor_gql(
        simulator,
        """mutation($input: CreateFileAttachmentInput!) {
            createFileAttachment(input: $input) {
                fileAttachment { id filename }
            }
        }""",
        {
            "input": {
                "filename": path.name,
                "s3Key": first["s3Key"],
                "s3Etag": etag,
                "entityId": entity_id,
                "validateUpload": True,
            }
        },
    )
    made = result["createFileAttachment"]["fileAttachment"]
    assert made["filename"] == path.name
    assert isinstance(made["id"], int)
    (attachment,) = simulator.attachments
    assert (attachment.id, attachment.kind, attachment.object_id) == (made["id"], "runStep", 42)
    assert attachment.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert etag == hashlib.md5(path.read_bytes()).hexdigest()


def test_an_attachment_is_read_back_with_a_fresh_download_url(wire):
    """The vendor's VerifyUpload query gives the attachment, and its downloadUrl the bytes."""
    made = wire.attach("a b+ü#%.pdf", b"the bytes", entity_id=2_000_007)
    query = "query VerifyUpload($id: ID!) { fileAttachment(id: $id) { id filename downloadUrl entityId } }"
    found = wire.gql(query, id=made["id"])["data"]["fileAttachment"]
    assert (found["filename"], found["entityId"]) == ("a b+ü#%.pdf", 2_000_007)
    answer = wire.request("GET", found["downloadUrl"])
    assert (answer.status, answer.body) == (200, b"the bytes")
    assert answer.headers["Content-Type"] == "application/pdf"
    head = wire.request("HEAD", found["downloadUrl"])
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "9", b"")
    assert wire.gql(query, id="1")["data"]["fileAttachment"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_objects_own_id_is_never_an_entity_id(wire, simulator, kind):
    """Each kind has an entity id of its own, and registering with the object's id is refused."""
    found = wire.gql(f"query($id: ID!) {{ {kind}(id: $id) {{ id entityId entity {{ id }} }} }}", id="42")
    item = found["data"][kind]
    assert item["id"] == 42
    assert item["entity"]["id"] == item["entityId"] != 42
    assert wire.attach(entity_id=item["entityId"])["entityId"] == item["entityId"]
    assert (simulator.attachments[0].kind, simulator.attachments[0].object_id) == (kind, 42)
    upload = wire.open()
    etag = wire.put(upload).etag
    refused = wire.register(upload["s3Key"], etag, entity_id=42)
    assert refused["data"]["createFileAttachment"] is None
    assert refused["errors"][0]["message"] == "Entity 42 not found"
    assert len(simulator.attachments) == 1


def test_unknown_objects_are_null_and_their_entities_refused(wire, simulator):
    """An unknown object answers null without an error, and its would-be entity takes no attachment."""
    for object_id in ("900000", "999999", "1000000", "0", "-1", "abc", ""):
        found = wire.gql("query($id: ID!) { runStep(id: $id) { id } }", id=object_id)
        assert found == {"data": {"runStep": None}}
    upload = wire.open()
    refused = wire.register(upload["s3Key"], wire.put(upload).etag, entity_id=1_900_000)
    assert "not found" in refused["errors"][0]["message"]
    assert simulator.attachments == ()


def test_forbidden_objects_can_be_read_but_not_attached_to(wire, simulator):
    """A forbidden object has an entity, and createFileAttachment answers Permission denied."""
    found = wire.gql("{ run(id: 800001) { entity { id } } }")["data"]["run"]["entity"]["id"]
    upload = wire.open()
    refused = wire.register(upload["s3Key"], wire.put(upload).etag, entity_id=found)
    assert refused["errors"][0]["message"] == "Permission denied"
    assert simulator.attachments == ()


def test_unknown_and_forbidden_ids_and_the_form_of_ids_can_be_chosen(wire_to):
    """A test may name the ids that are missing or forbidden, and have ids as strings."""
    with Simulator(ids=Ids(unknown={7}, forbidden=(8,), as_text=True)) as simulator:
        wire = wire_to(simulator)
        found = wire.gql("{ a: part(id: 7) { id } b: part(id: 900000) { id entity { id } } }")["data"]
        assert found == {"a": None, "b": {"id": "900000", "entity": {"id": "5900000"}}}
        upload = wire.open()
        refused = wire.register(upload["s3Key"], wire.put(upload).etag, entity_id="5000008")
        assert refused["errors"][0]["message"] == "Permission denied"


def test_validate_upload_checks_that_the_object_exists_and_its_etag(wire, simulator):
    """With validateUpload a missing object, another ETag and an ETag with its quotes are refused."""
    upload = wire.open()
    missing = wire.register(upload["s3Key"], "0" * 32)
    etag = wire.put(upload).etag
    wrong = wire.register(upload["s3Key"], "0" * 32)
    quoted = wire.register(upload["s3Key"], f'"{etag}"')
    for refused in (missing, wrong, quoted):
        assert refused["errors"][0]["message"].startswith("Upload validation failed: ")
    assert simulator.attachments == ()


def test_without_validation_an_attachment_without_bytes_is_made_and_visible(wire, simulator):
    """Without validateUpload nothing is checked, and the record shows that there are no bytes."""
    wire.register("uploads/none/x.jpg", "0" * 32, validate=False)
    (attachment,) = simulator.attachments
    assert (attachment.size, attachment.sha256) == (None, None)


def test_registering_twice_attaches_twice(wire, simulator):
    """The same s3Key registered twice makes two attachments, for ION promises no idempotency."""
    upload = wire.open()
    etag = wire.put(upload).etag
    wire.register(upload["s3Key"], etag)
    wire.register(upload["s3Key"], etag)
    first, second = simulator.attachments
    assert first.s3_key == second.s3_key
    assert first.id != second.id


@pytest.mark.parametrize(
    ("filename", "content_type"),
    [
        ("a.jpg", "image/jpeg"),
        ("a.JPEG", "image/jpeg"),
        ("a.pdf", "application/pdf"),
        ("a.csv", "text/csv"),
        ("noextension", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ],
)
def test_the_content_type_follows_the_extension(wire, filename, content_type):
    """The Content-Type is derived from the filename's extension, octet-stream where that says nothing."""
    assert wire.open(filename)["contentType"] == content_type


@pytest.mark.parametrize(
    ("authorization", "status", "message"),
    [
        ("Token {token}", 200, None),
        ("{token}", 200, None),
        (" ", 401, "Please provide proper credentials"),
        ("Basic {token}", 401, "Unable to parse authentication token"),
        ("Bearer {token} x", 401, "Unable to parse authentication token"),
        ("Bearer someone-elses", 401, "Unable to find appropriate RSA key"),
    ],
)
def test_only_its_own_token_is_let_in(wire, authorization, status, message):
    """Both spellings and the bare token are accepted, everything else is 401 in the vendor's words."""
    header = authorization.format(token=wire.simulator.token)
    answer = wire.post({"query": "{ currentUser { name } }"}, authorization=header)
    assert answer.status == status
    assert answer.json.get("message") == message


def test_no_authorization_at_all_is_refused(wire):
    """A request without the header is asked for credentials."""
    answer = wire.request("POST", "/graphql", b'{"query": "{ currentUser { name } }"}')
    assert (answer.status, answer.json["message"]) == (401, "Please provide proper credentials")


def test_the_current_user_tells_its_organization(wire_to):
    """The token's self-test gives the organization, which a test may choose."""
    with Simulator(organization="rockets.example") as simulator:
        query = "{ currentUser { id name email organization { id domain } } }"
        user = wire_to(simulator).gql(query)["data"]["currentUser"]
    assert user["organization"] == {"id": 1, "domain": "rockets.example"}


@pytest.mark.parametrize(
    "query",
    [
        "mutation { requestFileUploadUrl(filename: 1) { uploadUrl } }",
        "{ requestFileUploadUrl { uploadUrl } }",
        "{ runStep(id: 1) { nothing } }",
        "{ runStep(id: 1) { entity } }",
        "query($id: Int!) { runStep(id: $id) { id } }",
        'mutation { createFileAttachment(input: {filename: "a", entityId: 1}) { fileAttachment { id } } }',
        "{ run",
    ],
)
def test_what_the_schema_does_not_know_is_refused_with_200_and_errors(wire, query):
    """Every query is validated against the schema, and failures come as `errors` in HTTP 200."""
    payload = wire.gql(query)
    assert payload["errors"][0]["message"]
    assert not payload.get("data")


@pytest.mark.parametrize("payload", [[], [{"query": "{ currentUser { id } }"}], {"query": 1}, "x", {}])
def test_a_body_that_is_no_graphql_request_is_malformed(wire, payload):
    """Batches and other shapes are 400."""
    assert wire.post(payload).status == 400


def test_a_body_that_is_not_declared_as_json_is_malformed(wire):
    """GraphQL is accepted as application/json only, and with a length."""
    body = b'{"query": "{ currentUser { name } }"}'
    headers = {"Authorization": f"Bearer {wire.simulator.token}", "Content-Type": "text/plain"}
    assert wire.request("POST", "/graphql", body, headers).status == 400
    headers["Content-Type"] = "application/json"
    assert wire.request("POST", "/graphql", iter([body]), headers).status == 400
    assert wire.request("POST", "/graphql", body, headers).status == 200


def test_variables_are_checked_by_the_schema(wire):
    """A missing variable is an error in HTTP 200."""
    assert "errors" in wire.gql("query($id: ID!) { runStep(id: $id) { id } }")


def test_ids_are_declared_as_id_and_introspection_works(wire):
    """The schema can be asked for, and an id is of type ID though it is answered as an integer."""
    query = '{ __type(name: "RunStep") { fields { name type { ofType { name } } } } }'
    fields = wire.gql(query)["data"]["__type"]["fields"]
    assert {"name": "id", "type": {"ofType": {"name": "ID"}}} in fields


def test_a_filename_that_is_no_text_is_refused(wire):
    """An empty filename, or half a surrogate pair, gets no upload URL."""
    for filename in ("", "\ud800.jpg"):
        payload = wire.gql("query($f: String!) { requestFileUploadUrl(filename: $f) { s3Key } }", f=filename)
        assert payload["data"]["requestFileUploadUrl"] is None
        assert "errors" in payload


def test_calls_are_counted_by_call_and_by_field(wire, simulator):
    """Counters tell each call, refused ones too, and each root field."""
    wire.attach()
    wire.gql('{ requestFileUploadUrl(filename: "a") { s3Key } runStep(id: 1) { id } }')
    wire.post({"query": "{ runStep(id: 1) { id } }"}, authorization="Bearer wrong")
    counts = simulator.call_counts
    assert (counts["open"], counts["put"], counts["register"], counts["query"]) == (2, 1, 1, 1)
    assert (counts["requestFileUploadUrl"], counts["runStep"], counts["createFileAttachment"]) == (2, 2, 1)
