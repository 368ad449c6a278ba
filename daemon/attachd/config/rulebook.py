"""One rule of the document → a compiled `Rule`."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from attachd.config.context import Context
from attachd.config.document import Complete as GivenComplete
from attachd.config.document import Example as GivenExample
from attachd.config.document import Move, Target
from attachd.config.document import Rule as GivenRule
from attachd.config.report import Report
from attachd.config.targets import check_target
from attachd.config.wording import Location, did_you_mean, quoted
from attachd.core.afters import After, AfterKind, literal_fault
from attachd.core.lookups import Lookup
from attachd.core.patterns import Pattern, PatternError, compile_pattern, compile_regex
from attachd.core.rules import Example, Rule
from attachd.core.templates import (
    AFTER_HASH,
    BETWEEN_IDS,
    BUILT_INS,
    Form,
    Template,
    TemplateError,
    listed,
    parse_filename,
    parse_template,
)
from attachd.core.wholeness import MARKER_NAMES, NAMES_THE_FILE, Complete

_CAPTURE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::[^{}]*)?\}|\(\?P<([A-Za-z_][A-Za-z0-9_]*)>")
MAX_VERSIONS = 5
"""Versions of one path that are delivered, where `max_versions` does not say."""

LOOKUP_WAIT = 86400.0
"""Seconds for which a lookup's target is looked for again, where `wait` does not say."""

_FORMS = {
    "message": Form.MARKDOWN,
    "subject": Form.LINE,
    "thread": Form.ID,
    "reply_to": Form.ID,
    "recipients": Form.ID,
}
"""What becomes of captures in a target's keys; in the others they stand as they are."""

_KNOWN_LATE = BUILT_INS
_KNOWN_EARLY = BUILT_INS - AFTER_HASH


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a rule refers to.

    Attributes:
        types: name and regular expression of those under `types`, sound or not.
        kinds: the kind of each destination, None where it is not known because of another mistake.
        lookups: those under `lookups` by name, None where one has a mistake of its own.
        case_sensitive: of the rule's folder.
    """

    types: Mapping[str, str]
    kinds: Mapping[str, str | None]
    lookups: Mapping[str, Lookup | None]
    case_sensitive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """The captures of a rule: in every pattern, and in any of them."""

    every: frozenset[str]
    some: frozenset[str]


_NO_NAMES = _Names(every=frozenset(), some=frozenset())


def build_rule(given: GivenRule, at: Location, around: Surroundings, context: Context) -> Rule | None:
    """Check one rule and give it compiled; None where something in it was reported."""
    report = context.report
    patterns = _patterns(given, at, around, report)
    names = _names(given, patterns)
    target = _target(given.target, (*at, "target"), names, report)
    if given.target is not None and given.target.lookup is not None:
        target |= _lookup_target(given.target.lookup, (*at, "target", "lookup"), names, around, report)
    filename = _template(
        given.filename or "{file}", (*at, "filename"), parse_filename, _KNOWN_LATE, names, report
    )
    after = _after(given, (*at, "after"), names, context)
    complete = _complete(given.complete, (*at, "complete"), report)
    _check_examples(given, at, report)
    _check_destination(given, at, around, report)
    if report.has_error_at(at) or filename is None or given.name is None or given.to is None:
        return None
    return Rule(
        name=given.name,
        patterns=patterns,
        to=given.to,
        target=target,
        filename=filename,
        more=bool(given.continue_),
        dedupe=given.on_duplicate != "upload",
        ignores_changes=given.on_change == "ignore",
        max_versions=MAX_VERSIONS if given.max_versions is None else given.max_versions,
        wait=_wait(given),
        after=after,
        complete=complete,
        examples=tuple(_example(example) for example in given.examples or ()),
    )


def _after(given: GivenRule, at: Location, names: _Names, context: Context) -> After | None:
    if given.after == "delete":
        return After(kind=AfterKind.DELETE)
    if not isinstance(given.after, Move) or given.after.move is None:
        return None
    where = (*at, "move")
    move = _template(given.after.move, where, parse_template, _KNOWN_LATE, names, context.report)
    if move is None:
        return None
    fault = literal_fault(move)
    if fault:
        hint = "write the whole path with the file's name, as `sent/{file}`, without `.` and `..`"
        context.report.error(where, fault, hint)
    return After(kind=AfterKind.MOVE, move=move, base=context.absolute("."))


def _wait(given: GivenRule) -> float:
    if given.wait is not None:
        return given.wait
    return LOOKUP_WAIT if given.target is not None and given.target.lookup is not None else 0.0


def captures_of(given: GivenRule) -> frozenset[str]:
    """Give the names that a rule's patterns seem to capture, whether or not they compile."""
    return frozenset[str]().union(*(_names_in(text) for text in (*_many(given.match), *_many(given.regex))))


