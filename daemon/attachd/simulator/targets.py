"""Which objects the stand-in knows, and the entity id of each.

ION gives every object an id of its own and, beside it, an entity id, which attachments need (vendor page,
"Choose an entityId"). Here the two can never be equal: entity id = kind number x 1,000,000 + object id, so
run step 42 has the entity 1000042 and run 42 the entity 2000042, and a client that confuses them names an
entity that does not exist.

By default every object id from 1 to 999,999 exists for each kind, except that
`900000` to `999999` are unknown (their query answers null, their entity ids are refused) and
`800000` to `899999` are forbidden (they can be read, but attaching to them is "Permission denied").
"""

from collections.abc import Container
from dataclasses import dataclass

SPAN = 1_000_000
"""Distance between the entity ids of one kind and the next, and the bound of object ids."""

KINDS = {"runStep": 1, "run": 2, "procedure": 3, "step": 4, "part": 5, "runStepField": 6}
"""The query field of each kind of object, with the number its entity ids begin with."""

_KIND_BY_NUMBER = {number: kind for kind, number in KINDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """Which object ids exist, which may be attached to, and how ids are written.

    Attributes:
        unknown: object ids that exist for no kind.
        forbidden: object ids to which nobody may attach.
        as_text: answer with ids as JSON strings instead of integers.
    """

    unknown: Container[int] = range(900_000, SPAN)
    forbidden: Container[int] = range(800_000, 900_000)
    as_text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An object that has an entity.

    Attributes:
        kind: one of `KINDS`.
        object_id: the object's own id.
    """

    kind: str
    object_id: int

    @property
    def entity_id(self) -> int:
        """Give the entity id, which differs from every object id."""
        return KINDS[self.kind] * SPAN + self.object_id


def number(text: str) -> int | None:
    """Read an id as ION's variables carry it: ASCII digits, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def by_object_id(ids: Ids, kind: str, text: str) -> Target | None:
    """Find an object by its own id."""
    object_id = number(text)
    if object_id is None or not 0 < object_id < SPAN or object_id in ids.unknown:
        return None
    return Target(kind=kind, object_id=object_id)


def by_entity_id(ids: Ids, text: str) -> Target | None:
    """Find the object that an entity id belongs to."""
    kind_number, object_id = divmod(number(text) or 0, SPAN)
    kind = _KIND_BY_NUMBER.get(kind_number)
    return by_object_id(ids, kind, str(object_id)) if kind else None
