"""ION: a signed upload URL and the entity id in one query, a PUT to storage, and the registration.

After the vendor's page "Upload files and attachments" (docs.firstresonance.io, guides/file-upload). Three
things on it decide whether a file arrives: the content type is sent exactly as it was given, the ETag is
passed on, and the registration names the entity id and not the object's own id.
"""

from collections.abc import Callable, Mapping

from attachd.core.protocols import Answer, Body, Clock, Receipt, Reconciled, Ticket, Upload
from attachd.core.settings import DestinationSettings
from attachd.destinations.entities import EntityIds, Key
from attachd.destinations.graphql import GraphQL, Hints, Reply, id_text
from attachd.destinations.storage import Storage
from attachd.destinations.transport import Transport
from attachd.errors import InvariantBroken, Trouble
from attachd.model import ErrorKind, Severity

LOOKED_UP: Mapping[str, str] = {
    "run_step": "runStep",
    "run": "run",
    "procedure": "procedure",
    "step": "step",
    "part": "part",
    "run_step_field": "runStepField",
}
"""Kinds of target and the query field that has their entity; an `entity` needs none."""

_URL = "requestFileUploadUrl"
_REQUEST = f"{_URL}(filename: $filename) {{ uploadUrl s3Key contentType }}"

OPEN = f"query Open($filename: String!) {{ {_REQUEST} }}"
"""Asks for an upload URL alone: the entity id is known."""

OPEN_AND_LOOK_UP: Mapping[str, str] = {
    target: (
        f"query Open($filename: String!, $id: ID!) {{ {_REQUEST} {field}(id: $id) {{ entity {{ id }} }} }}"
    )
    for target, field in LOOKED_UP.items()
}
"""Asks for an upload URL and the entity id of a target, by kind of target."""

# Only the id is asked back, so that a resolver that fails beside it does not look like a failed registration.
REGISTER = (
    "mutation Register($input: CreateFileAttachmentInput!) "
    "{ createFileAttachment(input: $input) { fileAttachment { id } } }"
)

_LOOK_IN_ION = (
    "open the target in ION and look for the file in its attachments panel; then "
    "`attachd resolve ID --attached REMOTE_ID`, or `attachd resolve ID --not-attached` to have it sent again"
)
HINTS: Hints = {
    ErrorKind.AUTH: "check the token: it may be expired, of another environment or of another authentication "
    "server; attachd tries again by itself once it is accepted",
    ErrorKind.PERMISSION: "check the role's permissions on the target, such as run step update, and that of "
    "creating file attachments; then retry",
    ErrorKind.UNKNOWN_TARGET: "check the id and that this account can see it: run_step, run, procedure, "
    "step, part and run_step_field take the object's own id, entity takes an entity id; then retry",
    ErrorKind.INTEGRITY: "ION does not find the uploaded bytes as they were registered; attachd sends the "
    "file once more by itself",
    ErrorKind.REJECTED: "check url in rules.yaml, and whether this ION has the three-step upload; then retry",
    ErrorKind.CONFIG: "check url and proxy in rules.yaml; attachd tries again by itself",
    ErrorKind.UNKNOWN_OUTCOME: _LOOK_IN_ION,
}
"""What a person can do, by kind of trouble."""


