"""Clients of the simulator that are nothing but `http.client`: they believe what the vendors' pages say."""

import base64
import hashlib
import http.client
import json
import re
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import pytest

from attachd.simulator import Simulator

UPLOAD = "query($f: String!) { requestFileUploadUrl(filename: $f) { uploadUrl s3Key contentType } }"
REGISTER = """mutation($input: CreateFileAttachmentInput!) {
  createFileAttachment(input: $input) {
    fileAttachment { id filename downloadUrl entityId contentType s3Key }
  }
}"""

TICKET = """mutation($input: UploadTicketInput!) { uploadTicket(input: $input) {
  __typename
  ... on File { id name }
  ... on UploadTicket { id url headers { name value } formData { name value } }
} }"""
CREATE = "mutation($input: CreateFileInput!) { createFile(input: $input) { id name } }"
MESSAGE = "id text attachments { ... on File { id name } }"
SEND = f"mutation($input: MessageInput!) {{ sendMessage(input: $input) {{ {MESSAGE} }} }}"
SEND_TO_THREAD = f"""mutation($input: SendMessageInput!) {{
  sendMessage(input: $input) {{ thread {{ id subject }} message {{ {MESSAGE} }} }}
}}"""
NODE = """query($id: ID!) { node(id: $id) { __typename id
  ... on File { fileType name contentLength contentMD5 contentType previewable url }
  ... on Thread { subject } ... on Message { text } ... on Workspace { name }
} }"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """What storage's refusal is called."""
        return re.search(b"<Code>(.*?)</Code>", self.body)[1].decode()

    @property
    def etag(self):
        return self.headers["ETag"].strip('"')


class Wire:
    """Speaks to one simulator, a fresh connection for each request."""

    def __init__(self, simulator):
        self.simulator = simulator

    def connect(self, timeout=10):
        return closing(http.client.HTTPConnection(urlsplit(self.simulator.url).netloc, timeout=timeout))

    def request(self, method, url, body=None, headers=None, timeout=10):
        split = urlsplit(url)
        target = f"{split.path}?{split.query}" if split.query else split.path
        with self.connect(timeout) as connection:
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def post(self, payload, authorization=None, timeout=10):
        headers = {"Content-Type": "application/json"}
        headers["Authorization"] = authorization or f"Bearer {self.simulator.token}"
        return self.request("POST", "/graphql", json.dumps(payload), headers, timeout)

    def gql(self, query, timeout=10, **variables):
        answer = self.post({"query": query, "variables": variables}, timeout=timeout)
        assert answer.status == 200, answer
        return answer.json

    def open(self, filename="photo.jpg"):
        return self.gql(UPLOAD, f=filename)["data"]["requestFileUploadUrl"]

    def put(self, upload, body=b"hello", timeout=10, **headers):
        headers = {"Content-Type": upload["contentType"], **headers}
        return self.request("PUT", upload["uploadUrl"], body, headers, timeout)

    def register(self, key, etag, entity_id=1_000_042, filename="photo.jpg", *, validate=True, timeout=10):
        given = {
            "filename": filename,
            "s3Key": key,
            "s3Etag": etag,
            "entityId": entity_id,
            "validateUpload": validate,
        }
        return self.gql(REGISTER, timeout, input=given)

    def attach(self, filename="photo.jpg", body=b"hello", entity_id=1_000_042):
        upload = self.open(filename)
        answer = self.put(upload, body)
        assert answer.status == 200, answer
        created = self.register(upload["s3Key"], answer.etag, entity_id, filename)
        return created["data"]["createFileAttachment"]["fileAttachment"]


