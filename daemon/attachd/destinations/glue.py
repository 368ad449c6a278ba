"""Glue: an upload ticket, the bytes to storage by PUT or in a form, the file made of them, and a message.

After the vendor's pages (docs.glue.ai, developers/graphql-api). Glue knows bytes by their MD5: where it has
them already, it answers with that file instead of a ticket, and nothing is uploaded.
"""

import hashlib
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping
from secrets import token_hex
from typing import Any

from attachd.core.accounts import RemoteFile
from attachd.core.protocols import Answer, Body, OpenFile, Receipt, Reconciled, Ticket, Upload
from attachd.destinations.absence import Absence
from attachd.destinations.connections import BLOCK
from attachd.destinations.file_metadata import metadata, pixels
from attachd.destinations.forms import Form
from attachd.destinations.glue_answers import about_ticket, known_file, remote_file, ticket_of
from attachd.destinations.glue_documents import (
    CREATE,
    LOOK_UP,
    LOOK_UP_MESSAGE,
    OPEN,
    WHO,
    file_documents,
)
from attachd.destinations.graphql import Hints, Whose, id_text
from attachd.destinations.introspection import unfit
from attachd.destinations.linked import Given, Linked
from attachd.destinations.media_types import media_type
from attachd.destinations.messages import Messages
from attachd.destinations.pictures import measure
from attachd.destinations.redaction import quoted
from attachd.destinations.schema import Schema
from attachd.errors import FileChanged, InvariantBroken, Trouble
from attachd.model import ErrorKind, Severity

_LOOK_IN_GLUE = (
    "look in Glue for the file; then `attachd resolve ID --attached REMOTE_ID`, or "
    "`attachd resolve ID --not-attached` to have it sent again"
)
HINTS: Hints = {
    ErrorKind.AUTH: "check the token, or client_id, client_secret and extra under oauth in rules.yaml: the "
    "application must be enabled for this workspace; attachd tries again by itself once it is accepted",
    ErrorKind.PERMISSION: "check the scopes of the application (threads.messages:write) and that it may see "
    "the thread or group, as a member of it where that is needed; then retry",
    ErrorKind.UNKNOWN_TARGET: "check the ids in the rule's target and that the application can see what they "
    "belong to; then retry",
    ErrorKind.INTEGRITY: "Glue does not find the uploaded bytes; attachd sends the file once more by itself",
    ErrorKind.REJECTED: "check url in rules.yaml, and with `attachd check --online` whether this Glue takes "
    "what attachd sends; then retry",
    ErrorKind.CONFIG: "check url and proxy in rules.yaml; attachd tries again by itself",
    ErrorKind.NETWORK: "check url and proxy in rules.yaml and this machine's network if it stays; attachd "
    "tries again by itself",
    ErrorKind.TLS: "check ca_file in rules.yaml and this machine's clock; attachd tries again by itself",
    ErrorKind.TIMEOUT: "attachd tries again by itself; raise timeouts in rules.yaml if it stays",
    ErrorKind.SERVER: "attachd tries again by itself; ask Glue's support if it stays",
    ErrorKind.THROTTLED: "attachd tries again by itself; set limits.requests_per_second if it stays",
    ErrorKind.UNKNOWN_OUTCOME: _LOOK_IN_GLUE,
}
"""What a person can do, by kind of trouble."""


