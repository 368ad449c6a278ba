"""`SqliteLedger`: the promises of `core.protocols.Ledger`, each kept by one function beside this module.

Everything that writes runs in the writer's thread, many callers in one transaction; reads borrow a
connection of their own. Safe for any number of threads, and for other processes beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from sqlite3 import Connection
from typing import Self

from attachd.core.folder_ledger import KnownFiles
from attachd.core.protocols import Change, NewVersion, Place, Receipt
from attachd.core.replanning import Judgement
from attachd.errors import AttachdError
from attachd.ledger import (
    changes,
    claims,
    files,
    folders,
    followers,
    lost_time,
    persons,
    replans,
    retries,
    rows,
    tenants,
    thinning,
)
from attachd.ledger.afters import Afters
from attachd.ledger.connection import open_to_write
from attachd.ledger.persons import Word, WordOutcome
from attachd.ledger.readers import ReadPool
from attachd.ledger.replans import ReplanOutcome, UndeliveredFile
from attachd.ledger.retries import RetryOutcome
from attachd.ledger.writer import Writer
from attachd.model import Delivery, FileVersion, FolderRecord, Signs, State, Tenant, Withheld


class SqliteLedger:
    """The memory of attachd in one SQLite file. Any method raises `LedgerError` where the file fails it.

    `afters` is the part about after-actions.
    """

    def __init__(self, writer: Writer, readers: ReadPool) -> None:
        self._writer = writer
        self._readers = readers
        self.afters = Afters(writer, readers)

    @classmethod
    def open(cls, path: str, *, create: bool) -> Self:
        """Open a ledger and bring it up to date; with `create`, make one where there is none.

        Raises:
            LedgerError: it is missing, is no ledger, or cannot be opened.
            LedgerTooNew: a newer attachd wrote it.
        """
        connection = open_to_write(path, create=create)
        return cls(Writer(connection, path), ReadPool(path))

    def close(self) -> None:
        """Write what was handed in, then close every connection."""
        self._readers.close()
        self._writer.close()

    @property
    def commits(self) -> int:
        """Transactions made durable since this ledger was opened."""
        return self._writer.commits

    @property
    def trouble(self) -> AttachdError | None:
        """Say why nothing could be written at last; None while all is well."""
        return self._writer.trouble

    def begin_after_loss(self, former: str, at: datetime) -> int | None:
        """Hold what is in doubt where the ledger was put back from a copy, before a run begins.

        `former` is the run that had the lock last, "" where nobody knows. Give how many deliveries are held,
        or None where nothing was put back.
        """

        def begin(connection: Connection) -> int | None:
            lost_time.notice(connection, former)
            return lost_time.end(connection, at)

        return self._writer.run(begin)

    def begin_run(self, pid: int, host: str, at: datetime) -> str:
        """Record a start of the service and give its name, such as `run 7`."""

        def begin(connection: Connection) -> str:
            made = connection.execute(
                "INSERT INTO runs (pid, host, started_at) VALUES (?, ?, ?) RETURNING id",
                (pid, host, rows.to_text(at)),
            ).fetchone()
            return f"run {made['id']}"

        return self._writer.run(begin)

    # --- folders and files ----------------------------------------------------------------------------------

    def open_folder(self, path: str, filesystem: str, at: datetime) -> FolderRecord:
        """Give the folder's record; a folder seen for the first time gets one, first started `at`."""
        return self._writer.run(lambda connection: folders.open_folder(connection, path, filesystem, at))

    def known(self, folder_id: int, directory: str) -> KnownFiles | None:
        """Give (name, size, mtime_ns, ctime_ns) of each file of a directory, as of its newest version.

        One whose newest version is `gone` is not known.
        None: they are too many to be held at once; `known_among` tells of some at a time.
        """
        with self._readers.borrow() as connection:
            return folders.known(connection, folder_id, directory)

    def known_among(self, folder_id: int, directory: str, names: Sequence[str]) -> KnownFiles:
        """Give the same of some names in one directory."""
        with self._readers.borrow() as connection:
            return folders.known_among(connection, folder_id, directory, names)

    def pending_paths(self, folder_id: int) -> Iterator[str]:
        """Stream the paths whose absence would matter; no read stays open between two of them."""
        return folders.pending_paths(self._readers, folder_id)

    def noted_paths(self, folder_id: int) -> Iterator[str]:
        """Stream the paths of unmatched and parked files; no read stays open between two of them."""
        return folders.noted_paths(self._readers, folder_id)

    def parked_paths(self, folder_id: int) -> Iterator[str]:
        """Stream the paths of parked files; no read stays open between two of them."""
        return folders.parked_paths(self._readers, folder_id)

    def record_existing(self, folder_id: int, files_there: Sequence[tuple[str, Signs]], at: datetime) -> None:
        """Record files that lay there before the first start, in one transaction."""
        self._writer.run(lambda connection: files.record_existing(connection, folder_id, files_there, at))

    def finish_first_scan(self, folder_id: int) -> None:
        """Note that the folder's first scan is complete."""
        self._writer.run(lambda connection: folders.finish_first_scan(connection, folder_id))

    def note_filesystem(self, folder_id: int, filesystem: str) -> None:
        """Remember another file system than the one that the folder was first seen on."""
        self._writer.run(lambda connection: folders.note_filesystem(connection, folder_id, filesystem))

    def latest(self, folder_id: int, path: str) -> FileVersion | None:
        """Give the newest version known at a path, a `gone` one too, or None."""
        with self._readers.borrow() as connection:
            return files.latest(connection, folder_id, path)

    def record(self, new: NewVersion, at: datetime) -> Sequence[int]:
        """Write what became of a settled file and give the ids of its new deliveries."""
        return self._writer.run(lambda connection: files.record(connection, new, at))

    def record_all(self, new: Sequence[NewVersion], at: datetime) -> Sequence[Sequence[int]]:
        """Do as `record` for files at different paths: all of them in one transaction, or none."""
        return self._writer.run(lambda connection: [files.record(connection, each, at) for each in new])

    def same_bytes(self, folder_id: int, path: str, signs: Signs, sha256: str, at: datetime) -> bool:
        """Note that only the signs of the newest version changed; its stuck deliveries get another try.

        False, and nothing written, where the newest version is another one by now.
        """
        return self._writer.run(
            lambda connection: files.same_bytes(connection, folder_id, path, signs, sha256, at)
        )

    def gone(self, folder_id: int, path: str, at: datetime) -> None:
        """Note that a path is gone."""
        self._writer.run(lambda connection: files.gone(connection, folder_id, path, at))

    def newer_version_exists(self, delivery: Delivery) -> bool:
        """Say whether the delivery's path has a newer version by now."""
        about = (delivery.folder_id, *rows.split(delivery.path), delivery.version)
        with self._readers.borrow() as connection:
            return connection.execute(changes.NEWER, about).fetchone() is not None

    # --- deliveries -----------------------------------------------------------------------------------------

    def claim(
        self,
        destination: str,
        run: str,
        at: datetime,
        limit: int,
        *,
        withheld: Withheld | None = None,
        due: bool = True,
        latest: datetime | None = None,
    ) -> Sequence[Delivery]:
        """Make waiting deliveries that are `due` ready, and at most `limit` ready ones active, oldest first.

        What waits, or became ready, beyond `latest` was given its time by a wrong clock.
        """

        def claim(connection: Connection) -> Sequence[Delivery]:
            if due:
                claims.make_due_ready(connection, destination, run, at, latest)
            return claims.claim(connection, destination, run, at, limit, withheld=withheld or Withheld())

        return self._writer.run(claim)

    def next_due(self, destination: str) -> datetime | None:
        """Give the earliest `next_attempt_at` of a waiting delivery, or None."""
        with self._readers.borrow() as connection:
            return claims.next_due(connection, destination)

    def doubtful(self, destination: str) -> Sequence[Delivery]:
        """Give the deliveries whose last call was never answered, oldest first."""
        with self._readers.borrow() as connection:
            return claims.doubtful(connection, destination)

    def identify(self, delivery: Delivery, sha256: str, at: datetime, by: str) -> Place:
        """Record the hash of an active delivery's file and find its place; FOLLOWS if it is not ours now."""
        return self._writer.run(
            lambda connection: followers.identify(connection, delivery, sha256, at, by), key=delivery.id
        )

    def begin_call(self, delivery: Delivery, call: str) -> None:
        """Note which call is under way, for people to see. Not waited for; a loss of it harms nobody."""
        self._writer.post(lambda connection: claims.begin_call(connection, delivery, call))

    def record_receipt(self, delivery: Delivery, call: str, receipt: Receipt) -> None:
        """Keep what a finished call returned; it answers an intent for that call.

        Not waited for: where it cannot be written, the next waited call for this delivery raises that error.
        """
        self._writer.post(
            lambda connection: claims.record_receipt(connection, delivery, call, receipt), key=delivery.id
        )

    def record_answer(self, delivery: Delivery, call: str, receipt: Receipt) -> None:
        """Keep what a call that must not be repeated returned, and close its intent."""
        self._writer.run(
            lambda connection: claims.record_receipt(connection, delivery, call, receipt), key=delivery.id
        )

    def record_intent(self, delivery: Delivery, call: str) -> bool:
        """Announce a call that must not be repeated blindly. False: not ours any more, do not call."""
        return self._writer.run(
            lambda connection: claims.record_intent(connection, delivery, call), key=delivery.id
        )

    def change(self, delivery: Delivery, change: Change) -> bool:
        """Move a delivery, and its followers, from the state it was read in; False: somebody was faster."""
        return self._writer.run(
            lambda connection: changes.change(connection, delivery, change), key=delivery.id
        )

    def recover(self, run: str, at: datetime) -> Mapping[State, int]:
        """Take over what other runs left `active`: doubtful where an intent is open, ready elsewhere."""
        return self._writer.run(lambda connection: claims.recover(connection, run, at))

    def retry(self, ids: Sequence[int] | None, at: datetime, by: str) -> RetryOutcome:
        """Let deliveries go again: the ones given, or with None every held and waiting one."""
        return self._writer.run(lambda connection: retries.retry(connection, ids, at, by))

    def dismiss(self, ids: Sequence[int], word: Word) -> WordOutcome:
        """Say that held, waiting or vanished deliveries are not needed."""
        return self._writer.run(lambda connection: persons.dismiss(connection, ids, word))

    def resolve(self, delivery_id: int, remote_id: str | None, word: Word) -> WordOutcome:
        """Settle a doubtful or held delivery: attached as `remote_id`, or with None not attached."""
        return self._writer.run(lambda connection: persons.resolve(connection, delivery_id, remote_id, word))

    def send_anew(self, ids: Sequence[int], word: Word) -> WordOutcome:
        """Make a new delivery for each of these attached ones, exempt from the same-bytes check."""
        return self._writer.run(lambda connection: persons.send_anew(connection, ids, word))

    def bind(self, destination: str, tenant: Tenant, at: datetime) -> Tenant | None:
        """Bind a destination's name to a tenant, once and for all; give the other one it is bound to."""
        return self._writer.run(lambda connection: tenants.bind(connection, destination, tenant, at))

    # --- judging anew ---------------------------------------------------------------------------------------

    def folder_records(self) -> Sequence[FolderRecord]:
        """Give every folder that was ever watched."""
        with self._readers.borrow() as connection:
            return folders.all_folders(connection)

    def undelivered(self, folder_id: int) -> Iterator[list[UndeliveredFile]]:
        """Stream a folder's files of which something is not delivered, in pages; no read stays open."""
        return replans.undelivered(self._readers, folder_id)

    def undelivered_again(self, delivery_ids: Sequence[int]) -> list[UndeliveredFile]:
        """Give the files of these deliveries as they stand now."""
        return replans.undelivered_again(self._readers, delivery_ids)

    def unmatched(self, folder_id: int) -> Iterator[list[FileVersion]]:
        """Stream a folder's files that no rule took, in pages."""
        return replans.unmatched(self._readers, folder_id)

    def replan(self, judged: Sequence[tuple[FileVersion, Judgement]], at: datetime, by: str) -> ReplanOutcome:
        """Write what becomes of these files by the rules in force, in one transaction."""
        return self._writer.run(lambda connection: replans.write(connection, judged, at, by))

    def match(self, found: Sequence[NewVersion], at: datetime) -> ReplanOutcome:
        """Record unmatched files that a rule takes now, in one transaction."""
        return self._writer.run(lambda connection: replans.match(connection, found, at))

    def thin(self, before: datetime) -> bool:
        """Thin a batch of what ended before a time; False where none is left."""
        return self._writer.run(lambda connection: thinning.thin(connection, before))

    # --- facts ----------------------------------------------------------------------------------------------

    def save_facts(self, facts: Mapping[str, object], at: datetime) -> None:
        """Keep what the live service says about itself, each value as JSON. Not waited for."""
        now = rows.to_text(at)
        values = [(key, rows.to_json(value), now) for key, value in facts.items()]
        statement = (
            "INSERT INTO facts (key, value, updated_at) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
        )
        self._writer.post(lambda connection: connection.executemany(statement, values).close())