def _names_in(text: str) -> frozenset[str]:
    return frozenset(brace or group for brace, group in _CAPTURE.findall(text))


def _many(texts: str | list[str] | None) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts or ())


def _patterns(given: GivenRule, at: Location, around: Surroundings, report: Report) -> tuple[Pattern, ...]:
    match_given = given.match is not None or report.has_error_at((*at, "match"))
    regex_given = given.regex is not None or report.has_error_at((*at, "regex"))
    if match_given and regex_given:
        report.error(
            (*at, "regex"), "there is a `match` already", "keep one of `match` and `regex`", key=True
        )
    if not match_given and not regex_given and at not in report.faulty:
        report.error((*at, "match"), "`match` or `regex` is missing", 'write `match: "**"` for every file')
    compiled = [
        _pattern(text, _place(given.match, index, (*at, "match")), around, report)
        for index, text in enumerate(_many(given.match))
    ]
    if given.regex is not None:
        compiled.append(_regex(given.regex, (*at, "regex"), around, report))
    return tuple(each for each in compiled if each is not None)


def _place(texts: str | list[str] | None, index: int, at: Location) -> Location:
    return (*at, index) if isinstance(texts, list) else at


def _pattern(text: str, at: Location, around: Surroundings, report: Report) -> Pattern | None:
    try:
        pattern = compile_pattern(text, types=around.types, case_sensitive=around.case_sensitive)
    except PatternError as error:
        report.error(at, error.message, error.hint, offset=error.offset)
        return None
    for warning in pattern.warnings:
        report.warn(at, warning)
    return pattern


def _regex(text: str, at: Location, around: Surroundings, report: Report) -> Pattern | None:
    try:
        return compile_regex(text, case_sensitive=around.case_sensitive)
    except PatternError as error:
        report.error(at, error.message, error.hint, offset=error.offset)
        return None


def _names(given: GivenRule, patterns: tuple[Pattern, ...]) -> _Names:
    """Give the captures; where a pattern is missing or broken, every name that may be one counts."""
    texts = (*_many(given.match), *_many(given.regex))
    if patterns and len(patterns) == len(texts):
        each = [frozenset(pattern.names) for pattern in patterns]
        return _Names(every=frozenset.intersection(*each), some=frozenset.union(*each))
    are_readable = bool(texts) and all(text.count("{") == text.count("}") for text in texts)
    seeming = captures_of(given) if are_readable else _names_in(str(given))
    return _Names(every=seeming, some=seeming)


Parse = Callable[..., Template]


def _template(
    text: str, at: Location, parse: Parse, known: frozenset[str], names: _Names, report: Report
) -> Template | None:
    try:
        template = parse(text, allowed=known | names.some)
    except TemplateError as error:
        report.error(at, error.message, error.hint, offset=error.offset)
        return None
    for name in sorted(set(template.names) & (names.some - names.every)):
        hint = "capture it in every pattern, or make two rules of this one"
        report.error(
            at, f"{{{name}}} is captured by some of the patterns only", hint, offset=text.index(f"{{{name}}}")
        )
    return template


