import mimetypes

import pytest
from graphql import build_schema, parse, validate

from attachd.destinations.forms import Form
from attachd.destinations.glue_documents import CREATE, LOOK_UP, LOOK_UP_MESSAGE, OPEN, file_documents
from attachd.destinations.media_types import UNKNOWN, media_type

# Written from the vendor's page on attachments; the type of a message is that of its page on messages.
VENDOR = build_schema(
    """
    interface Node { id: ID! }
    type Query { node(id: ID!): Node }
    type Mutation {
      uploadTicket(input: UploadTicketInput!): UploadTicketResponse
      createFile(input: CreateFileInput!): File
    }
    input UploadTicketInput {
      name: String!
      contentLength: String!
      contentMD5: String!
      contentType: String!
      metadata: UploadMetadata
    }
    input UploadMetadata { width: Int height: Int }
    input CreateFileInput { uploadTicketID: String! }
    union UploadTicketResponse = File | UploadTicket
    type UploadTicket { id: ID! url: String! headers: [Pair!]! formData: [Pair!] }
    type Pair { name: String! value: String! }
    type File implements Node { id: ID! name: String! contentType: String! url: String! }
    union Attachment = File
    type Message implements Node { id: ID! text: String attachments: [Attachment!]! }
    """
)


def test_every_document_fits_the_vendors_schema():
    """Each document for files is valid against the schema on the vendor's page."""
    for document in (OPEN, CREATE, LOOK_UP, LOOK_UP_MESSAGE):
        assert validate(VENDOR, parse(document)) == []


def test_what_is_checked_is_what_is_sent():
    """`check --online` holds every document against the schema, that of messages only where one is sent."""
    assert {each.document for each in file_documents(messages=True)} == {
        OPEN,
        CREATE,
        LOOK_UP,
        LOOK_UP_MESSAGE,
    }
    assert LOOK_UP_MESSAGE not in {each.document for each in file_documents(messages=False)}


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a.JPG", "image/jpeg"),
        ("a.pdf", "application/pdf"),
        ("photo.webp", "image/webp"),
        ("data:text/html,x.png", "image/png"),
        ("http://h/x.png?y.csv#z", UNKNOWN),
        ("no ending", UNKNOWN),
        (".pdf", UNKNOWN),
        ("", UNKNOWN),
        ("a.unheard-of", UNKNOWN),
    ],
)
def test_types_go_by_the_ending(filename, expected):
    """Only the last suffix counts, and a name is never read as an address."""
    assert media_type(filename) == expected


def test_types_are_not_this_machines(monkeypatch):
    """What this machine's files say about an ending changes nothing."""
    mimetypes.add_type("text/odd", ".pdf")
    monkeypatch.setitem(mimetypes.types_map, ".pdf", "text/odd")
    assert media_type("a.pdf") == "application/pdf"


class Three:
    """Three bytes."""

    size = 3

    def __init__(self):
        self.left = b"abc"

    def read(self, length=-1, /):
        block, self.left = self.left[:length], self.left[length:]
        return block

    def md5_hex(self):
        return ""


def test_a_form_can_be_read_in_any_blocks():
    """However it is read, a form gives the same bytes, as many as it says."""
    form = Form(
        fields=(("key", "k"), ("upload", "@file")), filename="ü.txt", file_type="text/plain", boundary="B"
    )
    expected = (
        '--B\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'
        '--B\r\nContent-Disposition: form-data; name="upload"; filename="ü.txt"\r\n'
        "Content-Type: text/plain\r\n\r\nabc\r\n--B--\r\n"
    ).encode()
    for length in (1, 2, 7, -1):
        framed, read = form.around(Three()), b""
        while block := framed.read(length):
            read += block
        assert read == expected
        assert framed.size == len(expected)
        assert framed.read(length) == b""
