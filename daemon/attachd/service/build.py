"""The composition root: from settings to wired rooms. The only place that names concrete classes."""

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from attachd.config.secrets import read_secret
from attachd.core.noise import Noise
from attachd.core.protocols import Clock, Destination
from attachd.core.settings import DestinationSettings, FolderSettings, Settings
from attachd.destinations.registry import build as build_destination
from attachd.errors import ConfigError, Problem, UserError
from attachd.folders.local import LocalFiles
from attachd.folders.mounts import filesystem_of
from attachd.folders.watch import FolderWatch
from attachd.ledger.store import SqliteLedger
from attachd.model import FolderRecord
from attachd.pipeline.deliver import Worker
from attachd.pipeline.dispatch import Dispatcher
from attachd.pipeline.doubt import Reconciler
from attachd.pipeline.intake import FolderRules, Intake
from attachd.service.clock import machine_timezone


@dataclass(slots=True, kw_only=True)
class Rooms:
    """Everything that runs, wired. `cut` ends transfers that a stop cannot wait for."""

    intake: Intake = field(init=False)
    watches: dict[int, FolderWatch] = field(default_factory=dict)
    dispatchers: dict[str, Dispatcher] = field(default_factory=dict)
    destinations: dict[str, Destination] = field(default_factory=dict)
    cut: threading.Event = field(default_factory=threading.Event)

    def look(self, folder_id: int, path: str) -> None:
        """Ask a folder to look at a path again."""
        if folder_id in self.watches:
            self.watches[folder_id].hint(path)

    def in_place(self, folder_id: int) -> bool:
        """Say whether a folder is there and the same as ever: while it is not, no file is gone."""
        watch = self.watches.get(folder_id)
        return watch is not None and watch.is_in_place()

    def wake(self, destination: str) -> None:
        """Tell a destination's claim loop that there may be something to do."""
        if destination in self.dispatchers:
            self.dispatchers[destination].wake()

    def failures(self) -> list[tuple[str, BaseException]]:
        """Give the threads that died, by name, with what they died of."""
        parts: dict[str, BaseException | None] = {"intake": self.intake.failure}
        parts |= {f"destination {name}": each.failure for name, each in self.dispatchers.items()}
        parts |= {f"folder {number}": each.failure for number, each in self.watches.items()}
        return [(name, failure) for name, failure in parts.items() if failure is not None]

    def folders_out(self) -> tuple[int, ...]:
        """Give the folders whose deliveries must wait."""
        return tuple(number for number, watch in self.watches.items() if watch.health().is_out)


def read_tokens(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Read every destination's secret.

    Raises:
        ConfigError: some cannot be had; names all of them.
    """
    tokens: dict[str, str] = {}
    problems = []
    for name, destination in settings.destinations.items():
        try:
            tokens[name] = read_secret(destination.token, environ)
        except UserError as error:
            path = f"destinations.{name}.token"
            token = destination.token
            problems.append(Problem(token.line, token.column, path, what=error.message, hint=error.hint))
    if problems:
        raise ConfigError(settings.file, problems)
    return tokens


def build(
    settings: Settings, ledger: SqliteLedger, tokens: Mapping[str, str], run: str, clock: Clock
) -> Rooms:
    """Wire the rooms; nothing runs yet."""
    files = LocalFiles()
    records = [_open(folder, ledger, clock) for folder in settings.folders]
    pairs = list(zip(settings.folders, records, strict=True))
    rooms = Rooms()
    rooms.intake = _intake(settings, pairs, rooms, ledger, files, clock)
    for folder, record in pairs:
        rooms.watches[record.id] = FolderWatch(
            settings=folder,
            record=record,
            ledger=ledger,
            sink=rooms.intake,
            clock=clock,
            noise=Noise(folder.ignore),
            protected=_protected(settings),
        )
    for name, account in settings.destinations.items():
        rooms.destinations[name] = build_destination(account, _constant(tokens[name]), clock)
        rooms.dispatchers[name] = _dispatcher(account, rooms, ledger, files, run, clock)
    return rooms


def _open(folder: FolderSettings, ledger: SqliteLedger, clock: Clock) -> FolderRecord:
    return ledger.open_folder(folder.path, filesystem_of(folder.path), clock.now())


def _intake(
    settings: Settings,
    pairs: list[tuple[FolderSettings, FolderRecord]],
    rooms: Rooms,
    ledger: SqliteLedger,
    files: LocalFiles,
    clock: Clock,
) -> Intake:
    return Intake(
        ledger=ledger,
        files=files,
        folders={record.id: FolderRules(path=folder.path, rules=folder.rules) for folder, record in pairs},
        clock=clock,
        host=socket.gethostname(),
        timezone=settings.timezone or machine_timezone(),
        wake=rooms.wake,
        look=rooms.look,
    )


def _dispatcher(
    account: DestinationSettings,
    rooms: Rooms,
    ledger: SqliteLedger,
    files: LocalFiles,
    run: str,
    clock: Clock,
) -> Dispatcher:
    destination = rooms.destinations[account.name]
    worker = Worker(
        destination=destination,
        ledger=ledger,
        files=files,
        clock=clock,
        run=run,
        retry=account.retry,
        look=rooms.look,
        in_place=rooms.in_place,
        cut=rooms.cut,
    )
    reconciler = Reconciler(
        destination=destination, ledger=ledger, clock=clock, run=run, on_doubt=account.on_doubt
    )
    return Dispatcher(
        settings=account,
        ledger=ledger,
        worker=worker,
        reconciler=reconciler,
        clock=clock,
        run=run,
        except_folders=rooms.folders_out,
    )


def _protected(settings: Settings) -> tuple[str, ...]:
    """Our own files, which must never be uploaded when they lie in a watched folder."""
    secrets = [account.token for account in settings.destinations.values()]
    beside = (settings.ledger + suffix for suffix in ("", "-wal", "-shm", "-journal", ".lock", ".backup"))
    return (settings.file, *beside, *(ref.value for ref in secrets if ref.source == "file"))


def _constant(token: str) -> Callable[[], str]:
    return lambda: token
