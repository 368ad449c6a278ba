"""The gate of a destination: closed while it is down or refuses us, so that nothing burns attempts.

Pure: `Gate` is a value, each fact gives the next value, the time (monotonic seconds) is an argument.

An open gate closes when the destination refuses us (401 after renewal, wrong tenant), or when passing
trouble strikes three times in a row, of three different deliveries or without any answer from the
destination's address. A closed gate lets one delivery through at a time, the longest ready first:
the probe. Any answer that shows the destination works opens it.
"""

from dataclasses import dataclass, replace

from attachd.core.settings import RetryPolicy
from attachd.model import ErrorInfo

STRIKES = 3
"""Passing troubles in a row that close the gate."""

REFUSED_CAP = 60.0
"""Seconds between probes at most where we are refused: whoever mended the token should not wait for long."""

LASTING_PROBES = 2
"""Probes in vain after which `run --once` does not wait any longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """How a destination stands.

    Attributes:
        strikes: deliveries whose last attempts met passing trouble, in a row, while the gate is open.
        closed_since: monotonic seconds, or None while the gate is open.
        probe_at: when the next probe may go.
        probes: probes that failed since the gate closed.
        probing: the delivery that is out as the probe, or None.
        refused: the destination refused us altogether, rather than being out of reach.
        reason: why the gate is closed.
    """

    strikes: tuple[int, ...] = ()
    closed_since: float | None = None
    probe_at: float = 0.0
    probes: int = 0
    probing: int | None = None
    refused: bool = False
    reason: ErrorInfo | None = None

    @property
    def is_closed(self) -> bool:
        """Say whether only probes may go."""
        return self.closed_since is not None

    @property
    def is_lasting(self) -> bool:
        """Say whether nothing speaks for the gate opening soon: refused, or probed in vain."""
        return self.is_closed and (self.refused or self.probes >= LASTING_PROBES)


def may_claim(gate: Gate, now: float) -> int | None:
    """Say how many deliveries may be claimed: None for no limit, 1 for a probe, 0 for none."""
    if not gate.is_closed:
        return None
    return 1 if gate.probing is None and now >= gate.probe_at else 0


def probe_sent(gate: Gate, delivery_id: int) -> Gate:
    """Note that a delivery goes through the closed gate as its probe."""
    return replace(gate, probing=delivery_id) if gate.is_closed else gate


def probe_lost(gate: Gate, delivery_id: int) -> Gate:
    """Note that the probe ended without asking the destination (a duplicate, a vanished file)."""
    return replace(gate, probing=None) if gate.probing == delivery_id else gate


def answered(gate: Gate) -> Gate:
    """Note that the destination did its work for a delivery, or refused only that one: it is there."""
    return Gate() if gate.is_closed or gate.strikes else gate


def struck(
    gate: Gate,
    delivery_id: int,
    error: ErrorInfo,
    *,
    now: float,
    policy: RetryPolicy,
    refused: bool,
    unreachable: bool = False,
) -> Gate:
    """Note passing trouble (or a refusal) of one delivery.

    Args:
        gate: as it was.
        delivery_id: whose attempt it was.
        error: what to tell people while the gate is closed.
        now: monotonic seconds.
        policy: its `first` and `cap` time the probes.
        refused: the destination refuses us altogether: the gate closes at once.
        unreachable: no connection came about, which says nothing about the file: counts even for the
            same delivery.
    """
    if gate.is_closed:
        return _probe_failed(gate, delivery_id, error, now, policy)
    strikes = (
        gate.strikes if delivery_id in gate.strikes and not unreachable else (*gate.strikes, delivery_id)
    )
    if not refused and len(strikes) < STRIKES:
        return replace(gate, strikes=strikes)
    return Gate(closed_since=now, probe_at=now + policy.first, refused=refused, reason=error)


def _probe_failed(gate: Gate, delivery_id: int, error: ErrorInfo, now: float, policy: RetryPolicy) -> Gate:
    if gate.probing != delivery_id:  # a worker that was under way when the gate closed
        return gate
    probes = gate.probes + 1
    cap = min(policy.cap, REFUSED_CAP) if gate.refused else policy.cap
    pause = min(cap, policy.first * 2.0 ** min(probes, 32))
    return replace(gate, probing=None, probes=probes, probe_at=now + pause, reason=error)