class Glue(Linked):
    """An account at Glue. Used by many workers at once; see `attachd.core.protocols.Destination`."""

    def __init__(self, given: Given) -> None:
        oauth = given.settings.oauth
        # No page shows a question for a token's workspace; a token had by OAuth is of the `subject`.
        self._workspace = dict(oauth.extra).get("subject") if oauth else None
        super().__init__(given, hints=HINTS, whose=Whose(known=self._workspace))
        self._stopped = given.stopped
        self._schema = Schema(self._graphql)
        self._messages = Messages(self._graphql, self._schema)
        self._absence = Absence(given.clock.monotonic)

    def final_calls(self, target: Mapping[str, str]) -> tuple[str, ...]:
        """Give the making of the file and, where the target has one, the message."""
        return ("create", "message") if "message" in target else ("create",)

    def describe(self, upload: Upload, file: OpenFile) -> Receipt:
        """Give `content_md5` (base64 of the raw digest) and what can be known of a picture.

        Raises:
            FileChanged: it has other bytes than those whose SHA-256 is known.
            FileUnreadable: the system refuses to go on reading.
            StopRequested: the service stops.
        """
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        while block := file.read(BLOCK):
            md5.update(block)
            sha256.update(block)
        if sha256.hexdigest() != upload.sha256:
            raise FileChanged("the file changed while it was read")
        content_md5 = b64encode(md5.digest()).decode()
        return {"content_md5": content_md5, **measure(file, upload.filename, stopped=self._stopped)}

    def open(self, upload: Upload) -> Ticket:
        """Ask for a ticket. Where Glue has the bytes already, nothing is left to be sent or created.

        Raises:
            Trouble: the file is too large, or Glue refused or did not answer.
        """
        self.admit(upload.size)
        prepared = self._messages.prepare(upload)  # a message that cannot be sent keeps the file here
        facts = {**upload.facts, "content_type": media_type(upload.filename)}
        found = self._ask(upload, facts)
        if isinstance(found, Ticket):
            return found
        receipts = {"put": facts, "create": {**found, **prepared}}
        return Ticket(url="", content_type=facts["content_type"], receipts=receipts)

    def put(self, ticket: Ticket, upload: Upload, body: Body) -> Receipt:
        """Send the bytes; the receipt has `upload_ticket_id` and what was known of them.

        Raises:
            Trouble: storage did not take them, or the ticket cannot be followed.
            FileError: the body could not be read.
        """
        if ticket.form is None:
            self._storage.put_as_told(ticket.url, ticket.headers, body)
        else:
            form = Form(
                fields=ticket.form,
                filename=upload.filename,
                file_type=ticket.content_type,
                boundary=token_hex(16),
            )
            self._storage.post_form(ticket.url, ticket.headers, form, body)
        return ticket.facts

    def complete(self, call: str, upload: Upload, receipts: Mapping[str, Receipt]) -> Receipt:
        """Make the file, or send the message; give its `remote_id`. Must not be repeated blindly.

        Raises:
            Trouble: Glue refused, or nobody knows whether it did it; with `restart` where what was
                uploaded cannot be used.
        """
        if call == "create" and "put" in receipts:
            return self._create(upload, receipts["put"])
        if call == "message" and "create" in receipts:
            return self._messages.send(upload, receipts["create"])
        raise InvariantBroken(f"Glue has no call {call!r} after {sorted(receipts)}")

    def reconcile(self, call: str, upload: Upload, receipts: Mapping[str, Receipt]) -> Reconciled:
        """Ask for a ticket once more, or about the message.

        "If a file with the same MD5 hash already exists in the system, the API returns a complete File
        object", says the page; so a ticket says that there is none, once Glue cannot be at work any more.

        Raises:
            Trouble: Glue cannot be asked right now, or may still be at work on the call.
        """
        if call == "message":
            return self._messages.reconcile(upload, receipts.get("create", {}))
        if "put" not in receipts:  # the ledger was put back from a copy that knows nothing of the calls
            return Reconciled(answer=Answer.CANNOT_TELL, hint=_LOOK_IN_GLUE)
        try:
            found = self._ask(upload, receipts["put"])
            prepared = self._messages.prepare(upload)
        except Trouble as trouble:
            if trouble.severity is not Severity.LASTING:
                raise
            hint = f"{_LOOK_IN_GLUE} (asked for the bytes, {trouble.message})"
            return Reconciled(answer=Answer.CANNOT_TELL, hint=hint)
        key = receipts["put"]["upload_ticket_id"]
        if isinstance(found, Ticket):
            self._absence.require(key, "Glue has no file of these bytes, but may still be at work on it")
            return Reconciled(answer=Answer.DID_NOT)
        self._absence.forget(key)
        return Reconciled(answer=Answer.TOOK_EFFECT, receipt={**found, **prepared})

    def look_up(self, remote_id: str) -> RemoteFile | None:
        """Ask for a file, or for the file of a message, by its id; None where Glue has none of this id.

        Raises:
            Trouble: Glue did not answer, or refused.
        """
        node = self._node(LOOK_UP, remote_id)
        if node is not None and node.get("__typename") != "File":
            message = self._node(LOOK_UP_MESSAGE, remote_id) or {}
            attached = message.get("attachments") or ()
            node = next((each for each in attached if each), None)  # one that is no file is empty
        return remote_file(node) if node else None

    def who(self) -> str:
        """Say who the token is and of which workspace; "" where this Glue does not tell.

        Raises:
            Trouble: Glue did not answer, or refused the token.
        """
        reply = self._graphql.call(WHO, {})
        me = self._name_in(reply, "me", ErrorKind.REJECTED, ErrorKind.PERMISSION)
        return " at ".join(quoted(str(part)) for part in (me, self._workspace) if part)

    def unfit(self, targets: Collection[Collection[str]]) -> Iterator[str]:
        """Say what Glue's schema lacks for what attachd would send to targets with these keys.

        Raises:
            Trouble: Glue does not describe its schema.
        """
        has_messages = any("message" in target for target in targets)
        yield from unfit(self._graphql, file_documents(messages=has_messages))
        yield from self._messages.unfit(targets)

    def _ask(self, upload: Upload, facts: Receipt) -> Ticket | Receipt:
        """Ask for a ticket; give it, or what `create` would have returned where Glue has the bytes."""
        values: dict[str, Any] = {
            "name": upload.filename,
            "contentLength": str(upload.size),
            "contentMD5": facts["content_md5"],
            "contentType": facts["content_type"],
        }
        if size := pixels(facts):
            values["metadata"] = size
        reply = self._graphql.call(OPEN, {"input": values})
        found = known_file(reply, upload) or ticket_of(reply, facts)
        if found is None:
            raise self._graphql.trouble_of(reply, "uploadTicket")
        return found

    def _create(self, upload: Upload, put: Receipt) -> Receipt:
        prepared = self._messages.prepare(upload)
        values = {"uploadTicketID": put["upload_ticket_id"], **metadata(self._schema, put)}
        reply = self._graphql.call(CREATE, {"input": values}, final=True)
        remote_id = id_text(reply.at("createFile", "id"))
        if remote_id is None:
            trouble = about_ticket(self._graphql.trouble_of(reply, "createFile", final=True))
            if trouble.kind is ErrorKind.REJECTED:
                self._schema.forget()
            raise trouble
        return {"remote_id": remote_id, **prepared}

    def _node(self, document: str, remote_id: str) -> Mapping[str, Any] | None:
        reply = self._graphql.call(document, {"id": remote_id})
        node = reply.at("node")
        if isinstance(node, Mapping):
            return node
        self._require_absent(reply, "node")
        return None
