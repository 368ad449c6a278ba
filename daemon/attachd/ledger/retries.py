"""A person's `retry`: held and waiting deliveries go again, and nothing unanswered is repeated blindly."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from attachd.core.protocols import Change
from attachd.ledger.moves import Standpoint, move
from attachd.ledger.rows import error_of
from attachd.model import State

_ROW = (
    "SELECT id, state, run, intent, elder_id, waited, error_kind, error_message, error_hint"
    " FROM deliveries WHERE id = ?"
)
_ALL = "SELECT id FROM deliveries WHERE state IN ('held', 'waiting') ORDER BY elder_id IS NOT NULL, id"
_AGAIN = frozenset({State.HELD, State.WAITING, State.DISMISSED})
_REASONS = {
    State.READY: "it is on its way already",
    State.ACTIVE: "a worker has it right now",
    State.DOUBTFUL: "its last call is being reconciled already",
    State.DONE: "it is attached already; --again sends it anew",
    State.DUPLICATE: "its bytes are attached already, by the delivery it follows",
    State.DISMISSED: "it was dismissed while a call was unanswered: `attachd resolve` settles that first",
    State.SUPERSEDED: "another delivery took over, for newer bytes or other rules",
    State.VANISHED: "its file is gone; drop it again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOutcome:
    """What became of a retry.

    Attributes:
        retried: deliveries that go again, or are reconciled again.
        behind: deliveries that go with their elder, by id: the elder goes again, or is on its way.
        refused: why the others do not, by id.
        unknown: ids that no delivery has.
    """

    retried: Sequence[int]
    behind: dict[int, int]
    refused: dict[int, str]
    unknown: Sequence[int]


@dataclass(slots=True)
class _Retry:
    """One retry under way; lives inside its transaction."""

    connection: sqlite3.Connection
    at: datetime
    by: str
    retried: list[int] = field(default_factory=list)
    behind: dict[int, int] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=list)

    def ask(self, delivery_id: int) -> None:
        """Retry one delivery, or its elder, or say why not."""
        row = self.connection.execute(_ROW, (delivery_id,)).fetchone()
        if row is None:
            self.unknown.append(delivery_id)
        elif delivery_id not in self.retried:
            self._retry(row)

    def _retry(self, row: sqlite3.Row) -> None:
        elder = self._elder(row)
        if row["state"] not in _AGAIN or (row["state"] == State.DISMISSED and row["intent"] is not None):
            self.refused[row["id"]] = _REASONS[State(row["state"])]
        elif elder is not None:
            self._retry_elder(row["id"], elder)
        else:
            self._go_again(row)

    def _elder(self, row: sqlite3.Row) -> sqlite3.Row | None:
        if row["elder_id"] is None:
            return None
        elder: sqlite3.Row | None = self.connection.execute(_ROW, (row["elder_id"],)).fetchone()
        return elder

    def _retry_elder(self, follower_id: int, elder: sqlite3.Row) -> None:
        if elder["state"] in {State.HELD, State.WAITING}:
            self._go_again(elder)
        self.behind[follower_id] = elder["id"]

    def _go_again(self, row: sqlite3.Row) -> None:
        to = State.READY if row["intent"] is None else State.DOUBTFUL
        again = Change(
            to=to,
            at=self.at,
            by=self.by,
            detail="asked for by a person",
            error=error_of(row) if to is State.DOUBTFUL else None,
            waits=-row["waited"],
        )
        move(self.connection, Standpoint.of(row), again)
        self.retried.append(row["id"])


def retry(connection: sqlite3.Connection, ids: Sequence[int] | None, at: datetime, by: str) -> RetryOutcome:
    """Let deliveries go again: the ones given, or with None every held and waiting one."""
    asked = ids if ids is not None else [row["id"] for row in connection.execute(_ALL).fetchall()]
    going = _Retry(connection, at, by)
    for each in dict.fromkeys(asked):
        going.ask(each)
    return RetryOutcome(
        retried=going.retried, behind=going.behind, refused=going.refused, unknown=going.unknown
    )
