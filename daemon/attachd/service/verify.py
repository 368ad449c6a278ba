"""What `attachd verify` finds out: for each file the disk, the ledger and the destination.

The ledger says what was attached (`recorded`); the destination is asked for each attachment by its id
(`present`), and its bytes are fetched and hashed (`content`). Only reads, one file after the other, in
memory that does not grow with their number or size.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from attachd.core.accounts import Account, RemoteFile
from attachd.core.states import ATTACHED, PROBLEMS
from attachd.errors import Trouble
from attachd.folders.comparing import OnDisk, compare
from attachd.ledger.evidence import Proof, Recorded
from attachd.model import Delivery, ErrorKind, Severity, Standing, State

_NOT_NEEDED = frozenset({State.DISMISSED, State.SUPERSEDED})


class Level(StrEnum):
    """How far it is proved that a file is attached; the words of the contract."""

    RECORDED = "recorded"
    PRESENT = "present"
    CONTENT = "content"


class Weight(IntEnum):
    """What a finding means for the exit code; the greater one counts."""

    WELL = 0
    PROBLEM = 4
    LATER = 75


_PROOF = tuple(Level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found out about one delivery.

    Attributes:
        delivery: which one.
        remote_id: the attachment of its bytes: its own, or its elder's.
        level: how far it is proved; None where it is not attached.
        why: why not further; "" where nothing is missing.
        weight: what that means.
    """

    delivery: Delivery
    remote_id: str | None
    level: Level | None
    why: str = ""
    weight: Weight = Weight.WELL


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found out about one version of a file; `level` is the least of its needed deliveries."""

    recorded: Recorded
    disk: OnDisk
    checked: tuple[Checked, ...]
    level: Level | None
    why: str
    weight: Weight

    @property
    def safe_to_delete(self) -> bool:
        """Say whether the bytes on disk are at every target, as the destination itself says."""
        return self.disk is OnDisk.SAME and self.level in {Level.PRESENT, Level.CONTENT}


@dataclass(slots=True)
class Verifier:
    """Verifies files against these destinations, by name. Used by one thread.

    `content` asks for the bytes as well. A destination that does not answer is not asked again.
    """

    destinations: Mapping[str, Account]
    content: bool
    _silent: dict[str, str] = field(default_factory=dict)

    def verify(self, files: Iterable[Recorded]) -> Iterator[Verified]:
        """Give what is found out about each file; versions that were replaced undelivered are left out."""
        return (self._one(each) for each in files if not _is_replaced(each))

    def _one(self, recorded: Recorded) -> Verified:
        checked = tuple(self._checked(proof, recorded) for proof in recorded.proofs)
        needed = [each for each in checked if each.delivery.state not in _NOT_NEEDED]
        standing = _without_delivery(recorded)
        disk = self._on_disk(recorded)
        levels = [each.level for each in needed]
        return Verified(
            recorded=recorded,
            disk=disk,
            checked=checked,
            level=_least(levels),
            why=standing or next((each.why for each in [*needed, *checked] if each.why), ""),
            weight=max((_weight(recorded, disk), *(each.weight for each in needed))),
        )

    def _on_disk(self, recorded: Recorded) -> OnDisk:
        if not recorded.newest:
            return OnDisk.REPLACED
        file = recorded.file
        return compare(recorded.folder, file.path, file.signs, file.sha256, read=self.content)

    def _checked(self, proof: Proof, recorded: Recorded) -> Checked:
        delivery = proof.delivery
        if delivery.state not in ATTACHED or proof.attached_by is None:
            weight = _weight_of(delivery.state)
            return Checked(
                delivery=delivery, remote_id=None, level=None, why=_why_not(delivery), weight=weight
            )
        try:
            level, why = self._proved(proof.attached_by, recorded.file.sha256)
            weight = Weight.PROBLEM if why else Weight.WELL
        except Trouble as trouble:
            level, why = Level.RECORDED, self._not_asked(delivery.destination, trouble)
            weight = Weight.PROBLEM if trouble.severity is Severity.LASTING else Weight.LATER
        remote_id = proof.attached_by.remote_id
        return Checked(delivery=delivery, remote_id=remote_id, level=level, why=why, weight=weight)

    def _proved(self, attached: Delivery, sha256: str | None) -> tuple[Level, str]:
        destination = self.destinations.get(attached.destination)
        if destination is None:
            return Level.RECORDED, f"destination {attached.destination} is not in rules.yaml any more"
        if attached.destination in self._silent:
            raise _silent(self._silent[attached.destination])
        found = destination.look_up(attached.remote_id or "")
        fault = _fault_of(found, attached)
        if found is None or fault:
            return Level.RECORDED, fault
        if not self.content:
            return Level.PRESENT, ""
        fault = _content_fault(destination, found, sha256)
        return (Level.PRESENT, fault) if fault else (Level.CONTENT, "")

    def _not_asked(self, name: str, trouble: Trouble) -> str:
        if trouble.unreachable or trouble.severity is Severity.REFUSED:
            self._silent.setdefault(name, trouble.message)
        return trouble.message


def _silent(message: str) -> Trouble:
    from_before = f"not asked, because it did not answer before: {message}"
    return Trouble(ErrorKind.NETWORK, Severity.PASSING, from_before)


def _fault_of(found: RemoteFile | None, attached: Delivery) -> str:
    """Say what is wrong with an attachment, or "": it must exist, with the name and entity it was given."""
    about = f"attachment {attached.remote_id}"
    if found is None:
        return f"{attached.destination} has no {about}: it was removed there, or belongs to another account"
    expected = attached.receipts.get("create", {}).get("filename", attached.filename)  # reused: by its first
    if found.filename != expected:
        return f"{about} is called {found.filename}, not {expected}"
    entity_id = attached.receipts.get("put", {}).get("entity_id") or attached.target.get("entity")
    if entity_id and found.entity_id and found.entity_id != entity_id:
        return f"{about} hangs on entity {found.entity_id}, not on {entity_id}"
    return ""


def _content_fault(destination: Account, found: RemoteFile, sha256: str | None) -> str:
    if sha256 is None:
        return "its bytes were never read here, so there is nothing to compare with"
    if not found.download_url:
        return "the destination gave out no address to fetch it from"
    digest = hashlib.sha256()
    for block in destination.fetch(found.download_url):
        digest.update(block)
    return "" if digest.hexdigest() == sha256 else "its bytes at the destination are other ones"


def _is_replaced(recorded: Recorded) -> bool:
    """Say whether a newer version took over before anything of this one was delivered."""
    states = {proof.delivery.state for proof in recorded.proofs}
    return not recorded.newest and states <= {State.SUPERSEDED}


def _least(levels: list[Level | None]) -> Level | None:
    proved = [level for level in levels if level is not None]
    return min(proved, key=_PROOF.index) if proved and len(proved) == len(levels) else None


def _without_delivery(recorded: Recorded) -> str:
    standing = recorded.file.standing
    if standing in {Standing.UNMATCHED, Standing.PARKED}:
        return f"{standing}: {recorded.reason.message if recorded.reason else 'no delivery'}"
    return "existing: it lay there before the first start" if standing is Standing.EXISTING else ""


def _weight(recorded: Recorded, disk: OnDisk) -> Weight:
    if disk in {OnDisk.CHANGED, OnDisk.UNREADABLE}:
        return Weight.LATER  # newer bytes, which attachd has still to see, or nobody can tell
    problem = recorded.file.standing in {Standing.UNMATCHED, Standing.PARKED}
    return Weight.PROBLEM if problem else Weight.WELL


def _weight_of(state: State) -> Weight:
    return Weight.PROBLEM if state in PROBLEMS else Weight.LATER


def _why_not(delivery: Delivery) -> str:
    error = f": {delivery.error.message}" if delivery.error else ""
    return f"{delivery.state}{error}"