class Ion:
    """An account at ION. Used by many workers at once; see `attachd.core.protocols.Destination`.

    Args:
        settings: of this destination.
        token: gives the token; asked for every call, since it may change.
        clock: for `Retry-After` dates and for how long entity ids are believed.
    """

    final_calls: tuple[str, ...] = ("register",)

    def __init__(self, settings: DestinationSettings, token: Callable[[], str], clock: Clock) -> None:
        self.name = settings.name
        self._max_file_size = settings.max_file_size
        self._validate = settings.validate_upload
        self._transport = Transport(settings, token)
        self._graphql = GraphQL(self._transport, url=settings.url, hints=HINTS, now=clock.now)
        self._storage = Storage(self._transport, hosts=settings.storage_hosts, now=clock.now)
        self._entities = EntityIds(clock.monotonic)

    def open(self, upload: Upload) -> Ticket:
        """Ask for an upload URL and, unless it is known, for the target's entity id, in one query.

        Raises:
            Trouble: the file is too large, the target is not there, or ION did not answer.
        """
        self._require_size(upload.size)
        target = _target(upload)
        entity_id = target[1] if target[0] == "entity" else self._entities.get(target)
        variables = {"filename": upload.filename}
        if entity_id is None:
            reply = self._graphql.call(OPEN_AND_LOOK_UP[target[0]], {**variables, "id": target[1]})
            entity_id = self._entity_id(reply, target)
            self._entities.keep(target, entity_id)
        else:
            reply = self._graphql.call(OPEN, variables)
        return self._ticket(reply, entity_id)

    def put(self, ticket: Ticket, upload: Upload, body: Body) -> Receipt:
        """Send the bytes; the receipt has `s3_key`, `s3_etag`, `entity_id` and `content_type`.

        Raises:
            Trouble: storage did not take them.
            FileError: the body could not be read.
        """
        del upload
        etag = self._storage.put(ticket.url, ticket.content_type, body)
        return {**ticket.facts, "s3_etag": etag}

    def complete(self, call: str, upload: Upload, receipts: Mapping[str, Receipt]) -> Receipt:
        """Register the upload and give the attachment's `remote_id`. Must not be repeated blindly.

        Raises:
            Trouble: ION refused, or nobody knows whether it did it; with `restart` where what was
                uploaded cannot be registered.
        """
        if call != "register" or "put" not in receipts:
            raise InvariantBroken(f"ION has no call {call!r} after {sorted(receipts)}")
        put = receipts["put"]
        values = {
            "filename": upload.filename,
            "s3Key": put["s3_key"],
            "s3Etag": put["s3_etag"],
            "entityId": put["entity_id"],
            "validateUpload": self._validate,
        }
        reply = self._graphql.call(REGISTER, {"input": values}, final=True)
        remote_id = id_text(reply.at("createFileAttachment", "fileAttachment", "id"))
        if remote_id is None:
            raise self._not_registered(reply, upload)
        return {"remote_id": remote_id}

    def reconcile(self, call: str, upload: Upload, receipts: Mapping[str, Receipt]) -> Reconciled:
        """Say that nobody can tell: no published query lists the attachments of an entity."""
        del call
        entity_id = receipts.get("put", {}).get("entity_id", "")
        where = " ".join(f"{kind} {value}" for kind, value in upload.target.items())
        if entity_id and "entity" not in upload.target:
            where = f"{where} (entity {entity_id})"
        hint = f"look for {upload.filename} in the attachments panel of {where} in ION: {_LOOK_IN_ION}"
        return Reconciled(answer=Answer.CANNOT_TELL, hint=hint)

    def close(self) -> None:
        """Give connections back."""
        self._transport.close()

    def _require_size(self, size: int) -> None:
        if size > self._max_file_size:
            raise Trouble(
                ErrorKind.TOO_LARGE,
                Severity.LASTING,
                f"the file has {size:,} bytes, the limit is {self._max_file_size:,}",
                hint="raise limits.max_file_size if storage takes it (S3: up to 5 GiB a PUT), or dismiss",
            )

    def _entity_id(self, reply: Reply, target: Key) -> str:
        kind, value = target
        field = LOOKED_UP[kind]
        entity_id = id_text(reply.at(field, "entity", "id"))
        if entity_id is not None:
            return entity_id
        if reply.errors or field not in reply.data:
            raise self._graphql.trouble_of(reply, field)
        missing = (
            f"ION knows no {kind} {value}" if reply.at(field) is None else f"{kind} {value} has no entity id"
        )
        raise Trouble(
            ErrorKind.UNKNOWN_TARGET, Severity.LASTING, missing, hint=HINTS[ErrorKind.UNKNOWN_TARGET]
        )

    def _ticket(self, reply: Reply, entity_id: str) -> Ticket:
        url, s3_key = reply.at(_URL, "uploadUrl"), reply.at(_URL, "s3Key")
        content_type = reply.at(_URL, "contentType") or ""
        if not (isinstance(url, str) and isinstance(s3_key, str) and _is_header(content_type)):
            raise self._graphql.trouble_of(reply, _URL)
        facts = {"s3_key": s3_key, "content_type": content_type, "entity_id": entity_id}
        return Ticket(url=url, content_type=content_type, facts=facts)

    def _not_registered(self, reply: Reply, upload: Upload) -> Trouble:
        trouble = self._graphql.trouble_of(reply, "createFileAttachment", final=True)
        target = _target(upload)
        if trouble.kind is ErrorKind.UNKNOWN_TARGET and target[0] in LOOKED_UP:
            self._entities.forget(target)
            trouble.restart = True  # the receipt holds the wrong entity id: only `open` can look it up anew
        return trouble


def _is_header(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _target(upload: Upload) -> Key:
    known = [(kind, value) for kind, value in upload.target.items() if kind in LOOKED_UP or kind == "entity"]
    if len(known) != 1 or len(upload.target) != 1:
        raise Trouble(
            ErrorKind.CONFIG,
            Severity.LASTING,
            f"ION has no target of {', '.join(sorted(upload.target)) or 'nothing'}",
            hint=f"name exactly one of {', '.join([*LOOKED_UP, 'entity'])} as the rule's target",
        )
    return known[0]