class GlueWire:
    """Speaks to the Glue of one simulator."""

    def __init__(self, simulator):
        self.simulator = simulator
        self.wire = Wire(simulator)
        self.token = simulator.glue_token

    def post(self, payload, authorization=None):
        headers = {
            "Content-Type": "application/json",
            "Authorization": authorization or f"Bearer {self.token}",
        }
        return self.wire.request("POST", self.simulator.glue_url, json.dumps(payload), headers)

    def gql(self, query, **variables):
        answer = self.post({"query": query, "variables": variables})
        assert answer.status == 200, answer
        return answer.json

    def ask_ticket(self, body=b"hello", name="a.txt", **changes):
        given = {
            "name": name,
            "contentLength": str(len(body)),
            "contentMD5": base64.b64encode(hashlib.md5(body).digest()).decode(),
            "contentType": "text/plain",
        }
        return self.gql(TICKET, input={**given, **changes})

    def ticket(self, body=b"hello", name="a.txt", **changes):
        return self.ask_ticket(body, name, **changes)["data"]["uploadTicket"]

    def put(self, ticket, body, **changes):
        headers = {each["name"]: each["value"] for each in ticket["headers"]} | changes
        headers = {name: value for name, value in headers.items() if value is not None}
        return self.wire.request("PUT", ticket["url"], body, headers)

    def form(self, ticket, body, content_type="text/plain", filename="a.txt"):
        """Give the parts of a form as the page's sample makes them, but with the file at the end."""
        parts = [(f["name"], f["value"].encode()) for f in ticket["formData"] if f["value"] != "@file"]
        file = next(f["name"] for f in ticket["formData"] if f["value"] == "@file")
        return [*parts, (f'{file}"; filename="{filename}"\r\nContent-Type: {content_type}', body)]

    def send_form(self, ticket, parts, boundary="frontier", content_type=None, end="--\r\n", **headers):
        lines = [b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary.encode(), _head(name), v) for name, v in parts]
        body = b"".join(lines) + f"--{boundary}{end}".encode()
        given = {each["name"]: each["value"] for each in ticket["headers"]} | headers
        given["Content-Type"] = content_type or f"multipart/form-data; boundary={boundary}"
        given = {name: value for name, value in given.items() if value is not None}
        return self.wire.request("POST", ticket["url"], body, given)

    def upload(self, ticket, body, **file):
        if ticket["formData"] is None:
            return self.put(ticket, body)
        return self.send_form(ticket, self.form(ticket, body, **file))

    def create(self, ticket, **more):
        return self.gql(CREATE, input={"uploadTicketID": ticket["id"], **more})

    def file(self, body, name="a.txt", **more):
        ticket = self.ticket(body, name)
        assert self.upload(ticket, body).status in {200, 201, 204}
        return self.create(ticket, **more)["data"]["createFile"]

    def send(self, text, attachments=(), where=None, **more):
        message = {"text": text, "attachments": list(attachments), **more}
        message = {name: value for name, value in message.items() if value is not None}
        has_threads = self.gql('{ __type(name: "SendMessageInput") { name } }')["data"]["__type"]
        if not has_threads:
            return self.gql(SEND, input=message)
        place = {"threadID": "thr_1"} if where is None else where
        return self.gql(SEND_TO_THREAD, input={**place, "message": message})

    def node(self, node_id):
        found = self.gql(NODE, id=node_id)["data"]["node"]
        return found and {name: value for name, value in found.items() if value is not None}


def _head(name):
    first, line_end, rest = name.partition("\r\n")
    first = f'Content-Disposition: form-data; name="{first}'
    return (f"{first}{line_end}{rest}" if "filename=" in name else f'{first}"').encode()


@pytest.fixture
def simulator():
    """Run a simulator for one test."""
    with Simulator(seed="test") as running:
        yield running


@pytest.fixture
def wire(simulator):
    """Speak to that simulator."""
    return Wire(simulator)


@pytest.fixture
def wire_to():
    """Make a client for a simulator with options of the test's own."""
    return Wire


@pytest.fixture
def glue(simulator):
    """Speak to the Glue of the test's simulator."""
    return GlueWire(simulator)


@pytest.fixture
def glue_to():
    """Make a client for the Glue of a simulator with options of the test's own."""
    return GlueWire


@pytest.fixture
def lend_glue(simulator):
    """Ask for a token as Glue's client, with one form field left out or others changed."""

    def ask(left_out, of=simulator, **changes):
        form = {
            "grant_type": "client_credentials",
            "client_id": "simulator-glue-client",
            "client_secret": "simulator-secret",
            "subject": "wks_simulator",
            "redirect_uri": "http://127.0.0.1/callback",
        } | changes
        form.pop(left_out, None)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Wire(of).request("POST", "/oauth/token", urlencode(form), headers)

    return ask
