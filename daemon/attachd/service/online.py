"""What `attachd check --online` finds out: tokens, schemas and folders, everything that is wrong at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from attachd.core.accounts import Account
from attachd.core.paths import escape
from attachd.core.settings import FolderSettings, Settings
from attachd.errors import FileError, Trouble
from attachd.folders import reach
from attachd.model import Severity


class Outcome(IntEnum):
    """How something stands; the values are only an order."""

    WELL = 0
    UNCHECKED = 1  # it could not be looked at, which need not be wrong
    UNREACHABLE = 2
    WRONG = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at: where in rules.yaml, what was found, what to do."""

    where: str
    outcome: Outcome
    what: str
    hint: str = ""


def check_online(settings: Settings, accounts: Mapping[str, Account]) -> Iterator[Finding]:
    """Look at every folder and destination, one after the other, and tell each finding as it comes."""
    for folder in settings.folders:
        yield _folder(folder)
    for name, account in accounts.items():
        yield from _destination(name, account, _targets(settings, name))


def _folder(folder: FolderSettings) -> Finding:
    where = f"folder {escape(folder.path)}"
    try:
        with reach.listing(folder.path, "") as entries:
            next(entries, None)
    except FileError as error:
        hint = "create it or mount it, and let the user of the service read and enter it"
        return Finding(where=where, outcome=Outcome.WRONG, what=f"cannot be read: {error}", hint=hint)
    return Finding(where=where, outcome=Outcome.WELL, what="can be read")


def _destination(name: str, account: Account, targets: frozenset[frozenset[str]]) -> Iterator[Finding]:
    where = f"destinations.{name}"
    try:
        who = account.who()
    except Trouble as trouble:  # without a token that is let in, a schema would say nothing either
        yield _troubled(where, trouble, Outcome.WRONG)
        return
    yield Finding(where=where, outcome=Outcome.WELL, what=f"token accepted{f' ({who})' if who else ''}")
    faults = []
    try:
        for fault in account.unfit(targets):
            faults.append(fault)
            yield Finding(where=where, outcome=Outcome.WRONG, what=fault, hint=_schema_hint(fault))
    except Trouble as trouble:
        yield _troubled(f"{where}: schema", trouble, Outcome.UNCHECKED)
        return
    if not faults:
        yield Finding(where=where, outcome=Outcome.WELL, what="its schema has all that attachd sends")


def _troubled(where: str, trouble: Trouble, if_lasting: Outcome) -> Finding:
    passing = trouble.severity in {Severity.PASSING, Severity.UNKNOWN}
    outcome = Outcome.UNREACHABLE if passing else if_lasting
    if trouble.severity is Severity.REFUSED:
        outcome = Outcome.WRONG
    what = f"could not be checked: {trouble.message}" if outcome is Outcome.UNCHECKED else trouble.message
    return Finding(where=where, outcome=outcome, what=what, hint=trouble.hint)


def _schema_hint(fault: str) -> str:
    if fault.startswith("lookups."):
        return "correct the query in rules.yaml"
    if fault.startswith("doubt"):
        return "correct `doubt` in rules.yaml, or leave it out"
    if fault.startswith("message: "):
        return "correct the targets of the rules that lead here: where may their messages go?"
    return "is this address the one of the vendor's present API?"


def _targets(settings: Settings, destination: str) -> frozenset[frozenset[str]]:
    """Give the keys of each target that leads to a destination."""
    rules = (rule for folder in settings.folders for rule in folder.rules if rule.to == destination)
    return frozenset(frozenset(rule.target) for rule in rules)
