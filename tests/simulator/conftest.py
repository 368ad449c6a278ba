"""A client of the simulator that is nothing but `http.client`: it believes what the vendor's page says."""

import http.client
import json
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from attachd.simulator import Simulator

UPLOAD = "query($f: String!) { requestFileUploadUrl(filename: $f) { uploadUrl s3Key contentType } }"
REGISTER = """mutation($input: CreateFileAttachmentInput!) {
  createFileAttachment(input: $input) {
    fileAttachment { id filename downloadUrl entityId contentType s3Key }
  }
}"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

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
