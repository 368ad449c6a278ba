"""`attachd explain`: what the rules make of a path, by the same code that decides for the service."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from attachd.cli.commands import complete_path
from attachd.cli.locating import Located, facts_of, locate, noise_in
from attachd.cli.opening import read_settings
from attachd.cli.output import write, write_json
from attachd.core.lookups import Lookup, preview
from attachd.core.paths import escape
from attachd.core.rules import Verdict, judge, planned, refusal
from attachd.core.settings import Settings
from attachd.core.wholeness import Demands
from attachd.folders import reach
from attachd.model import PlannedDelivery
from attachd.printable import safe_text
from attachd.status.showing import target_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What becomes of one path.

    Attributes:
        located: where it lies.
        outcome: one sentence without a full stop.
        verdicts: of every rule of its folder, in order; none where the file is not even looked at.
        deliveries: what would be sent; none where nothing would.
        lookups: by name, those that the deliveries start from.
    """

    located: Located
    outcome: str
    verdicts: tuple[Verdict, ...] = ()
    deliveries: tuple[PlannedDelivery, ...] = ()
    lookups: Mapping[str, Lookup] = field(default_factory=dict)


@click.command("explain")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, shell_complete=complete_path)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_context
def command(ctx: click.Context, *, paths: tuple[str, ...], as_json: bool) -> int:
    """Say what the rules make of each PATH: verdicts with reasons, captures, what would be sent where.

    PATH is absolute, or relative to the working directory or to a watched folder; the file need not exist.
    Sends nothing, needs no secret.
    """
    settings = read_settings(ctx)
    with reach.impatient():
        found = [located for path in paths for located in locate(path, settings.folders, os.getcwd())]  # noqa: PTH109 - fsdecode form
        explained = [explain(located, settings) for located in found]
    if as_json:
        write_json([_as_json(each) for each in explained])
    else:
        write(*_text(explained))
    return 0


def explain(located: Located, settings: Settings) -> Explained:
    """Judge one path as the service would."""
    noise = noise_in(located, settings)
    if noise is not None:
        why = "a built-in name, the folder's `ignore`, or a file of attachd's own"
        return Explained(located=located, outcome=f"ignored: {escape(noise)} is noise ({why})")
    marked = Demands(located.folder.rules).marked_by(located.path)
    if marked and located.kind != "directory":
        outcome = f"a marker: it says that {escape(marked[0])} is whole, and is no file of its own"
        return Explained(located=located, outcome=outcome)
    if located.kind == "directory":
        return Explained(located=located, outcome="a directory: files in it are judged one by one")
    hashed = any(rule.needs_sha256 for rule in located.folder.rules)
    verdicts = judge(located.folder.rules, facts_of(located, settings, hashed=hashed))
    deliveries = planned(verdicts)
    if located.kind not in {"file", "nothing"}:
        outcome = f"unmatched (not_regular): a {located.kind} is never attached"
        return Explained(located=located, outcome=outcome, verdicts=verdicts)
    return Explained(
        located=located,
        outcome=_outcome(verdicts, deliveries),
        verdicts=verdicts,
        deliveries=deliveries,
        lookups=_lookups(settings),
    )


def _lookups(settings: Settings) -> Mapping[str, Lookup]:
    accounts = settings.destinations.values()
    return {name: lookup for account in accounts for name, lookup in account.lookups.items()}


def _outcome(verdicts: Sequence[Verdict], deliveries: Sequence[PlannedDelivery]) -> str:
    refused = refusal(verdicts)
    if deliveries:
        count = len(deliveries)
        return f"{count} {'delivery' if count == 1 else 'deliveries'}" + (f"; {refused}" if refused else "")
    return f"unmatched: {refused}" if refused else "unmatched (no_rule): no rule takes it"


def _as_json(explained: Explained) -> dict[str, Any]:
    located = explained.located
    return {
        "folder": escape(located.folder.path),
        "path": escape(located.path),
        "kind": None if located.stat is None else located.kind,
        "outcome": explained.outcome,
        "rules": [_verdict_json(verdict) for verdict in explained.verdicts],
        "deliveries": [_delivery_json(delivery, explained.lookups) for delivery in explained.deliveries],
    }


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "rule": verdict.rule,
        "matched": verdict.matched,
        "reason": safe_text(verdict.reason),
        "captures": {name: escape(text) for name, text in verdict.captures.items()},
    }


def _delivery_json(delivery: PlannedDelivery, lookups: Mapping[str, Lookup]) -> dict[str, Any]:
    lookup = lookups.get(delivery.target.get("lookup", ""))
    return {
        "rule": delivery.rule,
        "destination": delivery.destination,
        "target": dict(delivery.target),
        "filename": delivery.filename,
        **({"asked": list(preview(lookup, delivery.target))} if lookup else {}),
    }


def _text(explained: Sequence[Explained]) -> list[str]:
    lines: list[str] = []
    for each in explained:
        lines += ["", *_one_text(each)] if lines else _one_text(each)
    return lines


def _one_text(explained: Explained) -> list[str]:
    located = explained.located
    why = f"cannot be looked at: {located.trouble}" if located.trouble else "not there"
    there = "" if located.stat else f"  ({why}: judged as an empty file of now)"
    lines = [
        f"{escape(located.path)}{there}",
        f"  folder   {escape(located.folder.path)}",
        f"  outcome  {explained.outcome}",
    ]
    for verdict in explained.verdicts:
        lines += _verdict_text(verdict)
    for delivery in explained.deliveries:
        where = target_text(delivery.destination, delivery.target)
        lines.append(f"  send     to {where}, as {delivery.filename}")
        if "lookup" in delivery.target:
            lines += _lookup_text(explained.lookups[delivery.target["lookup"]], delivery.target)
    return lines


def _lookup_text(lookup: Lookup, target: Mapping[str, str]) -> list[str]:
    lines = []
    for number, asked in enumerate(preview(lookup, target), 1):
        query = " ".join(asked["query"].split())
        lines.append(f"  ask {number:>2}   {query}")
        for word in ("variables", "where"):
            values = ", ".join(f"{name} = {text}" for name, text in asked[word].items())
            lines += [f"           {word}: {values}"] if values else []
    return lines


def _verdict_text(verdict: Verdict) -> list[str]:
    mark = "yes" if verdict.matched else "no"
    lines = [f"  rule     {verdict.rule}: {mark}, {verdict.reason}"]
    if verdict.matched and verdict.captures:
        captures = ", ".join(f"{name} = {text}" for name, text in verdict.captures.items())
        lines.append(f"           captures: {captures}")
    return lines
