"""Lists of attachments, which a schema may offer or not, in pages as Relay has them.

No page of the vendor's tells of such a query: `entity` and `filters` are what it would look like by the
pattern of their other ones. `none` is what is published.
"""

from collections.abc import Mapping, Sequence
from typing import Any

PAGE_SIZE = 50
"""Items of a page where nobody says how many."""

_CONNECTION = """
type FileAttachmentConnection { edges: [FileAttachmentEdge!]! pageInfo: PageInfo! }
type FileAttachmentEdge { cursor: String! node: FileAttachment! }
"""

SDL: Mapping[str, str] = {
    "none": "",
    "entity": _CONNECTION
    + """
extend type Query { entity(id: ID!): Entity }
extend type Entity { fileAttachments(first: Int, after: String): FileAttachmentConnection! }
""",
    "filters": _CONNECTION
    + """
extend type Query {
  fileAttachments(
    filters: FileAttachmentsInputFilters, first: Int, after: String
  ): FileAttachmentConnection!
}
input FileAttachmentsInputFilters { entityId: FileAttachmentsID s3Key: FileAttachmentsText }
input FileAttachmentsID { eq: ID in: [ID!] }
input FileAttachmentsText { eq: String ilike: String }
""",
}
"""What each kind of listing adds to the schema, by its name."""


def connection(
    nodes: Sequence[Mapping[str, Any]], first: int | None = None, after: str | None = None
) -> dict[str, Any]:
    """Cut one page out of nodes that have an `id` and are sorted by it; the cursor is the id."""
    left = [node for node in nodes if after is None or node["id"] > int(after)]
    size = PAGE_SIZE if first is None else first
    edges = [{"cursor": str(node["id"]), "node": node} for node in left[:size]]
    end = edges[-1]["cursor"] if edges else None
    return {"edges": edges, "pageInfo": {"hasNextPage": len(left) > size, "endCursor": end}}


def fits(node: Mapping[str, Any], filters: Mapping[str, Any] | None) -> bool:
    """Say whether every filter takes a node; operators other than `eq` and `in` take nothing."""
    return all(_takes(given, str(node[name])) for name, given in (filters or {}).items() if given)


def _takes(operators: Mapping[str, Any], value: str) -> bool:
    return all(
        value == given if operator == "eq" else operator == "in" and value in given
        for operator, given in operators.items()
    )