def _target(given: Target | None, at: Location, names: _Names, report: Report) -> dict[str, Template]:
    templates = {}
    for key in Target.model_fields:
        parse = partial(parse_template, form=_FORMS.get(key, Form.PLAIN))
        texts = _target_texts(getattr(given, key, None), (*at, key))
        parsed = [_template(text, where, parse, _KNOWN_EARLY, names, report) for text, where in texts]
        sound = [template for template in parsed if template is not None]
        if sound:
            templates[key] = sound[0] if len(sound) == 1 else listed(sound)
    return templates


def _lookup_target(
    lookup: str, at: Location, names: _Names, around: Surroundings, report: Report
) -> dict[str, Template]:
    """Give the target of a rule that uses a lookup: its name, and each value that it starts from."""
    found = around.lookups.get(lookup)
    if found is None:
        return {}
    for name in found.names:
        if name not in names.every | _KNOWN_EARLY:
            hint = "capture it in every pattern, or have an earlier query give it"
            what = f"lookup {quoted(lookup)} starts from {{{name}}}, which this rule does not always capture"
            report.error(at, what, hint)
            return {}
    values = {name: parse_template(f"{{{name}}}", allowed=(name,)) for name in found.names}
    return {"lookup": parse_template(lookup, allowed=()), **values}


def _target_texts(value: object, at: Location) -> Iterable[tuple[str, Location]]:
    if at[-1] == "lookup" or value is None:
        return ()
    if isinstance(value, list):
        return tuple((str(text), (*at, index)) for index, text in enumerate(value))
    return ((str(value), at),)


def _complete(given: GivenComplete | None, at: Location, report: Report) -> Complete:
    if given is None:
        return Complete()
    return Complete(
        whole=given.whole != "off",
        marker=_marker(given.marker, (*at, "marker"), report),
        min_size=given.min_size or 0,
        within=given.within,
    )


_FILES = ({"file": "a.b", "stem": "a", "ext": "b"}, {"file": "a", "stem": "a", "ext": ""})
"""Names that a marker must not come out as: one with and one without a suffix."""


def _marker(text: str | None, at: Location, report: Report) -> Template | None:
    if text is None:
        return None
    marker = _template(text, at, parse_filename, MARKER_NAMES, _NO_NAMES, report)
    if marker is None:
        return None
    if NAMES_THE_FILE.isdisjoint(marker.names):
        report.error(at, "a marker is named after its file", 'use {file} or {stem}, as "{file}.done"')
    elif any(marker.render(each) == each["file"] for each in _FILES):
        report.error(at, "this is the file itself", 'a marker lies beside its file, as "{file}.done"')
    elif "\0" in marker.text:
        report.error(at, "no name has a NUL character", "leave it out")
    return marker


def _check_examples(given: GivenRule, at: Location, report: Report) -> None:
    for index, example in enumerate(given.examples or ()):
        _check_example(example, (*at, "examples", index), report)


def _check_example(example: GivenExample, at: Location, report: Report) -> None:
    if example.match is False and (example.target or example.filename):
        report.error(at, "`match: false` and what should come out exclude each other", "keep one of them")
    if example.path is not None and example.path.startswith("/"):
        report.error(
            (*at, "path"), "must be relative to the folder", "leave the folder and the first `/` out"
        )


def _check_destination(given: GivenRule, at: Location, around: Surroundings, report: Report) -> None:
    if given.to is not None and given.to not in around.kinds:
        hint = did_you_mean(given.to, around.kinds) or "add it under `destinations`"
        report.error((*at, "to"), f"there is no destination {quoted(given.to)}", hint)
    if given.target is not None and given.to is not None:
        check_target(given.target, around.kinds.get(given.to), (*at, "target"), around.lookups, report)


def _example(given: GivenExample) -> Example:
    return Example(
        path=given.path or "",
        target=None
        if given.target is None
        else {key: _one_text(value) for key, value in given.target.items()},
        filename=given.filename,
        match=given.match is not False,
    )


def _one_text(given: str | list[str]) -> str:
    """Give a value of a target as it is rendered: several ids with commas between them."""
    return given if isinstance(given, str) else BETWEEN_IDS.join(given)
