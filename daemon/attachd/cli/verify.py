"""`attachd verify`: is every file really attached, and may it be deleted here?"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import click

from attachd.cli.commands import complete_path
from attachd.cli.locating import Located, locate
from attachd.cli.opening import config_file, has_ledger
from attachd.cli.output import complain, write, write_json_array
from attachd.config.load import load
from attachd.config.own_files import own_files
from attachd.core.paths import escape
from attachd.core.settings import Settings
from attachd.errors import UserError
from attachd.folders import reach
from attachd.ledger.reports import Reports
from attachd.logs import configure
from attachd.service.accounts import open_accounts
from attachd.service.unseen import Unseen, unseen
from attachd.service.verify import Checked, Level, Verified, Verifier, Weight
from attachd.status.showing import DASH

NOWHERE = "it is neither in the ledger nor on disk: `attachd list` shows what is known"


@click.command("verify")
@click.argument("paths", metavar="[PATH]…", nargs=-1, shell_complete=complete_path)
@click.option("--content", is_flag=True, help="Fetch every attachment and hash it, and the file as well.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_context
def command(ctx: click.Context, *, paths: tuple[str, ...], content: bool, as_json: bool) -> int:
    """Compare every file, or each PATH and what is below it: disk, ledger and destination.

    A file is recorded (the ledger says it is attached), present (the destination has the attachment, asked
    for by id), content (fetched and hashed, the same bytes), or the reason is given. It is safe to delete
    only from present on, and while the bytes on disk are the delivered ones.

    Needs the tokens. Exit code 0: all present; 75: a destination is unreachable, or something is on its
    way, or lies there and attachd has not seen it yet; 4: something is held, doubtful, vanished, unmatched,
    parked or not present.
    """
    settings, _warnings = load(config_file(ctx))
    if not has_ledger(settings):
        raise UserError(f"no ledger at {escape(settings.ledger)} yet", hint="`attachd run` makes it")
    configure("warning", settings.service.log_format)  # to standard error: the output is for people or JSON
    with ExitStack() as opened:
        opened.enter_context(reach.impatient())
        ledger = opened.enter_context(Reports.open(settings.ledger))
        # Another tenant's attachment of the same id would look like a proof.
        accounts = opened.enter_context(open_accounts(settings, bind=ledger.other_tenant))
        verifier = Verifier(destinations=accounts, content=content)
        found = _found(_places(paths, settings), settings, ledger, verifier)
        return _write_json(found) if as_json else _write(found)


def _places(paths: Sequence[str], settings: Settings) -> Iterator[tuple[str, list[Located]]]:
    """Give what each PATH may mean; without any, every folder."""
    for path in paths or [folder.path for folder in settings.folders]:
        full = os.path.abspath(path)  # noqa: PTH100 - fsdecode form
        whole = [
            Located(folder=folder, path="", stat=None)
            for folder in settings.folders
            if folder.path.rstrip("/") == full
        ]
        yield path, whole or locate(path, settings.folders, os.getcwd())  # noqa: PTH109 - as above


def _found(
    places: Iterator[tuple[str, list[Located]]], settings: Settings, ledger: Reports, verifier: Verifier
) -> Iterator[Verified | Unseen]:
    for text, meant in places:
        nothing = True
        for place in meant:
            for each in _of_place(place, settings, ledger, verifier):
                nothing = False
                yield each
        if nothing and not any(place.path == "" or place.kind == "directory" for place in meant):
            raise UserError(f"{escape(text)}: nothing is known of it", hint=NOWHERE)


def _of_place(
    place: Located, settings: Settings, ledger: Reports, verifier: Verifier
) -> Iterator[Verified | Unseen]:
    yield from verifier.verify(ledger.recorded(place.folder.path, place.path))
    if place.path == "" or place.stat is not None:
        yield from unseen(place.folder, place.path, ledger, own_files(settings))


def _write(found: Iterator[Verified | Unseen]) -> int:
    weight, counts, safe = Weight.WELL, Counter[str](), 0
    for each in found:
        write(_line(each))
        weight = max(weight, _weight(each))
        counts[_level(each) or "not attached"] += 1
        safe += isinstance(each, Verified) and each.safe_to_delete
    total = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    complain(f"{total}; {safe} safe to delete" if total else "nothing to verify")
    return int(weight)


def _write_json(found: Iterator[Verified | Unseen]) -> int:
    weights = {Weight.WELL}

    def weighed() -> Iterator[dict[str, Any]]:
        for each in found:
            weights.add(_weight(each))
            yield _as_json(each)

    write_json_array(weighed())
    return int(max(weights))


def _weight(each: Verified | Unseen) -> Weight:
    return each.weight if isinstance(each, Verified) else Weight.LATER


def _level(each: Verified | Unseen) -> Level | None:
    return each.level if isinstance(each, Verified) else None


def _line(each: Verified | Unseen) -> str:
    if isinstance(each, Unseen):
        return f"{DASH:<8}  {escape(each.path) or escape(each.folder)}: {each.why}"
    said = "safe to delete" if each.safe_to_delete else "; ".join(filter(None, (_disk(each), each.why)))
    path = escape(each.recorded.file.path)
    return f"{each.level or DASH:<8}  {path}{'' if not said else ': '}{said}"


def _disk(each: Verified) -> str:
    words = {
        "changed": "the bytes on disk are not the delivered ones",
        "gone": "not on disk any more",
        "unreadable": "the file cannot be read here",
        "replaced": f"version {each.recorded.file.version}, replaced on disk by a later one",
    }
    return words.get(each.disk, "")


def _as_json(each: Verified | Unseen) -> dict[str, Any]:
    if isinstance(each, Unseen):
        return {
            "folder": escape(each.folder),
            "path": escape(each.path),
            "version": None,
            "size": None,
            "sha256": None,
            "disk": None,
            "level": None,
            "why": each.why,
            "safe_to_delete": False,
            "deliveries": [],
        }
    file = each.recorded.file
    return {
        "folder": escape(each.recorded.folder),
        "path": escape(file.path),
        "version": file.version,
        "size": file.signs.size,
        "sha256": file.sha256,
        "disk": each.disk.value,
        "level": each.level,
        "why": each.why or None,
        "safe_to_delete": each.safe_to_delete,
        "deliveries": [_checked_json(checked) for checked in each.checked],
    }


def _checked_json(checked: Checked) -> dict[str, Any]:
    delivery = checked.delivery
    return {
        "id": delivery.id,
        "rule": delivery.rule,
        "destination": delivery.destination,
        "target": dict(delivery.target),
        "filename": delivery.filename,
        "state": delivery.state.value,
        "remote_id": checked.remote_id,
        "level": checked.level,
        "why": checked.why or None,
    }
