"""What a person's questions to a destination need, beside what the pipeline asks of it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from attachd.core.protocols import Destination


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """An attachment as its destination knows it.

    `entity_id` is "" where the destination has no such thing. `download_url` is signed, so it is never
    stored or printed; "" where none was given out.
    """

    filename: str
    entity_id: str
    download_url: str = field(default="", repr=False)


class Account(Destination, Protocol):
    """A destination that can also be asked. Every method raises `Trouble` where it does not answer."""

    def look_up(self, remote_id: str) -> RemoteFile | None:
        """Ask for an attachment by its id; None where there is no such attachment."""
        ...

    def fetch(self, download_url: str) -> Iterator[bytes]:
        """Give the bytes behind a download URL, block by block."""
        ...

    def who(self) -> str:
        """Say whom the token belongs to, as the destination tells it; "" where it does not."""
        ...

    def unfit(self, targets: Collection[Collection[str]]) -> Iterator[str]:
        """Say what the other side's schema lacks for targets with these keys, everything at once."""
        ...
