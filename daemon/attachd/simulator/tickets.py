"""Upload tickets: what a client must send to storage, and where, for a PUT and for a form.

The headers of a PUT after the vendor's sample (`Content-Type`, `x-amz-acl`), with two more that S3 would hold
the client to. A form's fields are those of S3's policy; the `@file` entry stands last in every second ticket
and in the middle of the others, since no page promises a place. A form's headers name `multipart/form-data`
without a boundary, beside one that only serves to be sent back.
"""

from collections.abc import Sequence

from attachd.simulator import signing, sigv4
from attachd.simulator.glue_memory import Ticket, Wanted
from attachd.simulator.glue_schema import Manner
from attachd.simulator.outside import Outside
from attachd.simulator.world import World

FILE = "@file"
"""Stands where the bytes belong."""

FORM_PATH = "/storage/form/"
"""Where the simulator's own storage takes forms; the id of the ticket follows."""

_OWN_BUCKET = "storage"


class Tickets:
    """Makes the tickets of one simulator's Glue.

    Args:
        base_url: where this simulator's storage is reached.
        outside: the storage behind it; None for the simulator's own.
        lifetime: seconds for which a ticket serves.
    """

    def __init__(
        self, world: World, manner: Manner, *, base_url: str, outside: Outside | None, lifetime: int
    ) -> None:
        self._world = world
        self._manner = manner
        self._base_url = base_url
        self._outside = outside
        self._lifetime = lifetime

    def issue(self, wanted: Wanted) -> Ticket:
        """Make a ticket and have it remembered."""
        ticket_id, key = self._world.glue.next_id("upl"), self._world.issue(wanted.name, in_key=False)
        make = self._put if self._manner.upload == "put" else self._form
        ticket = make(ticket_id, key, wanted)
        self._world.glue.issue(ticket)
        return ticket

    def download_url(self, key: str) -> str:
        """Give a URL that fetches an object."""
        return self._url(signing.Subject(method="GET", key=key))

    def _put(self, ticket_id: str, key: str, wanted: Wanted) -> Ticket:
        headers = (
            ("Content-Type", wanted.content_type),
            ("Content-MD5", wanted.content_md5),
            ("x-amz-acl", "private"),
            ("x-amz-meta-ticket", ticket_id),
        )
        subject = signing.Subject(
            method="PUT",
            key=key,
            content_type=wanted.content_type,
            headers=tuple((name.lower(), value) for name, value in headers[1:]),
        )
        return Ticket(
            id=ticket_id,
            wanted=wanted,
            key=key,
            url=self._url(subject),
            headers=headers,
            form=None,
            ends_at=self._world.clock() + self._lifetime,
        )

    def _form(self, ticket_id: str, key: str, wanted: Wanted) -> Ticket:
        fields = (
            ("key", key),
            ("Content-Type", wanted.content_type),
            ("success_action_status", str(self._manner.success)),
            ("x-amz-meta-ticket", ticket_id),
        )
        own_url = f"{self._base_url}{FORM_PATH}{ticket_id}"
        now = self._world.clock()
        return Ticket(
            id=ticket_id,
            wanted=wanted,
            key=key,
            url=self._outside.form_url if self._outside else own_url,
            headers=(("Content-Type", "multipart/form-data"), ("X-Upload-Ticket", ticket_id)),
            form=self._with_file(self._signed(fields, wanted.length, now), ticket_id),
            ends_at=now + self._lifetime,
        )

    def _signed(
        self, fields: Sequence[tuple[str, str]], length: int, now: float
    ) -> tuple[tuple[str, str], ...]:
        bucket = self._outside.bucket if self._outside else _OWN_BUCKET
        own = sigv4.Signer(access_key=signing.ACCESS_KEY_ID, secret_key=self._world.secret.hex())
        policy = sigv4.Policy(bucket=bucket, length=length, fields=fields)
        signer = self._outside.signer if self._outside else own
        return sigv4.form_fields(signer, policy, now=now, lifetime=self._lifetime)

    def _with_file(self, fields: tuple[tuple[str, str], ...], ticket_id: str) -> tuple[tuple[str, str], ...]:
        is_last = int(ticket_id.rpartition("_")[2]) % 2 == 0
        place = len(fields) if is_last else len(fields) // 2
        return (*fields[:place], (self._manner.file_field, FILE), *fields[place:])

    def _url(self, subject: signing.Subject) -> str:
        now = self._world.clock()
        if self._outside is not None:
            return self._outside.url(subject, now=now, lifetime=self._lifetime)
        path = signing.signed_path(self._world.secret, subject, now=now, lifetime=self._lifetime)
        return self._base_url + path
