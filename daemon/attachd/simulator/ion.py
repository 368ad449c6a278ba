"""ION's side: which root fields do what, who may ask, and what a query is about.

Written from the vendor's upload page and its error page: failures of a query come as HTTP 200 with `errors`,
those of authentication as 401 before GraphQL runs.
"""

import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import PurePosixPath
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
    value_from_ast_untyped,
)

from attachd.simulator import schema, signing, targets
from attachd.simulator.world import Attachment, World

_TYPES = mimetypes.MimeTypes(()).types_map[True]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one ION is like.

    Attributes:
        token: the only one that is accepted.
        ids: which objects exist.
        organization: domain of the organization that the token belongs to.
        url_lifetime: seconds for which a signed URL serves.
    """

    token: str
    ids: targets.Ids
    organization: str
    url_lifetime: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A GraphQL request, and what it is about.

    Attributes:
        call: `open` where it asks for an upload URL, `register` where it creates an attachment, else `query`.
        fields: names of its root fields, in order.
        facts: the arguments of each root field, those of `input` laid flat.
        errors: why it cannot be executed; empty where it can.
    """

    call: str
    fields: tuple[str, ...]
    facts: tuple[dict[str, Any], ...]
    errors: tuple[GraphQLError, ...]
    document: DocumentNode | None
    variables: dict[str, Any]
    operation: str | None


class Ion:
    """Answers GraphQL requests for one simulator; the world is its memory.

    Args:
        base_url: where this simulator's storage is reached.
    """

    def __init__(self, world: World, terms: Terms, base_url: str) -> None:
        self._world = world
        self._terms = terms
        self._base_url = base_url
        self._schema = schema.build(text_ids=terms.ids.as_text)
        self._compiled = lru_cache(maxsize=256)(self._compile)
        self._root: dict[str, Callable[..., Any]] = {
            "requestFileUploadUrl": self._request_upload,
            "createFileAttachment": self._create_attachment,
            "fileAttachment": self._file_attachment,
            "currentUser": self._current_user,
            **{kind: partial(self._object, kind) for kind in targets.KINDS},
        }

    def refusal(self, authorization: str | None) -> str | None:
        """Say why an Authorization header is not accepted, in the vendor's words, or None."""
        if not authorization:
            return "Please provide proper credentials"
        scheme, _, token = authorization.rpartition(" ")
        if scheme not in {"", "Bearer", "Token"} or not token:
            return "Unable to parse authentication token"
        return None if token == self._terms.token else "Unable to find appropriate RSA key"

    def read(self, query: str, variables: dict[str, Any], operation: str | None) -> Question:
        """Parse and validate a request without executing it."""
        document, errors = self._compiled(query)
        chosen = get_operation_ast(document, operation) if document else None
        nodes = chosen.selection_set.selections if chosen else ()
        roots = [node for node in nodes if isinstance(node, FieldNode)]
        fields = tuple(node.name.value for node in roots)
        return Question(
            call=_call(fields),
            fields=fields,
            facts=tuple(_arguments(node, variables) for node in roots),
            errors=errors,
            document=document,
            variables=variables,
            operation=operation,
        )

    def answer(self, question: Question) -> dict[str, Any]:
        """Execute a request and give the answer as JSON values."""
        if question.errors or question.document is None:
            return {"errors": [error.formatted for error in question.errors]}
        result = execute_sync(
            self._schema,
            question.document,
            root_value=self._root,
            variable_values=question.variables,
            operation_name=question.operation,
        )
        return dict(result.formatted)

    def _compile(self, query: str) -> tuple[DocumentNode | None, tuple[GraphQLError, ...]]:
        try:
            document = parse(query)
        except GraphQLError as error:
            return None, (error,)
        return document, tuple(validate(self._schema, document))

    def _request_upload(self, _info: object, filename: str) -> dict[str, str]:
        if not filename or not _is_unicode(filename):
            raise GraphQLError("filename must be a name in valid Unicode")
        key = self._world.issue(filename)
        content_type = content_type_of(filename)
        subject = signing.Subject(method="PUT", key=key, content_type=content_type)
        return {"uploadUrl": self._signed_url(subject), "s3Key": key, "contentType": content_type}

    def _object(self, kind: str, _info: object, **arguments: str) -> dict[str, Any] | None:
        target = targets.by_object_id(self._terms.ids, kind, arguments["id"])
        if target is None:
            return None
        entity_id = target.entity_id
        return {"id": target.object_id, "entityId": entity_id, "entity": {"id": entity_id}}

    def _create_attachment(self, _info: object, **arguments: Any) -> dict[str, Any]:
        given = arguments["input"]
        target = targets.by_entity_id(self._terms.ids, given["entityId"])
        if target is None:
            raise GraphQLError(f"Entity {given['entityId']} not found")
        if target.object_id in self._terms.ids.forbidden:
            raise GraphQLError("Permission denied")
        if given["validateUpload"]:
            self._validate_upload(given["s3Key"], given["s3Etag"])
        content_type = content_type_of(given["filename"])
        created = self._world.attach(given["filename"], target, given["s3Key"], content_type)
        return {"fileAttachment": self._shown(created)}

    def _validate_upload(self, key: str, etag: str) -> None:
        stored = self._world.stored(key)
        if stored is None:
            raise GraphQLError("Upload validation failed: no object with this s3Key exists")
        if stored.etag != etag:
            raise GraphQLError("Upload validation failed: s3Etag does not match the stored object")

    def _file_attachment(self, _info: object, **arguments: str) -> dict[str, Any] | None:
        attachment = self._world.attachment(targets.number(arguments["id"]) or 0)
        return self._shown(attachment) if attachment else None

    def _current_user(self, _info: object) -> dict[str, Any]:
        organization = {"id": 1, "domain": self._terms.organization}
        email = f"service@{self._terms.organization}"
        return {"id": 7, "name": "Service account", "email": email, "organization": organization}

    def _shown(self, attachment: Attachment) -> dict[str, Any]:
        return {
            "id": attachment.id,
            "filename": attachment.filename,
            "downloadUrl": lambda _info: self._signed_url(
                signing.Subject(method="GET", key=attachment.s3_key)
            ),
            "entityId": attachment.entity_id,
            "contentType": attachment.content_type,
            "s3Key": attachment.s3_key,
        }

    def _signed_url(self, subject: signing.Subject) -> str:
        now, lifetime = self._world.clock(), self._terms.url_lifetime
        return self._base_url + signing.signed_path(self._world.secret, subject, now=now, lifetime=lifetime)


def content_type_of(filename: str) -> str:
    """Derive the Content-Type from the filename's extension, as the vendor's page says."""
    return _TYPES.get(PurePosixPath(filename).suffix.lower(), "application/octet-stream")


def _call(fields: tuple[str, ...]) -> str:
    if "createFileAttachment" in fields:
        return "register"
    return "open" if "requestFileUploadUrl" in fields else "query"


def _arguments(node: FieldNode, variables: dict[str, Any]) -> dict[str, Any]:
    values = {each.name.value: value_from_ast_untyped(each.value, variables) for each in node.arguments or ()}
    nested = values.pop("input", None)
    return {**values, **nested} if isinstance(nested, dict) else values


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
