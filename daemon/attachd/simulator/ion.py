"""ION's side: which root fields do what, who may ask, and what a query is about.

Written from the vendor's upload page and its error page: failures of a query come as HTTP 200 with `errors`,
those of authentication as 401 before GraphQL runs.
"""

import mimetypes
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from graphql import GraphQLError

from attachd.simulator import lists, schema, signing, targets
from attachd.simulator.outside import Outside
from attachd.simulator.questions import Question, Questions
from attachd.simulator.tokens import Organization, Tokens
from attachd.simulator.world import Attachment, World

_TYPES = mimetypes.MimeTypes(()).types_map[True]
_CALLS = {"createFileAttachment": "register", "requestFileUploadUrl": "open"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one ION is like.

    Attributes:
        ids: which objects exist.
        tells_organization: whether the schema has `currentUser`.
        url_lifetime: seconds for which a signed URL serves.
        listing: how attachments can be listed, one of `lists.SDL`.
        outside: the storage behind it; None for the simulator's own.
    """

    ids: targets.Ids
    tells_organization: bool
    url_lifetime: int
    listing: str = "none"
    outside: Outside | None = None


class Ion:
    """Answers GraphQL requests for one simulator; the world is its memory.

    Args:
        base_url: where this simulator's storage is reached.
    """

    def __init__(self, world: World, terms: Terms, tokens: Tokens, base_url: str) -> None:
        self._world = world
        self._tokens = tokens
        self._terms = terms
        self._base_url = base_url
        built = schema.build(
            text_ids=terms.ids.as_text, listing=terms.listing, users=terms.tells_organization
        )
        root: dict[str, Callable[..., Any]] = {
            "requestFileUploadUrl": self._request_upload,
            "createFileAttachment": self._create_attachment,
            "fileAttachment": self._file_attachment,
            "fileAttachments": self._file_attachments,
            "entity": self._entity,
            "partInventories": self._part_inventories,
            "runs": self._runs,
            "currentUser": self._current_user,
            **{kind: partial(self._object, kind) for kind in targets.KINDS},
        }
        self._questions = Questions(built, root, _CALLS)

    def caller(self, authorization: str | None) -> Organization | str:
        """Say who asks, or, in the vendor's words, why an Authorization header is not accepted."""
        if not authorization:
            return "Please provide proper credentials"
        scheme, _, token = authorization.rpartition(" ")
        if scheme not in {"", "Bearer", "Token"} or not token:
            return "Unable to parse authentication token"
        ended = self._tokens.was_lent(token)
        refusal = "Unable to parse authentication token" if ended else "Unable to find appropriate RSA key"
        return self._tokens.organization_of(token) or refusal

    def read(self, query: str, variables: dict[str, Any], operation: str | None) -> Question:
        """Parse and validate a request without executing it."""
        return self._questions.read(query, variables, operation)

    def answer(self, question: Question, caller: Organization) -> dict[str, Any]:
        """Execute a request of somebody and give the answer as JSON values."""
        return self._questions.answer(question, caller)

    def _request_upload(self, _info: object, filename: str) -> dict[str, str]:
        if not filename or not is_unicode(filename):
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
        shown = {"id": target.object_id, "entityId": entity_id, "entity": {"id": entity_id}}
        if kind == "run":
            return {**shown, **self._run(target.object_id)}
        return {**shown, **(self._world.units.step(target.object_id) if kind == "runStep" else {})}

    def _run(self, run_id: int) -> dict[str, Any]:
        run = self._world.units.run(run_id)
        if run is None:
            return {"steps": []}
        steps = [self._object("runStep", None, id=str(step)) for step, _ in run.steps]
        return {"title": run.title, "status": run.status, "steps": steps}

    def _runs(self, info: object, filters: dict[str, Any] | None = None, **page: Any) -> dict[str, Any]:
        found = [self._object("run", info, id=str(run)) for run in self._world.units.runs(filters)]
        return lists.connection([run for run in found if run is not None], **page)

    def _part_inventories(
        self, _info: object, filters: dict[str, Any] | None = None, **page: Any
    ) -> dict[str, Any]:
        found = self._world.units.inventories(filters)
        nodes = [{**unit, "part": partial(self._object, "part", id=str(unit["partId"]))} for unit in found]
        return lists.connection(nodes, **page)

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
        stored = self._etag_of(key)
        if stored is None:
            raise GraphQLError("Upload validation failed: no object with this s3Key exists")
        if stored != etag:
            raise GraphQLError("Upload validation failed: s3Etag does not match the stored object")

    def _etag_of(self, key: str) -> str | None:
        if self._terms.outside is not None:
            return self._terms.outside.etag(key, now=self._world.clock())
        stored = self._world.stored(key)
        return stored.etag if stored else None

    def _file_attachment(self, _info: object, **arguments: str) -> dict[str, Any] | None:
        attachment = self._world.attachment(targets.number(arguments["id"]) or 0)
        return self._shown(attachment) if attachment else None

    def _file_attachments(
        self, _info: object, filters: dict[str, Any] | None = None, **page: Any
    ) -> dict[str, Any]:
        shown = [self._shown(each) for each in self._world.attachments]
        return lists.connection([each for each in shown if lists.fits(each, filters)], **page)

    def _entity(self, _info: object, **arguments: str) -> dict[str, Any] | None:
        target = targets.by_entity_id(self._terms.ids, arguments["id"])
        if target is None:
            return None
        of_entity = {"entityId": {"eq": str(target.entity_id)}}
        return {
            "id": target.entity_id,
            "fileAttachments": partial(self._file_attachments, filters=of_entity),
        }

    def _current_user(self, info: Any) -> dict[str, Any]:
        organization = asdict(info.context)
        email = f"service@{organization['domain']}"
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
        if self._terms.outside is not None:
            return self._terms.outside.url(subject, now=now, lifetime=lifetime)
        return self._base_url + signing.signed_path(self._world.secret, subject, now=now, lifetime=lifetime)


def content_type_of(filename: str) -> str:
    """Derive the Content-Type from the filename's extension, as the vendor's page says."""
    return _TYPES.get(PurePosixPath(filename).suffix.lower(), "application/octet-stream")


def is_unicode(text: str) -> bool:
    """Say whether a text can be written as UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
