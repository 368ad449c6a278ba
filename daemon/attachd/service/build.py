"""The composition root: from settings to wired rooms. The only place that names concrete classes."""

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from attachd.config.own_files import own_files
from attachd.config.secrets import read_secret, secret_of, secret_path
from attachd.core.afters import AfterAction, PlannedAfter
from attachd.core.noise import Noise
from attachd.core.paths import escape
from attachd.core.protocols import Bind, Clock, Destination
from attachd.core.settings import DestinationSettings, FolderSettings, Settings
from attachd.core.wholeness import WITHIN, Demands
from attachd.destinations.registry import Factory
from attachd.destinations.registry import build as build_destination
from attachd.destinations.signin import FileSecret, FixedSecret, Secret, TokenSource, source_of
from attachd.errors import ConfigError, FileUnreadable, Problem, UserError
from attachd.folders.local import LocalFiles
from attachd.folders.mounts import filesystem_of
from attachd.folders.mover import FolderMover
from attachd.folders.watch import FolderWatch
from attachd.ledger.store import SqliteLedger
from attachd.model import FolderRecord, Withheld
from attachd.pipeline.deliver import Worker
from attachd.pipeline.dispatch import Dispatcher
from attachd.pipeline.doubt import Reconciler
from attachd.pipeline.finish import Finisher
from attachd.pipeline.intake import Intake
from attachd.pipeline.judging import FolderRules, Rulings
from attachd.pipeline.measured import MeasuredDestination
from attachd.pipeline.replanner import Replanner
from attachd.service.clock import machine_timezone
from attachd.status.measuring import Measures


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What every room is wired with, for as long as the run lasts."""

    ledger: SqliteLedger
    files: LocalFiles
    run: str
    clock: Clock
    make: Factory
    measures: Measures = field(default_factory=Measures)
    within: float = WITHIN


@dataclass(slots=True, kw_only=True)
class Rooms:
    """Everything that runs, wired. `cut` ends transfers that a stop cannot wait for.

    The mappings are replaced as a whole and never changed: any thread may look into them. What a reload took
    out of them is retired: it ends by itself.
    """

    wiring: Wiring
    intake: Intake = field(init=False)
    replanner: Replanner = field(init=False)
    finisher: Finisher = field(init=False)
    watches: Mapping[int, FolderWatch] = field(default_factory=dict)
    dispatchers: Mapping[str, Dispatcher] = field(default_factory=dict)
    destinations: Mapping[str, Destination] = field(default_factory=dict)
    retired_watches: list[FolderWatch] = field(default_factory=list)
    retired_accounts: list[tuple[Dispatcher, Destination]] = field(default_factory=list)
    cut: threading.Event = field(default_factory=threading.Event)

    def accounts(self) -> list[tuple[Dispatcher, Destination]]:
        """Give every destination with its dispatcher, the retired ones too."""
        in_force = [(each, self.destinations[name]) for name, each in self.dispatchers.items()]
        return [*in_force, *self.retired_accounts]

    def look(self, folder_id: int, path: str) -> None:
        """Ask a folder to look at a path again."""
        watch = self.watches.get(folder_id)
        if watch is not None:
            watch.hint(path)

    def in_place(self, folder_id: int) -> bool:
        """Say whether a folder is there and the same as ever: while it is not, no file is gone."""
        watch = self.watches.get(folder_id)
        return watch is not None and watch.is_in_place()

    def wake(self, destination: str) -> None:
        """Tell a destination's claim loop that there may be something to do."""
        dispatcher = self.dispatchers.get(destination)
        if dispatcher is not None:
            dispatcher.wake()

    def failures(self) -> list[tuple[str, BaseException]]:
        """Give the threads that died, by name, with what they died of."""
        parts: dict[str, BaseException | None] = {
            "intake": self.intake.failure,
            "replanner": self.replanner.failure,
            "finish": self.finisher.failure,
        }
        parts |= {f"destination {name}": each.failure for name, each in self.dispatchers.items()}
        parts |= {f"folder {number}": each.failure for number, each in self.watches.items()}
        parts |= {f"former {each.settings.name}": each.failure for each, _ in self.retired_accounts}
        return [(name, failure) for name, failure in parts.items() if failure is not None]

    def withheld(self) -> Withheld:
        """Say what may not be claimed: folders that are out, and what is not judged by the rules in force."""
        out = {number for number, watch in self.watches.items() if watch.health().is_out}
        unjudged = self.replanner.withheld()
        return Withheld(folders=unjudged.folders | out, deliveries=unjudged.deliveries)

    def silent(self, patience: float) -> list[str]:
        """Name the loops that have shown no sign of life for so many seconds.

        Folders are not among them, see `silent_folders`.
        """
        hearts = {
            "intake": self.intake.heart,
            "replanner": self.replanner.heart,
            "finish": self.finisher.heart,
        }
        hearts |= {f"destination {name}": each.heart for name, each in self.dispatchers.items()}
        return [name for name, heart in hearts.items() if heart.silence() > patience]

    def silent_folders(self, patience: float) -> list[str]:
        """Name the folders whose thread has shown no sign of life for so many seconds.

        Such a folder keeps no other from its work, and a new start would not bring its share back.
        """
        silent = (watch for watch in self.watches.values() if watch.heart.silence() > patience)
        return [escape(watch.health().path) for watch in silent]

    def judge_after(self, action: AfterAction) -> PlannedAfter | None:
        """Say what the rules in force make of an attached file.

        Raises:
            FileUnreadable: its folder is not in rules.yaml any more.
        """
        rulings = self.intake.rulings
        if action.folder_id not in rulings.folders:
            raise FileUnreadable("its folder is not in rules.yaml")
        about = (action.path, action.signs, action.sha256, action.first_seen)
        return rulings.judge(action.folder_id, *about).after

    def marker_of(self, action: AfterAction) -> str | None:
        """Give the path of a file's marker by the rules in force, relative to its folder, or None."""
        folder = self.intake.rulings.folders.get(action.folder_id)
        demand = Demands(folder.rules).of(action.path) if folder is not None else None
        return None if demand is None else demand.marker

    def folders_there(self) -> tuple[int, ...]:
        """Give the folders whose files may be acted on once they are attached."""
        return tuple(number for number, watch in self.watches.items() if not watch.health().is_out)

    def sweep(self) -> None:
        """Let go of what was retired and has ended."""
        self.retired_watches[:] = [watch for watch in self.retired_watches if not watch.stop(0.0)]
        for dispatcher, destination in list(self.retired_accounts):
            if not dispatcher.is_running:
                destination.close()
                if dispatcher.failure is None:
                    self.retired_accounts.remove((dispatcher, destination))


