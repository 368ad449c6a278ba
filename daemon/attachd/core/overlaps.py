"""Rules that get in each other's way: one that never has its turn, and two that may take the same path. Pure.

Nothing is said that is not true: see `core.covering` and `core.shared_paths`. A rule that is a special case
of a later one is how rules are meant to be ordered, and no overlap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from attachd.core.covering import takes_all
from attachd.core.patterns import Pattern
from attachd.core.rules import Rule
from attachd.core.sentences import quoted
from attachd.core.shared_paths import shared_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Something worth saying about a rule.

    Attributes:
        rule: its position.
        pattern: the position of the pattern among its patterns, or None for the rule as a whole.
        what: one clause without a full stop.
        hint: what to do about it.
    """

    rule: int
    pattern: int | None
    what: str
    hint: str


def overlaps(rules: Sequence[Rule]) -> Iterator[Overlap]:
    """Give what gets in the way of what, in one folder's rules."""
    for position, rule in enumerate(rules):
        takers = [each for each in rules[:position] if not each.more]
        covered = [_taker(takers, pattern) for pattern in rule.patterns]
        if all(covered):
            yield _unreachable(position, None, covered)
            continue
        for index, taker in enumerate(covered):
            if taker is not None:
                yield _unreachable(position, index, [taker])
        yield from _shared(rules, position, takers)


def _taker(earlier: Sequence[Rule], pattern: Pattern) -> Rule | None:
    return next((rule for rule in earlier if any(takes_all(each, pattern) for each in rule.patterns)), None)


def _unreachable(rule: int, pattern: int | None, takers: Sequence[Rule | None]) -> Overlap:
    names = " and ".join(quoted(name) for name in dict.fromkeys(each.name for each in takers if each))
    subject = "this rule" if pattern is None else "this pattern"
    return Overlap(
        rule=rule,
        pattern=pattern,
        what=f"{subject} never has its turn: {names} before it takes every path that it could",
        hint="the special rule goes before the general one; or say `continue: true` there",
    )


def _shared(rules: Sequence[Rule], position: int, takers: Sequence[Rule]) -> Iterator[Overlap]:
    later = rules[position]
    examples = [example.path for rule in rules for example in rule.examples]
    for earlier in takers:
        if _result(earlier) == _result(later) or any(
            _takes(earlier, e) and _takes(later, e) for e in examples
        ):
            continue
        path = _shared_path(earlier, later)
        if path is not None:
            yield Overlap(
                rule=position,
                pattern=None,
                what=f"{quoted(path)} would fit this rule too, and {quoted(earlier.name)} before it takes it",
                hint="if that is meant, give such a path as an example; else make one of them narrower",
            )


def _result(rule: Rule) -> tuple[str, tuple[tuple[str, str], ...]]:
    return rule.to, tuple(sorted((key, template.text) for key, template in rule.target.items()))


def _takes(rule: Rule, path: str) -> bool:
    return any(pattern.match(path) is not None for pattern in rule.patterns)


def _shared_path(earlier: Rule, later: Rule) -> str | None:
    for one, other in product(earlier.patterns, later.patterns):
        if takes_all(one, other) or takes_all(other, one):
            continue
        path = shared_path(one, other)
        if path is not None:
            return path
    return None
