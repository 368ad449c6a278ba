"""What the stand-in remembers: issued keys, stored objects, attachments and how often it was called.

One `World` belongs to one simulator; its condition guards everything in it, and every change wakes those who
wait in `wait_for`. The rules are not here but in `ion`, `glue` and `storage`.
"""

import hashlib
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attachd.simulator.glue_memory import GlueMemory
from attachd.simulator.shelf import Kept
from attachd.simulator.targets import Target
from attachd.simulator.units import Units


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The bytes of one accepted upload, a PUT or a form.

    Attributes:
        path: where they lie; gone once the simulator was stopped.
        etag: what storage calls them, without quotes; the MD5 unless a fault says otherwise.
        at: UTC, ISO 8601.
    """

    s3_key: str
    filename: str
    content_type: str
    path: Path
    size: int
    sha256: str
    md5: str
    etag: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One registered attachment.

    Attributes:
        kind: the kind of object it hangs on, by its query field in ION.
        object_id: that object's own id, which is not the entity id.
        size: bytes; None, like the hashes, where it was registered unvalidated without an object.
        at: UTC, ISO 8601.
    """

    id: int
    filename: str
    entity_id: int
    kind: str
    object_id: int
    s3_key: str
    content_type: str
    size: int | None
    sha256: str | None
    md5: str | None
    at: str


class World:
    """The memory of one simulator, safe to use from all its threads.

    Args:
        seed: makes storage keys and the signing secret the same each time; empty: random ones.
        clock: UNIX time in seconds.

    Attributes:
        units: what it has learned of units, their runs and steps; a reset leaves them.
        glue: what its Glue remembers.
    """

    def __init__(self, *, seed: str, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._seed = seed or secrets.token_hex()
        self.units = Units()
        self._changed = threading.Condition()
        self.glue = GlueMemory(self._changed, self.now)
        self._issued: dict[str, str] = {}
        self._spent: set[str] = set()
        self._stored: dict[str, Stored] = {}
        self._puts: list[Stored] = []
        self._attachments: dict[int, Attachment] = {}
        self._next_attachment_id = 4242
        self._calls: Counter[str] = Counter()

    @property
    def secret(self) -> bytes:
        """Give the key that signs URLs."""
        return hashlib.sha256(f"secret/{self._seed}".encode()).digest()

    def issue(self, filename: str, *, in_key: bool = True) -> str:
        """Make up the storage key for one upload, with the filename in it or not; it is never given twice."""
        with self._changed:
            number = len(self._issued) + 1
            token = hashlib.sha256(f"{self._seed}/{number}".encode()).hexdigest()[:12]
            key = f"uploads/{token}/{filename}" if in_key else f"files/{token}"
            self._issued[key] = filename
            return key

    def spend(self, key: str) -> bool:
        """Use up the upload URL of a key; False where it was used before."""
        with self._changed:
            fresh = key not in self._spent
            self._spent.add(key)
            return fresh

    def filename_of(self, key: str) -> str:
        """Give the filename that a key was issued for, or an empty text."""
        with self._changed:
            return self._issued.get(key, "")

    def keep(self, key: str, content_type: str, kept: Kept) -> Stored:
        """Remember an accepted upload."""
        with self._changed:
            stored = Stored(
                s3_key=key,
                filename=self.filename_of(key),
                content_type=content_type,
                path=kept.path,
                size=kept.size,
                sha256=kept.sha256,
                md5=kept.md5,
                etag=kept.md5,
                at=self.now(),
            )
            self._stored[key] = stored
            self._puts.append(stored)
            self._changed.notify_all()
            return stored

    def retag(self, key: str, etag: str) -> None:
        """Give a stored object another ETag, as storage with encryption does."""
        with self._changed:
            if key in self._stored:
                self._stored[key] = replace(self._stored[key], etag=etag)

    def stored(self, key: str) -> Stored | None:
        """Find a stored object."""
        with self._changed:
            return self._stored.get(key)

    def attach(self, filename: str, target: Target, s3_key: str, content_type: str) -> Attachment:
        """Create an attachment; the same key twice makes two, as ION promises nothing else."""
        with self._changed:
            stored = self._stored.get(s3_key)
            attachment = Attachment(
                id=self._next_attachment_id,
                filename=filename,
                entity_id=target.entity_id,
                kind=target.kind,
                object_id=target.object_id,
                s3_key=s3_key,
                content_type=content_type,
                size=stored.size if stored else None,
                sha256=stored.sha256 if stored else None,
                md5=stored.md5 if stored else None,
                at=self.now(),
            )
            self._attachments[attachment.id] = attachment
            self._next_attachment_id += 1
            self._changed.notify_all()
            return attachment

    def attachment(self, attachment_id: int) -> Attachment | None:
        """Find an attachment by its id."""
        with self._changed:
            return self._attachments.get(attachment_id)

    def count(self, names: Iterable[str]) -> None:
        """Count a call under each of these names."""
        with self._changed:
            self._calls.update(names)
            self._changed.notify_all()

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """Give every attachment in the order of creation."""
        with self._changed:
            return tuple(self._attachments.values())

    @property
    def puts(self) -> tuple[Stored, ...]:
        """Give every accepted upload in the order of completion."""
        with self._changed:
            return tuple(self._puts)

    @property
    def calls(self) -> Counter[str]:
        """Give a copy of the counters."""
        with self._changed:
            return Counter(self._calls)

    def record(self) -> dict[str, Any]:
        """Give attachments, files, messages, uploads and counters as JSON values."""
        with self._changed:
            attachments = [asdict(each) for each in self._attachments.values()]
            puts = [_public(each) for each in self._puts]
            calls = dict(sorted(self._calls.items()))
            return {"attachments": attachments, **self.glue.record(), "puts": puts, "calls": calls}

    def reset(self) -> None:
        """Forget attachments, files, messages, stored objects and counters; ids and keys go on counting."""
        with self._changed:
            self.glue.reset()
            for stored in self._stored.values():
                stored.path.unlink(missing_ok=True)
            self._stored.clear()
            self._puts.clear()
            self._attachments.clear()
            self._calls.clear()
            self._changed.notify_all()

    def wait_for(self, predicate: Callable[[], bool], timeout: float) -> bool:
        """Wait until the predicate holds, at most `timeout` seconds; False where it never did."""
        with self._changed:
            return self._changed.wait_for(predicate, timeout)

    def now(self) -> str:
        """Give the time as ISO 8601 in UTC."""
        return datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="milliseconds")


def _public(stored: Stored) -> dict[str, Any]:
    values = asdict(stored)
    del values["path"]
    return values
