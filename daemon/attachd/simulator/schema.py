"""The part of ION's GraphQL schema that attaching a file needs, written from the vendor's upload page.

`entityId` beside `entity { id }`, and `contentType` and `s3Key` of an attachment, come from the vendor's
own published examples; `currentUser` from its playground page. All ids are declared `ID` and answered as
integers, as the vendor's sample answers show.
"""

from typing import Any

from graphql import (
    GraphQLID,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    assert_valid_schema,
    build_schema,
)

from attachd.simulator import lists, units
from attachd.simulator.targets import KINDS

_SDL = """
type Query {
  requestFileUploadUrl(filename: String!): FileUploadUrl
  fileAttachment(id: ID!): FileAttachment
}

type Mutation {
  createFileAttachment(input: CreateFileAttachmentInput!): CreateFileAttachmentPayload
}

type FileUploadUrl {
  uploadUrl: String!
  s3Key: String!
  contentType: String!
}

input CreateFileAttachmentInput {
  filename: String!
  s3Key: String!
  s3Etag: String!
  entityId: ID!
  validateUpload: Boolean = false
}

type CreateFileAttachmentPayload { fileAttachment: FileAttachment! }

type FileAttachment {
  id: ID!
  filename: String!
  downloadUrl: String
  entityId: ID!
  contentType: String
  s3Key: String!
}

type Entity { id: ID! }
type PageInfo { hasNextPage: Boolean! endCursor: String }
"""

_USER_SDL = """
extend type Query { currentUser: User }
type Organization { id: ID! domain: String! }
type User { id: ID! name: String! email: String! organization: Organization! }
"""

_OBJECT_SDL = """
extend type Query {{ {field}(id: ID!): {type} }}
type {type} {{ id: ID! entityId: ID! entity: Entity! }}
"""


def sdl(listing: str = "none", *, users: bool = True) -> str:
    """Write the schema in GraphQL's schema language.

    Args:
        listing: one of `lists.SDL`.
        users: whether there is `currentUser`.
    """
    objects = (_OBJECT_SDL.format(field=kind, type=kind[0].upper() + kind[1:]) for kind in KINDS)
    return (_SDL + (_USER_SDL if users else "")) + "".join(objects) + units.SDL + lists.SDL[listing]


def build(*, text_ids: bool, listing: str = "none", users: bool = True) -> GraphQLSchema:
    """Build the executable schema, with ids answered as integers or as strings."""
    schema = build_schema(sdl(listing, users=users))
    if not text_ids:
        _answer_integers(schema)
    assert_valid_schema(schema)
    return schema


def _answer_integers(schema: GraphQLSchema) -> None:
    # The standard ID scalar always answers strings and is shared by every schema of the process, so the
    # output fields get a scalar of their own; arguments and variables keep the standard one.
    scalar = GraphQLScalarType("IntegerID", serialize=_as_integer)
    scalar.name = GraphQLID.name
    integer_id = GraphQLNonNull(scalar)
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType):
            for field in type_.fields.values():
                if isinstance(field.type, GraphQLNonNull) and field.type.of_type is GraphQLID:
                    field.type = integer_id


def _as_integer(value: Any) -> int:
    return int(value)
