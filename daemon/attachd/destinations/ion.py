"""ION: a signed upload URL and the entity id in one query, a PUT to storage, and the registration.

After the vendor's page "Upload files and attachments" (docs.firstresonance.io, guides/file-upload). Three
things on it decide whether a file arrives: the content type is sent exactly as it was given, the ETag is
passed on, and the registration names the entity id and not the object's own id.
"""

from collections.abc import Collection, Iterator, Mapping

from attachd.core.accounts import RemoteFile
from attachd.core.protocols import Answer, Body, OpenFile, Receipt, Reconciled, Ticket, Upload
from attachd.core.settings import DestinationSettings
from attachd.destinations.attachments import Attachments
from attachd.destinations.entities import EntityIds, Key
from attachd.destinations.graphql import Hints, Reply, Whose, id_text
from attachd.destinations.introspection import Sent, unfit
from attachd.destinations.linked import Given, Linked
from attachd.destinations.listing import Found, verdict
from attachd.destinations.lookups import Lookups
from attachd.destinations.redaction import quoted
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

LOOK_UP = "query LookUp($id: ID!) { fileAttachment(id: $id) { id filename entityId downloadUrl } }"
"""Asks for an attachment by its id."""

WHOSE = Whose(
    document="query Whose { currentUser { organization { id } } }", path=("currentUser", "organization", "id")
)
"""Asks for the organization, as the vendor's playground page shows it."""

WHO = "query Who { currentUser { name organization { domain } } }"
"""Asks whom the token belongs to, as the vendor's playground page shows it."""

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
    ErrorKind.NETWORK: "check url and proxy in rules.yaml and this machine's network if it stays; attachd "
    "tries again by itself",
    ErrorKind.TLS: "check ca_file in rules.yaml and this machine's clock; attachd tries again by itself",
    ErrorKind.TIMEOUT: "attachd tries again by itself; raise timeouts in rules.yaml if it stays",
    ErrorKind.SERVER: "attachd tries again by itself; ask the operator of ION if it stays",
    ErrorKind.THROTTLED: "attachd tries again by itself; set limits.requests_per_second if it stays",
    ErrorKind.UNKNOWN_OUTCOME: _LOOK_IN_ION,
}
"""What a person can do, by kind of trouble."""


class Ion(Linked):
    """An account at ION. Used by many workers at once; see `attachd.core.protocols.Destination`."""

    def __init__(self, given: Given) -> None:
        super().__init__(given, hints=HINTS, whose=WHOSE)
        settings, monotonic = given.settings, given.clock.monotonic
        self._settings = settings
        self._validate = settings.validate_upload
        self._entities = EntityIds(monotonic)
        self._lookups = Lookups(settings.lookups, self._graphql, monotonic)
        self._attachments = Attachments(self._graphql, settings.doubt, monotonic)

    def final_calls(self, target: Mapping[str, str]) -> tuple[str, ...]:
        """Give the registration: one call, whatever the target."""
        del target
        return ("register",)

    def describe(self, upload: Upload, file: OpenFile) -> Receipt:
        """Say nothing of the bytes: ION asks for none of it, so they are not read."""
        del upload, file
        return {}

    def open(self, upload: Upload) -> Ticket:
        """Ask for an upload URL and, unless it is known, for the target's entity id, in one query.

        A lookup's queries come before it.

        Raises:
            Trouble: the file is too large, the target is not there, or ION did not answer.
        """
        self.admit(upload.size)
        target = _target(upload)
        entity_id = self._known_entity(upload, target)
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
        """Look for the upload's storage key among the attachments of its entity, where ION can list them.

        Raises:
            Trouble: ION cannot be asked right now, or may still be at work on the call.
        """
        del call
        put = receipts.get("put", {})
        entity_id, s3_key = put.get("entity_id", ""), put.get("s3_key", "")
        hint = _where_to_look(upload, entity_id)
        try:
            found = self._attachments.of(entity_id, s3_key) if entity_id and s3_key else None
        except Trouble as trouble:
            if trouble.severity is not Severity.LASTING:
                raise
            return Reconciled(answer=Answer.CANNOT_TELL, hint=f"{hint} (asked for a list, {trouble.message})")
        return _reconciled(found, hint)

    def look_up(self, remote_id: str) -> RemoteFile | None:
        """Ask for an attachment by its id; None where ION has none of this id.

        Raises:
            Trouble: ION did not answer, or refused.
        """
        reply = self._graphql.call(LOOK_UP, {"id": remote_id})
        filename = reply.at("fileAttachment", "filename")
        if isinstance(filename, str):  # the URL is a resolver of its own, and may fail beside it
            return RemoteFile(
                filename=filename,
                entity_id=id_text(reply.at("fileAttachment", "entityId")) or "",
                download_url=str(reply.at("fileAttachment", "downloadUrl") or ""),
            )
        self._require_absent(reply, "fileAttachment")
        return None

    def who(self) -> str:
        """Say whose token it is and of which organization; "" where this ION does not tell.

        Raises:
            Trouble: ION did not answer, or refused the token.
        """
        reply = self._graphql.call(WHO, {})
        user = self._name_in(reply, "currentUser", ErrorKind.REJECTED)
        parts = (user, reply.at("currentUser", "organization", "domain"))
        return " at ".join(quoted(str(part)) for part in parts if part)

    def unfit(self, targets: Collection[Collection[str]]) -> Iterator[str]:
        """Say what ION's schema lacks for what attachd would send to targets with these keys.

        Raises:
            Trouble: ION does not describe its schema.
        """
        kinds = frozenset[str]().union(*targets)
        return unfit(self._graphql, documents_of(self._settings, kinds))

    def _known_entity(self, upload: Upload, target: Key) -> str | None:
        kind, value = target
        if kind == "entity":
            return value
        return self._lookups.entity_of(upload.target) if kind == "lookup" else self._entities.get(target)

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
        if trouble.kind is ErrorKind.UNKNOWN_TARGET and target[0] != "entity":
            self._entities.forget(target)
            self._lookups.forget(upload.target)
            trouble.restart = True  # the receipt holds the wrong entity id: only `open` can look it up anew
        return trouble


