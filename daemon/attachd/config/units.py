"""Durations and sizes as rules.yaml writes them."""

import re

DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)$"
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)?\s*(B|[kK]B|MB|GB|TB|KiB|MiB|GiB|TiB)$"

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    unit: base**power
    for base, units in ((1000, ("b", "kb", "mb", "gb", "tb")), (1024, ("b", "kib", "mib", "gib", "tib")))
    for power, unit in enumerate(units)
}
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)")
_LONGEST = 3650 * 86400.0  # ten years: more would overflow dates reckoned from it
_LARGEST = 2**62


def parse_duration(text: str) -> float:
    """Turn `500ms`, `2s`, `5m`, `1h`, `7d` into seconds.

    Raises:
        ValueError: with a clause that says what is wrong.
    """
    amount, unit = _split(text)
    if unit not in _SECONDS:
        raise ValueError("must be a duration with a unit: ms, s, m, h or d")
    seconds = amount * _SECONDS[unit]
    if seconds > _LONGEST:
        raise ValueError("must not be longer than 3650d")
    return seconds


def parse_size(text: str) -> int:
    """Turn `200 MB` (powers of 1000) and `5 GiB` (powers of 1024) into bytes.

    Raises:
        ValueError: with a clause that says what is wrong.
    """
    amount, unit = _split(text)
    if unit.lower() not in _BYTES:
        raise ValueError("must be a size with a unit: B, kB, MB, GB, TB, KiB, MiB, GiB or TiB")
    size: float = amount * _BYTES[unit.lower()]
    if size > _LARGEST:
        raise ValueError("must not be larger than 4000000 TiB")
    return round(size)


def _split(text: str) -> tuple[float, str]:
    found = _QUANTITY.fullmatch(text.strip())
    return (float(found[1]), found[2]) if found else (0.0, "nothing")
