"""A stand-in for any destination that says yes to everything and sends nothing: for `run --dry-run`."""

from collections.abc import Collection, Iterator, Mapping
from threading import Event

from attachd.core.accounts import RemoteFile
from attachd.core.protocols import (
    Answer,
    Bind,
    Body,
    Clock,
    Receipt,
    Reconciled,
    Ticket,
    Upload,
)
from attachd.core.settings import DestinationSettings
from attachd.destinations.connections import BLOCK
from attachd.destinations.limits import require_size
from attachd.destinations.signin import TokenSource

REMOTE_ID = "not sent"
"""Stands in the rehearsal's ledger for the id of the attachment."""


class Rehearsal:
    """Takes the place of a destination. Used by many workers at once, has no state.

    The arguments are those of every destination; no token is asked for.
    """

    final_calls: tuple[str, ...] = ("register",)

    def __init__(
        self,
        settings: DestinationSettings,
        token: TokenSource,
        clock: Clock,
        *,
        bind: Bind | None = None,
        stopped: Event | None = None,
    ) -> None:
        del token, clock, bind, stopped
        self.name = settings.name
        self._max_file_size = settings.max_file_size

    def admit(self, size: int) -> None:
        """Refuse what is too large, as the real one does."""
        require_size(size, self._max_file_size)

    def open(self, upload: Upload) -> Ticket:
        """Give leave."""
        self.admit(upload.size)
        return Ticket(url="", content_type="")

    def put(self, ticket: Ticket, upload: Upload, body: Body) -> Receipt:
        """Read the body to its end."""
        del ticket, upload
        while body.read(BLOCK):
            pass
        return {}

    def complete(self, call: str, upload: Upload, receipts: Mapping[str, Receipt]) -> Receipt:
        """Say that it is attached."""
        del call, upload, receipts
        return {"remote_id": REMOTE_ID}

    def reconcile(self, call: str, upload: Upload, receipts: Mapping[str, Receipt]) -> Reconciled:
        """Say that nobody can tell: the real one would be asked."""
        del upload, receipts
        hint = f"attachd would ask the destination whether `{call}` took effect"
        return Reconciled(answer=Answer.CANNOT_TELL, hint=hint)

    def look_up(self, remote_id: str) -> RemoteFile | None:
        """Know no attachment."""
        del remote_id
        return None

    def fetch(self, download_url: str) -> Iterator[bytes]:
        """Give no bytes."""
        del download_url
        return iter(())

    def who(self) -> str:
        """Tell nothing."""
        return ""

    def unfit(self, kinds: Collection[str]) -> Iterator[str]:
        """Find no fault."""
        del kinds
        return iter(())

    def close(self) -> None:
        """Give back nothing: there are no connections."""
