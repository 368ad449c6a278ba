"""`folders` of the document → folder settings: paths, overlaps, ignore patterns, rules and their examples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from attachd.config.context import Context
from attachd.config.document import Folder
from attachd.config.links import real_path
from attachd.config.rulebook import Surroundings, build_rule
from attachd.config.wording import Location, quoted
from attachd.core.afters import is_inside, static_directory
from attachd.core.noise import check_ignore
from attachd.core.overlaps import overlaps
from attachd.core.rules import FileFacts, Rule, run_example
from attachd.core.settings import Existing, FolderSettings, RequireMount, Watch

_SOME_DAY = datetime(2000, 1, 1, 12, tzinfo=UTC)
"""The day on which the file of an example was written and seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Directory:
    """A folder's path as it is spelled, and where it leads."""

    at: Location
    path: str
    real: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moves:
    """What is needed to see where the rules of a folder move files to; `names` are those of every rule."""

    at: Location
    rules: tuple[Rule, ...]
    names: tuple[str | None, ...]
    directories: tuple[_Directory, ...]


def build_folders(
    given: Sequence[Folder], around: Surroundings, context: Context
) -> tuple[FolderSettings, ...]:
    """Check the folders and give their settings, one for each path; good only if nothing was reported."""
    directories: list[_Directory] = []
    settings: list[FolderSettings] = []
    moves: list[_Moves] = []
    for index, folder in enumerate(given):
        at: Location = ("folders", index)
        found = list(_directories(folder, (*at, "path"), context))
        directories += found
        rules = _rules(folder, at, replace(around, case_sensitive=bool(folder.case_sensitive)), context)
        _check_ignore(folder, at, context)
        if folder.rescan is not None and folder.rescan <= 0:
            context.report.error((*at, "rescan"), "must be more than nothing")
        settings += [_folder(folder, directory, rules) for directory in found]
        moves.append(_Moves(at=at, rules=rules, names=_names(folder), directories=tuple(found)))
    _check_overlap(directories, context)
    _check_moves(moves, directories, context)
    _check_rule_names(given, context)
    return tuple(settings)


def _folder(given: Folder, directory: _Directory, rules: tuple[Rule, ...]) -> FolderSettings:
    return FolderSettings(
        path=directory.path,
        existing=Existing(given.existing or "upload"),
        rules=rules,
        watch=Watch(given.watch or "auto"),
        settle=given.settle,
        rescan=given.rescan,
        ignore=tuple(given.ignore or ()),
        require_mount=_require_mount(given.require_mount),
        case_sensitive=bool(given.case_sensitive),
    )


def _require_mount(given: "bool | Literal['auto'] | None") -> RequireMount:
    return RequireMount.AUTO if given in {None, "auto"} else RequireMount(str(given).lower())


def _directories(given: Folder, at: Location, context: Context) -> Iterator[_Directory]:
    listed = isinstance(given.path, list)
    texts = given.path if isinstance(given.path, list) else [given.path]
    for index, text in enumerate(texts):
        if text is not None:
            path = context.absolute(text)
            yield _Directory(at=(*at, index) if listed else at, path=path, real=real_path(path))


def _check_overlap(directories: Sequence[_Directory], context: Context) -> None:
    for index, later in enumerate(directories):
        for earlier in directories[:index]:
            what = _overlap(earlier, later)
            if what:
                line = context.report.places[earlier.at].line
                hint = "folders must not overlap: every file belongs to one"
                context.report.error(later.at, f"{what} `{earlier.path}` of line {line}", hint)
                break


def _overlap(earlier: _Directory, later: _Directory) -> str:
    if earlier.path == later.path or earlier.real == later.real:
        return "is the same directory as"
    pairs = ((earlier.path, later.path), (earlier.real, later.real))
    if any(_is_inside(inner, outer) for outer, inner in pairs):
        return "lies inside"
    if any(_is_inside(inner, outer) for inner, outer in pairs):
        return "lies around"
    return ""


def _is_inside(inner: str, outer: str) -> bool:
    return inner.startswith(outer.rstrip("/") + "/")


def _names(given: Folder) -> tuple[str | None, ...]:
    return tuple(rule.name for rule in given.rules or ())


def _check_moves(moves: Sequence[_Moves], watched: Sequence[_Directory], context: Context) -> None:
    """Refuse each move that leads into a watched folder whatever the file is called."""
    for move in moves:
        for rule in move.rules:
            folder = _moved_into(rule, move.directories, watched)
            if folder is not None:
                where = (*move.at, "rules", move.names.index(rule.name), "after", "move")
                what = f"leads into the watched folder `{folder.path}`"
                hint = "relative paths count from the directory of this file: move to a directory beside it"
                context.report.error(where, what, hint)


def _moved_into(
    rule: Rule, directories: Sequence[_Directory], watched: Sequence[_Directory]
) -> _Directory | None:
    if rule.after is None or rule.after.move is None:
        return None
    for directory in directories:
        place = static_directory(rule.after.move, rule.after.base, directory.path)
        real = real_path(place)
        for folder in watched:
            if is_inside(place, folder.path) or is_inside(real, folder.real):
                return folder
    return None


def _check_ignore(given: Folder, at: Location, context: Context) -> None:
    for index, pattern in enumerate(given.ignore or ()):
        try:
            check_ignore(pattern)
        except ValueError as error:
            context.report.error((*at, "ignore", index), str(error))


def _rules(given: Folder, at: Location, around: Surroundings, context: Context) -> tuple[Rule, ...]:
    built = [
        build_rule(rule, (*at, "rules", index), around, context)
        for index, rule in enumerate(given.rules or ())
    ]
    rules = tuple(rule for rule in built if rule is not None)
    if len(rules) == len(built):  # a broken rule might have taken an example's path: then nothing can be said
        _run_examples(rules, at, context)
        _warn_of_overlaps(rules, at, context)
    return rules


def _warn_of_overlaps(rules: tuple[Rule, ...], at: Location, context: Context) -> None:
    for found in overlaps(rules):
        rule: Location = (*at, "rules", found.rule)
        listed = (*rule, "match", 0) in context.report.places
        where: Location = (*rule, "match") if (*rule, "match") in context.report.places else (*rule, "regex")
        if found.pattern is not None and listed:
            where = (*where, found.pattern)
        context.report.warn(where, found.what, found.hint)


def _run_examples(rules: tuple[Rule, ...], at: Location, context: Context) -> None:
    for number, rule in enumerate(rules):
        for index, example in enumerate(rule.examples):
            failure = run_example(rules, rule, example, _facts(example.path))
            if failure:
                where = (*at, "rules", number, "examples", index)
                context.report.error(where, f"the example fails: {failure}")


def _facts(path: str) -> FileFacts:
    return FileFacts(
        path=path,
        folder="/folder",
        size=1,
        mtime=_SOME_DAY,
        first_seen=_SOME_DAY,
        host="host",
        timezone=UTC,
    )


def _check_rule_names(given: Sequence[Folder], context: Context) -> None:
    lines: dict[str, int] = {}
    for number, folder in enumerate(given):
        for index, rule in enumerate(folder.rules or ()):
            at: Location = ("folders", number, "rules", index, "name")
            if rule.name is None:
                continue
            if rule.name in lines:
                what = f"there is a rule {quoted(rule.name)} in line {lines[rule.name]} already"
                context.report.error(at, what, "a rule's name is unique in the whole file")
            else:
                lines[rule.name] = context.report.places[at].line
