"""Which target keys go together, by the kind of the destination."""

import re
from collections.abc import Collection, Iterator

from attachd.config.document import Target
from attachd.config.report import Report
from attachd.config.wording import Location, did_you_mean, listed, one_of, quoted

ION_KEYS = ("run_step", "run", "procedure", "step", "part", "run_step_field", "entity", "lookup")
GLUE_KEYS = ("message", "reply_to", "thread", "recipients", "subject")
GLUE_IDS = ("reply_to", "thread", "recipients")
_NO_ID = re.compile(r"[\s,/]")


def check_target(
    target: Target, kind: str | None, at: Location, lookups: Collection[str], report: Report
) -> None:
    """Report keys that do not belong together; nothing is said where the kind is not known."""
    given = [key for key in Target.model_fields if getattr(target, key) is not None]
    if kind == "ion":
        _check_ion(given, at, report)
    elif kind == "glue":
        _check_glue(given, at, report)
        _check_ids(target, at, report)
    if target.lookup is not None and target.lookup not in lookups:
        hint = did_you_mean(target.lookup, lookups) or "add it under `lookups`"
        report.error((*at, "lookup"), f"there is no lookup {quoted(target.lookup)}", hint)


def _check_ion(given: list[str], at: Location, report: Report) -> None:
    for key in set(given) & set(GLUE_KEYS):
        report.error(
            (*at, key), "is for destinations of kind glue", f"write one of {one_of(ION_KEYS)}", key=True
        )
    ours = [key for key in given if key in ION_KEYS]
    if len(ours) > 1:
        report.error(at, f"has {listed(ours)}: exactly one is allowed", "make one rule for each", key=True)
    if not given and not report.has_error_at(at):
        report.error(at, "has nothing to attach to", f"write one of {one_of(ION_KEYS)}", key=True)


def _check_glue(given: list[str], at: Location, report: Report) -> None:
    for key in set(given) & set(ION_KEYS):
        report.error(
            (*at, key), "is for destinations of kind ion", f"write one of {one_of(GLUE_KEYS)}", key=True
        )
    _check_goes_with("message", ("reply_to", "thread", "recipients"), given, at, report)
    _check_goes_with("recipients", ("subject",), given, at, report)
    if "thread" in given and "recipients" in given:
        report.error((*at, "recipients"), "there is a `thread` already", "keep one of them", key=True)


def _check_goes_with(
    other: str, keys: tuple[str, ...], given: list[str], at: Location, report: Report
) -> None:
    if other in given or report.has_error_at((*at, other)):
        return
    for key in keys:
        if key in given:
            hint = f"add `{other}`, or delete it"
            report.error((*at, key), f"goes with `{other}` only", hint, key=True)


def _check_ids(target: Target, at: Location, report: Report) -> None:
    """Report ids that Glue cannot have given out, such as the link of a thread."""
    for text, where in _ids(target, at):
        found = _NO_ID.search(text)
        if found:
            hint = "write the id alone, such as thr_…; several recipients are a list"
            report.error(where, "is no id of Glue", hint, offset=found.start())


def _ids(target: Target, at: Location) -> Iterator[tuple[str, Location]]:
    for key in GLUE_IDS:
        value = getattr(target, key)
        if isinstance(value, list):
            yield from ((text, (*at, key, index)) for index, text in enumerate(value))
        elif value is not None:
            yield value, (*at, key)