def read_tokens(
    settings: Settings, environ: Mapping[str, str], monotonic: Callable[[], float] = time.monotonic
) -> dict[str, TokenSource]:
    """Read every destination's secret and give its source of tokens; nothing is sent yet.

    Raises:
        ConfigError: some cannot be had; names all of them.
    """
    sources: dict[str, TokenSource] = {}
    problems = []
    for name, destination in settings.destinations.items():
        try:
            sources[name] = source_of(destination, _secret(destination, environ), monotonic)
        except UserError as error:
            path = f"destinations.{name}.{'token' if destination.oauth is None else 'oauth.client_secret'}"
            secret = destination.token or (destination.oauth and destination.oauth.client_secret)
            line, column = (secret.line, secret.column) if secret else (0, 0)
            problems.append(Problem(line, column, path, what=error.message, hint=error.hint))
    if problems:
        raise ConfigError(settings.file, problems)
    return sources


def _secret(account: DestinationSettings, environ: Mapping[str, str]) -> Secret:
    ref = secret_of(account)
    path = secret_path(ref, environ)
    if path is None:
        return FixedSecret(read_secret(ref, environ))
    return FileSecret(path, lambda: read_secret(ref, environ))


def build(  # noqa: PLR0913 - what differs between the service, one pass and a rehearsal is told by keyword
    settings: Settings,
    ledger: SqliteLedger,
    tokens: Mapping[str, TokenSource],
    run: str,
    clock: Clock,
    *,
    make: Factory = build_destination,
    acts: bool = True,
    once: bool = False,
) -> Rooms:
    """Wire the rooms; nothing runs yet.

    `make` makes the destinations; without `acts` no after-action finds a folder that it could be done in.
    `once`: files that are not whole are parked as soon as they are quiet, unless their rule says `within`.
    """
    within = 0.0 if once else WITHIN
    wiring = Wiring(ledger=ledger, files=LocalFiles(), run=run, clock=clock, make=make, within=within)
    rooms = Rooms(wiring=wiring)
    records = open_folders(settings, rooms.wiring)
    rulings = rulings_of(settings, records)
    rooms.replanner = Replanner(ledger=ledger, files=rooms.wiring.files, clock=clock, wake=rooms.wake)
    rooms.finisher = _finisher(rooms, rooms.folders_there if acts else tuple)
    rooms.intake = Intake(
        ledger=ledger,
        files=rooms.wiring.files,
        folders=rulings.folders,
        clock=clock,
        host=rulings.host,
        timezone=rulings.timezone,
        wake=rooms.wake,
        look=rooms.look,
    )
    rooms.watches = {
        record.id: watch_of(folder, record, settings, rooms)
        for folder, record in zip(settings.folders, records, strict=True)
    }
    accounts = {
        name: account_of(account, tokens[name], rooms) for name, account in settings.destinations.items()
    }
    rooms.dispatchers = {name: dispatcher for name, (dispatcher, _) in accounts.items()}
    rooms.destinations = {name: destination for name, (_, destination) in accounts.items()}
    return rooms


