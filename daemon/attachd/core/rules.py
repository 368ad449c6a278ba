"""Which rules take a file, what they make of it, and why: a pure function of facts, for intake and `explain`.

Everything a template is given is in escaped form (`core.paths`), so that what is rendered can be stored,
sent and printed. Patterns see the path itself, in `os.fsdecode` form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo

from attachd.core.afters import After, PlannedAfter, plan_after
from attachd.core.paths import escape
from attachd.core.patterns import Pattern
from attachd.core.sentences import quoted
from attachd.core.templates import Template
from attachd.core.wholeness import Complete
from attachd.model import PlannedDelivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One line of a rule's `examples`: what the rule should make of a path.

    `match` False means that the rule should not take it. `target` and `filename` None are not compared.
    """

    path: str
    target: Mapping[str, str] | None = None
    filename: str | None = None
    match: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What turns a path into a target.

    Attributes:
        name: unique in rules.yaml.
        patterns: one of them has to match; the first that does gives the captures.
        to: the destination's name.
        target: one template for each target field.
        filename: the shown name at the destination.
        more: the contract's `continue`: later rules may match as well.
        dedupe: False where the rule says `on_duplicate: upload`.
        ignores_changes: True where the rule says `on_change: ignore`.
        max_versions: of one path; more are held. 0: no limit.
        wait: seconds for which a target that is not there yet is looked for again.
        after: what becomes of the file once it is attached everywhere; None: it stays.
        complete: when a file that it takes is whole.
        examples: what `check` and the start of `run` try.
    """

    name: str
    patterns: tuple[Pattern, ...]
    to: str
    target: Mapping[str, Template]
    filename: Template
    more: bool = False
    dedupe: bool = True
    ignores_changes: bool = False
    max_versions: int = 0
    wait: float = 0.0
    after: After | None = None
    complete: Complete = field(default_factory=Complete)
    examples: tuple[Example, ...] = ()

    @property
    def needs_sha256(self) -> bool:
        """Say whether the file has to be hashed before this rule can render."""
        return "sha256" in self.filename.names


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What a rule may know of a file.

    Attributes:
        path: relative to the folder, in `os.fsdecode` form.
        folder: the folder's absolute path, in `os.fsdecode` form.
        size: in bytes.
        mtime: aware.
        first_seen: aware.
        host: this machine's name.
        timezone: for `{date}` and `{file_date}`; None is the machine's own.
        sha256: in hex, or None while nobody has read the file.
    """

    path: str
    folder: str
    size: int
    mtime: datetime
    first_seen: datetime
    host: str
    timezone: tzinfo | None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one rule says of one file.

    Attributes:
        rule: its name.
        matched: whether it takes the file.
        reason: which pattern matched, why none did, or why what was rendered is refused; without a full stop.
        captures: as captured, in `os.fsdecode` form.
        planned: the delivery, or None where the rule did not match or its rendering is refused.
    """

    rule: str
    matched: bool
    reason: str
    captures: Mapping[str, str] = field(default_factory=dict)
    planned: PlannedDelivery | None = None


def built_ins(facts: FileFacts) -> dict[str, str]:
    """Give the built-in names of templates, in escaped form; `sha256` only where it is known.

    `{stem}` and `{ext}` part at the last dot: `a.tar.gz` has stem `a.tar` and ext `gz`; a name without a dot,
    or with dots only at its start, is all stem.
    """
    return {key: escape(value) for key, value in _raw_built_ins(facts).items()}


def _raw_built_ins(facts: FileFacts) -> dict[str, str]:
    directory, _, name = facts.path.rpartition("/")
    stem, extension = _split_suffix(name)
    values = {
        "file": name,
        "stem": stem,
        "ext": extension,
        "path": facts.path,
        "dir": directory,
        "folder": facts.folder,
        "date": _day(facts.first_seen, facts.timezone),
        "file_date": _day(facts.mtime, facts.timezone),
        "size": str(facts.size),
        "host": facts.host,
    }
    if facts.sha256 is not None:
        values["sha256"] = facts.sha256
    return values


def judge(rules: Sequence[Rule], facts: FileFacts) -> tuple[Verdict, ...]:
    """Ask every rule in order: the first match takes the file, later ones only while it says `continue`."""
    values = built_ins(facts)
    verdicts: list[Verdict] = []
    taken_by: str | None = None
    for rule in rules:
        verdict = _ask(rule, facts.path, values)
        if taken_by is not None:
            verdicts.append(_not_looked_at(verdict, taken_by))
            continue
        verdicts.append(verdict)
        if verdict.matched and not rule.more:
            taken_by = rule.name
    return tuple(verdicts)


def planned(verdicts: Sequence[Verdict]) -> tuple[PlannedDelivery, ...]:
    """Give the deliveries of a file, in the order of its rules."""
    return tuple(verdict.planned for verdict in verdicts if verdict.planned is not None)


def planned_after(
    rules: Sequence[Rule], verdicts: Sequence[Verdict], facts: FileFacts
) -> PlannedAfter | None:
    """Give what becomes of a file once it is attached: the `after` of the first rule that took it.

    None where it stays, or where nothing is delivered. With one of several deliveries refused, the file is
    never attached everywhere its rules say, so the action is planned with that as its fault.
    """
    first = next((verdict for verdict in verdicts if verdict.matched), None)
    if first is None or not planned(verdicts):
        return None
    rule = next(each for each in rules if each.name == first.rule)
    made = plan_after(rule.after, rule.name, first.captures, _raw_built_ins(facts))
    refused = refusal(verdicts)
    return replace(made, fault=refused) if made and refused else made


def refusal(verdicts: Sequence[Verdict]) -> str | None:
    """Say why a rule that took the file makes no delivery of it, or None where every one does."""
    for verdict in verdicts:
        if verdict.matched and verdict.planned is None:
            return f"rule {quoted(verdict.rule)}: {verdict.reason}"
    return None


def run_example(rules: Sequence[Rule], rule: Rule, example: Example, facts: FileFacts) -> str | None:
    """Try an example of `rule` against all rules of its folder, in order.

    `facts` stands for the file; only its path is replaced, and its hash filled in where there is none.

    Returns:
        None if the example holds, else what came out instead, as one clause without a full stop.
    """
    facts = replace(facts, path=example.path, sha256=facts.sha256 or "0" * 64)
    verdict = next(each for each in judge(rules, facts) if each.rule == rule.name)
    if not example.match:
        return f"the rule takes it: {verdict.reason}" if verdict.matched else None
    if verdict.planned is None:
        return verdict.reason
    return _compare(example, verdict.planned)


def _compare(example: Example, made: PlannedDelivery) -> str | None:
    if example.target is not None and dict(example.target) != dict(made.target):
        return f"the target comes out as {_shown(made.target)}"
    if example.filename is not None and example.filename != made.filename:
        return f"the filename comes out as '{made.filename}'"
    return None


def _shown(target: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}: '{value}'" for key, value in target.items()) + "}"


def _ask(rule: Rule, path: str, values: Mapping[str, str]) -> Verdict:
    for pattern in rule.patterns:
        captures = pattern.match(path)
        if captures is not None:
            return _render(rule, pattern, captures, values)
    return Verdict(rule=rule.name, matched=False, reason=_why_none(rule, path))


def _why_none(rule: Rule, path: str) -> str:
    if len(rule.patterns) == 1:
        return rule.patterns[0].mismatch(path)
    return "; ".join(f"'{pattern.text}': {pattern.mismatch(path)}" for pattern in rule.patterns)


def _not_looked_at(verdict: Verdict, taken_by: str) -> Verdict:
    would = f"it would match too: {verdict.reason}" if verdict.matched else verdict.reason
    return Verdict(
        rule=verdict.rule,
        matched=False,
        reason=f"not looked at: {quoted(taken_by)} took the file ({would})",
        captures=verdict.captures,
    )


def _render(rule: Rule, pattern: Pattern, captures: Mapping[str, str], values: Mapping[str, str]) -> Verdict:
    known = {**values, **{name: escape(text) for name, text in captures.items()}}
    target = {key: template.render(known) for key, template in rule.target.items()}
    filename = rule.filename.render(known)
    fault = _fault(rule, target, filename, known)
    made = PlannedDelivery(
        rule=rule.name,
        destination=rule.to,
        target=target,
        filename=filename,
        dedupe=rule.dedupe,
        ignores_changes=rule.ignores_changes,
        max_versions=rule.max_versions,
    )
    return Verdict(
        rule=rule.name,
        matched=True,
        reason=fault or f"'{pattern.text}' matches",
        captures=captures,
        planned=None if fault else made,
    )


def _fault(rule: Rule, target: Mapping[str, str], filename: str, known: Mapping[str, str]) -> str | None:
    for key, template in rule.target.items():
        if not target[key].strip():
            return f"target.{key} comes out empty from '{template.text}'"
        unfit = template.unfit(known)
        if unfit is not None:
            return f"target.{key} takes an id, and {{{unfit}}} is '{known.get(unfit, '')}'"
    if rule.needs_sha256 and "sha256" not in known:
        return "the filename asks for {sha256}, and the file has not been read yet"
    if filename.strip() in {"", ".", ".."}:
        return f"the filename comes out as '{filename}' from '{rule.filename.text}'"
    if "/" in filename:
        return f"the filename comes out with a slash, as '{filename}'"
    return None


def _split_suffix(name: str) -> tuple[str, str]:
    stem, _, extension = name.rpartition(".")
    if not stem.strip("."):
        return name, ""
    return stem, extension


def _day(moment: datetime, timezone: tzinfo | None) -> str:
    try:
        return moment.astimezone(timezone).date().isoformat()
    except OverflowError:  # a time at the very end of the calendar, which anyone can give a file
        return moment.date().isoformat()
