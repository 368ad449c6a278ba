"""Plain values → `Document`: every mistake of shape is reported, and what is left is still a document.

What is wrong is taken out and the rest is validated again, so that one mistake hides no other.
"""

import re
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from attachd.config.document import Document, Part
from attachd.config.fields import FAULT
from attachd.config.report import Place, Report
from attachd.config.traps import PREFIX, TRAP, explain, looks_numeric, plain_value
from attachd.config.tree import DEEPEST
from attachd.config.wording import Location, did_you_mean, is_secret, one_of, quoted

_STRING = PREFIX + "str"
_LONGEST_QUOTE = 40
_KEY = "[key]"  # how pydantic's loc names the key of a dict entry

_TYPE_ERRORS = frozenset({"string_type", "int_type", "float_type", "bool_type", "literal_error"})

_EXPECTED = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}


def shape(values: dict[str, object], report: Report) -> Document:
    """Validate `values`, which is used up in doing so, and give what is sound of it."""
    for _ in range(DEEPEST):
        try:
            document = Document.model_validate(values)
        except ValidationError as error:
            _note(error.errors(include_url=False, include_input=False), values, report)
        else:
            _require(document, (), report)
            return document
    return Document()


def part_at(at: Location) -> type[Part]:
    """Give the model of the innermost mapping with known keys at a location."""
    part: type[Part] = Document
    is_name = False  # of an entry that the person named, such as a destination
    for piece in (each for each in at if isinstance(each, str)):
        if is_name:
            is_name = False
            continue
        field = part.keys().get(piece)
        annotation = part.model_fields[field].annotation if field else None
        part = _inner_part(annotation) or part
        is_name = _holds_dict(annotation)
    return part


def _note(errors: list[ErrorDetails], values: dict[str, object], report: Report) -> None:
    faulty = []
    for error in sorted(errors, key=lambda each: each["type"] == "too_short"):
        at = _location(error["loc"], values)
        faulty.append((at, error["type"]))
        empty_because_of_others = error["type"] == "too_short" and report.has_error_at(at)
        if at not in report.faulty and not empty_because_of_others:
            _report_one(error, at, _value_at(values, at), report)
    for at, kind in faulty:
        _take_out(values, at, mapping_wanted=kind == "model_type")


def _report_one(error: ErrorDetails, at: Location, value: object, report: Report) -> None:
    if error["type"] == "extra_forbidden":
        _report_unknown_key(at, report)
        return
    if _KEY in error["loc"]:
        report.error(
            at, "this name cannot be used", "write letters, digits and `_`, beginning with a letter", key=True
        )
        return
    what, hint = _words(error, value, at)
    trap, remedy = _trap(error["type"], report.places.get(at), at)
    report.error(at, f"{what}; {trap}" if trap else what, remedy or hint)


def _report_unknown_key(at: Location, report: Report) -> None:
    around, key = at[:-1], str(at[-1])
    known = part_at(around).keys()
    guess = did_you_mean(key, known)
    if is_secret(around):
        report.mark(at)
        report.error(around, "has a key that is not known here", guess or f"known are {one_of(known)}")
        return
    hint = guess or f"known are {', '.join(f'`{each}`' for each in known)}"
    report.error(at, "unknown key", hint, key=True)


def _words(error: ErrorDetails, value: object, at: Location) -> tuple[str, str]:
    kind, context = error["type"], error.get("ctx", {})
    if kind == FAULT:
        return context["what"], context["hint"]
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", context["expected"])
        guess = did_you_mean(value, allowed) if isinstance(value, str) and not is_secret(at) else ""
        return f"must be {one_of(allowed)}", guess
    if kind == "string_pattern_mismatch":
        return "must be a name", "write letters, digits and `_`, beginning with a letter"
    if kind in _EXPECTED:
        return _EXPECTED[kind], ""
    return error["msg"].replace("Input should be", "must be").replace("String should", "must"), ""


def _trap(kind: str, place: Place | None, at: Location) -> tuple[str, str]:
    """Explain a scalar that YAML reads as something else than the person meant, and the remedy."""
    if place is None or not place.raw:
        return "", ""
    if place.tag == _STRING:
        return ("", "") if is_secret(at) else _trap_of_text(kind, place.raw)
    if is_secret(at):
        return "", "quote it"
    if kind not in _TYPE_ERRORS and plain_value(place.tag, place.raw) is not TRAP:
        return "", ""
    return explain(place.tag, place.raw), _remedy(kind, place.raw)


def _trap_of_text(kind: str, raw: str) -> tuple[str, str]:
    is_number_wanted = kind in {"int_type", "float_type"}
    if is_number_wanted and looks_numeric(raw):
        return f"{quoted(raw)} is read as text", "write plain decimal digits"
    if (is_number_wanted or kind == "bool_type") and raw[0] in {'"', "'"}:
        return "text in quotes is never a number or true", "leave the quotes out"
    return "", ""


def _remedy(kind: str, raw: str) -> str:
    if kind in {"int_type", "float_type"}:
        return "write plain decimal digits"
    if kind != "string_type":
        return ""
    return f'quote it: "{raw}"' if len(raw) < _LONGEST_QUOTE else "quote it"


def _location(loc: tuple[int | str, ...], values: object) -> Location:
    """Turn pydantic's loc into a location: the tags of alternatives appear in it, but not in the file."""
    at: list[int | str] = []
    for piece in loc:
        in_list = isinstance(values, list) and isinstance(piece, int)
        if in_list or (isinstance(values, dict) and piece in values):
            values = _value_at(values, (piece,))
            at.append(piece)
    return tuple(at)


def _value_at(values: object, at: Location) -> object:
    for piece in at:
        if isinstance(values, dict):
            values = values.get(piece)
        else:
            values = values[piece] if isinstance(values, list) and isinstance(piece, int) else None
    return values


def _take_out(values: dict[str, object], at: Location, *, mapping_wanted: bool) -> None:
    """Delete the key at or around a location; an entry of a list becomes an empty mapping, so none moves."""
    for length in range(len(at), 0, -1):
        around, piece = _value_at(values, at[: length - 1]), at[length - 1]
        if isinstance(around, dict):
            around.pop(piece, None)
            return
        if isinstance(around, list) and isinstance(piece, int) and mapping_wanted and around[piece] != {}:
            around[piece] = {}
            return


def _require(part: Part, at: Location, report: Report) -> None:
    if at in report.faulty:
        return
    for key, name in part.keys().items():
        value = getattr(part, name)
        if value is None and key in part.required and not report.has_error_at((*at, key)):
            description = type(part).model_fields[name].description
            report.error(
                (*at, key), f"`{key}` is missing", f"add it: {description}" if description else "add it"
            )
        _require_inside(value, (*at, key), report)


def _require_inside(value: object, at: Location, report: Report) -> None:
    if isinstance(value, Part):
        _require(value, at, report)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _require_inside(item, (*at, index), report)
    elif isinstance(value, dict):
        for key, item in value.items():
            _require_inside(item, (*at, key), report)


def _inner_part(annotation: Any) -> type[Part] | None:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation if issubclass(annotation, Part) else None
    found = (_inner_part(each) for each in get_args(annotation))
    return next((part for part in found if part), None)


def _holds_dict(annotation: Any) -> bool:
    if get_origin(annotation) is dict:
        return True
    return any(_holds_dict(each) for each in get_args(annotation) if not isinstance(each, str | bytes))