def _finisher(rooms: Rooms, folders: Callable[[], tuple[int, ...]]) -> Finisher:
    return Finisher(
        ledger=rooms.wiring.ledger.afters,
        mover=FolderMover(lambda: [watch.health().path for watch in rooms.watches.values()]),
        clock=rooms.wiring.clock,
        judge=rooms.judge_after,
        folders=folders,
        in_place=rooms.in_place,
        marker=rooms.marker_of,
    )


def open_folders(settings: Settings, wiring: Wiring) -> list[FolderRecord]:
    """Give the ledger's record of each folder, in the order of rules.yaml."""
    ledger, now = wiring.ledger, wiring.clock.now()
    return [ledger.open_folder(each.path, filesystem_of(each.path), now) for each in settings.folders]


def rulings_of(settings: Settings, records: Sequence[FolderRecord]) -> Rulings:
    """Give what files are judged by."""
    pairs = zip(settings.folders, records, strict=True)
    return Rulings(
        folders={
            record.id: FolderRules(path=folder.path, rules=folder.rules, noise=Noise(folder.ignore))
            for folder, record in pairs
        },
        timezone=settings.timezone or machine_timezone(),
        host=socket.gethostname(),
    )


def watch_of(folder: FolderSettings, record: FolderRecord, settings: Settings, rooms: Rooms) -> FolderWatch:
    """Wire the watch of one folder; it does not run yet."""
    return FolderWatch(
        settings=folder,
        record=record,
        ledger=rooms.wiring.ledger,
        sink=rooms.intake,
        clock=rooms.wiring.clock,
        noise=Noise(folder.ignore),
        protected=own_files(settings),
        measure=rooms.wiring.measures,
        within=rooms.wiring.within,
    )


def account_of(
    account: DestinationSettings, token: TokenSource, rooms: Rooms
) -> tuple[Dispatcher, Destination]:
    """Wire one destination with its workers; nothing runs yet."""
    ledger, run, clock = rooms.wiring.ledger, rooms.wiring.run, rooms.wiring.clock
    measures = rooms.wiring.measures
    destination = rooms.wiring.make(account, token, clock, bind=_bind(ledger, clock), stopped=rooms.cut)
    timed = MeasuredDestination(destination, measures, clock)
    worker = Worker(
        destination=timed,
        ledger=ledger,
        files=rooms.wiring.files,
        clock=clock,
        run=run,
        retry=account.retry,
        waits=account.waits,
        look=rooms.look,
        in_place=rooms.in_place,
        attached=rooms.finisher.wake,
        cut=rooms.cut,
        measure=measures,
    )
    reconciler = Reconciler(
        destination=timed,
        ledger=ledger,
        clock=clock,
        run=run,
        on_doubt=account.on_doubt,
        measure=measures,
    )
    dispatcher = Dispatcher(
        settings=account,
        ledger=ledger,
        worker=worker,
        reconciler=reconciler,
        clock=clock,
        run=run,
        withheld=rooms.withheld,
        measure=measures,
    )
    return dispatcher, destination


def _bind(ledger: SqliteLedger, clock: Clock) -> Bind:
    return lambda name, tenant: ledger.bind(name, tenant, clock.now())
