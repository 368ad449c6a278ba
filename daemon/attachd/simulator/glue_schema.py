"""The part of Glue's GraphQL schema that attaching a file needs, written from the vendor's pages.

Two of those pages disagree about `sendMessage`: on the one about attachments it takes a `MessageInput` and
gives the message, on the one about messages a `SendMessageInput` with a thread, and gives both. `Manner`
chooses between them, and what else the pages leave open. `uniqueBy` and `threadBy` come from a part of the
page about messages that was seen only in quotations.
"""

from dataclasses import dataclass
from typing import Self, TypedDict

from graphql import GraphQLSchema, assert_valid_schema, build_schema

UPLOADS = ("put", "post")
MESSAGES = ("attachments", "messages")
SUCCESSES = (204, 200, 201)


class Switches(TypedDict, total=False):
    """The fields of `Manner` as keywords of a simulator."""

    glue_upload: str
    glue_messages: str
    glue_unique_by: bool
    glue_metadata: bool
    glue_success: int
    glue_file_field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What one Glue is like where the vendor's pages leave it open.

    Attributes:
        upload: `put` or `post`: what tickets ask for.
        messages: the page whose `sendMessage` it has, `attachments` or `messages`.
        unique_by: whether messages have `uniqueBy`, and threads `threadBy`.
        metadata: whether `createFile` takes `metadata`.
        success: status of an upload by POST: 204, 200, or 201 with XML.
        file_field: name of the form field that takes the bytes; S3 knows only `file`.

    Raises:
        ValueError: a value is none of these.
    """

    upload: str = "put"
    messages: str = "attachments"
    unique_by: bool = False
    metadata: bool = False
    success: int = 204
    file_field: str = "file"

    def __post_init__(self) -> None:
        chosen = ((self.upload, UPLOADS), (self.messages, MESSAGES), (self.success, SUCCESSES))
        for value, known in chosen:
            if value not in known:
                raise ValueError(f"{value!r} is none of {', '.join(map(str, known))}")

    @classmethod
    def of(cls, switches: Switches) -> Self:
        """Read a simulator's keywords."""
        default = cls()
        return cls(
            upload=switches.get("glue_upload", default.upload),
            messages=switches.get("glue_messages", default.messages),
            unique_by=switches.get("glue_unique_by", default.unique_by),
            metadata=switches.get("glue_metadata", default.metadata),
            success=switches.get("glue_success", default.success),
            file_field=switches.get("glue_file_field", default.file_field),
        )


_SDL = """
type Query { node(id: ID!): Node }

type Mutation {
  uploadTicket(input: UploadTicketInput!): UploadTicketResponse
  createFile(input: CreateFileInput!): File
}

interface Node { id: ID! }

input UploadTicketInput {
  name: String!
  contentLength: String!
  contentMD5: String!
  contentType: String!
  metadata: UploadMetadata
}

input UploadMetadata { width: Int height: Int }
union UploadTicketResponse = File | UploadTicket

type UploadTicket {
  id: ID!
  url: String!
  headers: [UploadHeader!]!
  formData: [UploadFormData!]
}

type UploadHeader { name: String! value: String! }
type UploadFormData { name: String! value: String! }
input CreateFileInput { uploadTicketID: String! }

type File implements Node {
  id: ID!
  fileType: FileType!
  name: String!
  contentLength: String!
  contentMD5: String!
  contentType: String!
  metadata: FileMetadata
  previewable: Boolean
  url: String!
}

enum FileType { audio image other video }
type FileMetadata { width: Int height: Int blurHash: String }
union Attachment = File
type Message implements Node { id: ID! text: String! attachments: [Attachment!]! }
type Thread implements Node { id: ID! subject: String }
type Workspace implements Node { id: ID! name: String! }
input MessageInput { text: String! attachments: [ID!]! quotedMessageID: ID }
"""

_MESSAGES_SDL = {
    "attachments": "extend type Mutation { sendMessage(input: MessageInput!): Message }",
    "messages": """
extend type Mutation { sendMessage(input: SendMessageInput!): SendMessagePayload }
input SendMessageInput { threadID: ID thread: ThreadInput message: MessageInput! }
input ThreadInput { recipients: [ID!]! subject: String }
type SendMessagePayload { thread: Thread message: Message }
""",
}
_METADATA_SDL = """
extend input CreateFileInput { metadata: FileMetadataInput }
input FileMetadataInput { width: Int height: Int blurHash: String }
"""
_UNIQUE_SDL = "extend input MessageInput { uniqueBy: String }"
_THREAD_BY_SDL = "extend input ThreadInput { threadBy: String }"


def build(manner: Manner) -> GraphQLSchema:
    """Build the executable schema."""
    parts = [_SDL, _MESSAGES_SDL[manner.messages]]
    parts += [_METADATA_SDL] if manner.metadata else []
    parts += [_UNIQUE_SDL] if manner.unique_by else []
    parts += [_THREAD_BY_SDL] if manner.unique_by and manner.messages == "messages" else []
    schema = build_schema("\n".join(parts))
    assert_valid_schema(schema)
    return schema
