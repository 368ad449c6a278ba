"""Finds regular expressions that one hostile name could keep busy for hours or for ever. Pure.

Theory of operation. Python's `re` backtracks: where a repeated part can read the same text in two ways, a
text that fails in the end is tried in all of them, twice as many with every character. That is so if the
automaton of the expression has a loop in which one text can be read along two different ways. So pairs of
states that read the same text are followed from each state with itself: a pair of two different states that
comes together again is such a text, and so is a step that can be made in two ways (all states of a loop lead
to each other, so whatever comes together also comes back). Where no loop is like that, the time
grows with a power of the length only: as many loops as can share a run of one character among them.

What it does not see: loops that share a longer text than one character, long rows of optional parts that are
written out, and what backreferences and look-arounds do to one another.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence

from attachd.core.automaton import Automaton, TooLarge, build

MOST_SHARING = 3
"""Loops that may share a text: with the longest path that a regex is tried on, some seconds at most."""

_MOST_STEPS = 300_000
"""Steps of pairs that are followed; an expression that needs more is refused."""


def slowness(regex: str, flags: int = 0) -> str:
    """Say why an expression that `re` compiles could take too long, as a clause, or "" for a harmless one."""
    try:
        automaton = build(regex, flags)
        loops = _loops(automaton.steps)
        if automaton.repeats_nothing or _is_ambiguous(automaton, loops):
            return "a repeated part of it can read the same text in several ways"
        sharing = max((_sharing(automaton, each) for each in automaton.samples), default=0)
    except (TooLarge, RecursionError):
        return "it is too large to be judged"
    return f"{sharing} of its repeated parts can share one text" if sharing > MOST_SHARING else ""


def _sharing(automaton: Automaton, character: str) -> int:
    """Count the loops, one after the other, that a run of one character can be shared out among."""
    inside = {state for state, reads in enumerate(automaton.reads) if character in reads}
    here = {state: [each for each in automaton.steps[state] if each in inside] for state in inside}
    loops = _loops({state: Counter(nexts) for state, nexts in here.items()})
    most: Counter[int] = Counter()  # by loop, and by state (below 0) where there is none
    for state in _order(here):
        own = loops[state] or ~state
        after = (most[loops[each] or ~each] for each in here[state] if (loops[each] or ~each) != own)
        most[own] = max(most[own], max(after, default=0) + (own > 0))
    return max(most.values(), default=0)


def _is_ambiguous(automaton: Automaton, loops: dict[int, int]) -> bool:
    inside = {
        state: Counter({each: nexts[each] for each in nexts if loops[each] == loops[state]})
        for state, nexts in automaton.steps.items()
        if loops[state]
    }
    if any(times > 1 for nexts in inside.values() for times in nexts.values()):
        return True
    return _pairs_part_and_meet(automaton.reads, {state: list(nexts) for state, nexts in inside.items()})


def _pairs_part_and_meet(reads: Sequence[frozenset[str]], inside: dict[int, list[int]]) -> bool:
    """Follow pairs from each state with itself; say whether two different ones lead to one again."""
    waiting = deque((state, state) for state in inside)
    seen = set(waiting)
    steps = 0
    while waiting:
        pair = waiting.popleft()
        for following in _following(pair, reads, inside):
            if pair[0] != pair[1] and following[0] == following[1]:
                return True
            steps += 1
            if following not in seen:
                seen.add(following)
                waiting.append(following)
        if steps > _MOST_STEPS:
            raise TooLarge
    return False


def _following(
    pair: tuple[int, int], reads: Sequence[frozenset[str]], inside: dict[int, list[int]]
) -> Iterator[tuple[int, int]]:
    for one in inside[pair[0]]:
        for other in inside[pair[1]]:
            if not reads[one].isdisjoint(reads[other]):
                yield one, other


def _loops(steps: dict[int, Counter[int]]) -> dict[int, int]:
    """Number the states from 1 by the loop they share; 0 for those in none."""
    forward = {state: list(nexts) for state, nexts in steps.items()}
    backward: dict[int, list[int]] = {state: [] for state in steps}
    for state, nexts in forward.items():
        for each in nexts:
            backward[each].append(state)
    numbers = dict.fromkeys(steps, 0)
    for number, state in enumerate(reversed(_order(forward)), start=1):
        if not numbers[state]:
            _mark(state, number, backward, numbers)
    members = Counter(numbers.values())
    return {
        state: number if members[number] > 1 or state in steps[state] else 0
        for state, number in numbers.items()
    }


def _order(forward: dict[int, list[int]]) -> list[int]:
    """List the states so that each comes after all that only it leads to (Kosaraju's first pass)."""
    order: list[int] = []
    seen: set[int] = set()
    for start, nexts in forward.items():
        stack = [(start, iter(nexts))] if start not in seen else []
        seen.add(start)
        while stack:
            each = next((one for one in stack[-1][1] if one not in seen), None)
            if each is None:
                order.append(stack.pop()[0])
            else:
                seen.add(each)
                stack.append((each, iter(forward[each])))
    return order


def _mark(start: int, number: int, backward: dict[int, list[int]], numbers: dict[int, int]) -> None:
    waiting = [start]
    numbers[start] = number
    while waiting:
        for each in backward[waiting.pop()]:
            if not numbers[each]:
                numbers[each] = number
                waiting.append(each)
