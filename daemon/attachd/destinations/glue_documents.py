"""What is sent to Glue for files: docs.glue.ai, developers/graphql-api/attachments."""

from attachd.destinations.introspection import Sent

OPEN = (
    "mutation Open($input: UploadTicketInput!) { uploadTicket(input: $input) { __typename "
    "... on File { id name } "
    "... on UploadTicket { id url headers { name value } formData { name value } } } }"
)
"""Asks for leave to upload; a `File` is the answer where Glue has the bytes already."""

# Only the id is asked back, so that a resolver that fails beside it does not look like a failed call.
CREATE = "mutation Create($input: CreateFileInput!) { createFile(input: $input) { id } }"
"""Makes a file of what was uploaded."""

LOOK_UP = "query LookUp($id: ID!) { node(id: $id) { __typename ... on File { id name url } } }"
"""Asks for a file by its id; of anything else only what it is."""

LOOK_UP_MESSAGE = (
    "query LookUp($id: ID!) "
    "{ node(id: $id) { ... on Message { attachments { ... on File { id name url } } } } }"
)
"""Asks for the files of a message."""

WHO = "query Who { me { id name } }"
"""Asks whom the token belongs to."""


def file_documents(*, messages: bool) -> list[Sent]:
    """Give every document that would be sent for files, with that for the files of messages or without."""
    ticket = dict.fromkeys(("name", "contentLength", "contentMD5", "contentType"), "")
    size = dict.fromkeys(("width", "height"), 0)
    documents = [
        Sent(purpose="open", document=OPEN, variables={"input": ticket | {"metadata": size}}),
        Sent(purpose="create", document=CREATE, variables={"input": {"uploadTicketID": ""}}),
        Sent(purpose="verify", document=LOOK_UP),
    ]
    if messages:
        documents.append(Sent(purpose="verify messages", document=LOOK_UP_MESSAGE))
    return documents
