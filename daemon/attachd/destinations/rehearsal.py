"""A stand-in for any destination that says yes to everything and sends nothing: for `run --dry-run`."""

from collections.abc import Collection, Iterator, Mapping

from attachd.core.accounts import RemoteFile
from attachd.core.protocols import Answer, Body, OpenFile, Receipt, Reconciled, Ticket, Upload
from attachd.destinations.connections import BLOCK
from attachd.destinations.limits import require_size
from attachd.destinations.linked import Given

REMOTE_ID = "not sent"
"""Stands in the rehearsal's ledger for the id of the attachment."""


class Rehearsal:
    """Takes the place of a destination; no token is asked for. Used by many workers at once, has no state."""

    def __init__(self, given: Given) -> None:
        self.name = given.settings.name
        self._max_file_size = given.settings.max_file_size

    def final_calls(self, target: Mapping[str, str]) -> tuple[str, ...]:
        """Give one call, which stands for all of them."""
        del target
        return ("register",)

    def admit(self, size: int) -> None:
        """Refuse what is too large, as the real one does."""
        require_size(size, self._max_file_size)

    def describe(self, upload: Upload, file: OpenFile) -> Receipt:
        """Say nothing of the bytes: nobody asks."""
        del upload, file
        return {}

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

    def unfit(self, targets: Collection[Collection[str]]) -> Iterator[str]:
        """Find no fault."""
        del targets
        return iter(())

    def close(self) -> None:
        """Give back nothing: there are no connections."""