def _where_to_look(upload: Upload, entity_id: str) -> str:
    where = " ".join(f"{kind} {value}" for kind, value in upload.target.items())
    if entity_id and "entity" not in upload.target:
        where = f"{where} (entity {entity_id})"
    return f"look for {upload.filename} in the attachments panel of {where} in ION: {_LOOK_IN_ION}"


def _reconciled(found: Found | None, hint: str) -> Reconciled:
    answer = verdict(found) if found else Answer.CANNOT_TELL
    ids = sorted(found.ids) if found else []
    if answer is Answer.TOOK_EFFECT:
        return Reconciled(answer=answer, receipt={"remote_id": ids[0]})
    if len(ids) > 1:
        hint = (
            f"ION lists the upload {len(ids)} times, as attachments {', '.join(ids)}: delete all but one "
            "there, then `attachd resolve ID --attached REMOTE_ID`"
        )
    return Reconciled(answer=answer, hint=hint)


def _is_header(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _target(upload: Upload) -> Key:
    if "lookup" in upload.target:
        return "lookup", upload.target["lookup"]
    known = [(kind, value) for kind, value in upload.target.items() if kind in LOOKED_UP or kind == "entity"]
    if len(known) != 1 or len(upload.target) != 1:
        raise Trouble(
            ErrorKind.CONFIG,
            Severity.LASTING,
            f"ION has no target of {', '.join(sorted(upload.target)) or 'nothing'}",
            hint=f"name exactly one of {', '.join([*LOOKED_UP, 'entity', 'lookup'])} as the rule's target",
        )
    return known[0]


def documents_of(settings: DestinationSettings, kinds: Collection[str]) -> list[Sent]:
    """Give every document that would be sent to ION for targets of these kinds."""
    upload = dict.fromkeys(("filename", "s3Key", "s3Etag", "entityId", "validateUpload"), "")
    documents = [Sent(purpose="open", document=OPEN)]
    documents += [
        Sent(purpose=f"open for {kind}", document=OPEN_AND_LOOK_UP[kind])
        for kind in sorted(kinds)
        if kind in OPEN_AND_LOOK_UP
    ]
    documents.append(Sent(purpose="register", document=REGISTER, variables={"input": upload}))
    documents.append(Sent(purpose="verify", document=LOOK_UP))
    documents += [
        Sent(purpose=f"lookups.{name}[{number}]", document=query.document)
        for name, lookup in sorted(settings.lookups.items())
        for number, query in enumerate(lookup.queries)
    ]
    if settings.doubt is not None:
        documents.append(Sent(purpose="doubt", document=settings.doubt.query))
    return documents
