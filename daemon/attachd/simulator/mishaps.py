"""How each fault is played out on a connection."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from attachd.simulator.faults import Fault
from attachd.simulator.replies import Reply, json_reply, plain_page
from attachd.simulator.storage import expired
from attachd.simulator.world import World


class Exchange(Protocol):
    """A request that waits for its answer, as faults need it.

    Attributes:
        facts: arguments of the call.
        elsewhere: where redirects lead.
    """

    facts: Sequence[Mapping[str, Any]]

    @property
    def world(self) -> World:
        """Give the simulator's memory."""
        ...

    @property
    def elsewhere(self) -> str:
        """Give the address that redirects lead to."""
        ...

    def send(self, reply: Reply) -> None:
        """Answer."""
        ...

    def send_half(self, reply: Reply) -> None:
        """Begin to answer, then close the connection."""
        ...

    def send_slowly(self, reply: Reply, pause: Callable[[], bool]) -> None:
        """Answer byte by byte, waiting before each; where `pause` says so, close the connection instead."""
        ...

    def read_half(self) -> None:
        """Read half of the request's body."""
        ...

    def reset(self) -> None:
        """Reset the connection without an answer."""
        ...

    def close(self) -> None:
        """Close the connection without an answer."""
        ...


Work = Callable[[], Reply]


def play(fault: Fault, exchange: Exchange, work: Work) -> None:
    """Let a fault strike an exchange whose proper answer `work` would give."""
    _PLAYS[fault.kind](fault, exchange, work)


def _status(fault: Fault, exchange: Exchange, _work: Work) -> None:
    exchange.send(_scripted(fault.do))


def _delay(fault: Fault, exchange: Exchange, work: Work) -> None:
    if fault.released.wait(float(_value(fault))):
        exchange.close()
    else:
        exchange.send(work())


def _work_then(fault: Fault, exchange: Exchange, work: Work) -> None:
    work()
    loss = _value(fault)
    if loss == "reset":
        exchange.reset()
    elif loss == "hang":
        _hang(fault, exchange, work)
    else:
        exchange.send(_scripted(loss))


def _reset(_fault: Fault, exchange: Exchange, _work: Work) -> None:
    exchange.reset()


def _reset_mid_body(_fault: Fault, exchange: Exchange, _work: Work) -> None:
    exchange.read_half()
    exchange.reset()


def _hang(fault: Fault, exchange: Exchange, _work: Work) -> None:
    fault.released.wait()
    exchange.close()


def _graphql_error(fault: Fault, exchange: Exchange, _work: Work) -> None:
    exchange.send(json_reply({"data": None, "errors": [{"message": _value(fault)}]}))


def _error_beside(fault: Fault, exchange: Exchange, work: Work) -> None:
    reply = work()
    answer = json.loads(reply.body) if isinstance(reply.body, bytes) else {}
    answer["errors"] = [*answer.get("errors", []), {"message": _value(fault)}]
    exchange.send(json_reply(answer, status=reply.status))


def _null_data(_fault: Fault, exchange: Exchange, _work: Work) -> None:
    exchange.send(json_reply({"data": None}))


def _early(fault: Fault, exchange: Exchange, _work: Work) -> None:
    body = str(_part(fault, "body")).encode()
    exchange.send(Reply(status=_value(fault), body=body, closing=True))


def _trickle(fault: Fault, exchange: Exchange, work: Work) -> None:
    exchange.send_slowly(work(), lambda: fault.released.wait(float(_value(fault))))


def _etag(fault: Fault, exchange: Exchange, work: Work) -> None:
    reply = work()
    if reply.status < 300:
        exchange.world.retag(exchange.facts[0]["s3Key"], _value(fault))
        reply = replace(reply, headers={**reply.headers, "ETag": f'"{_value(fault)}"'})
    exchange.send(reply)


def _no_etag(_fault: Fault, exchange: Exchange, work: Work) -> None:
    reply = work()
    headers = {name: value for name, value in reply.headers.items() if name != "ETag"}
    exchange.send(replace(reply, headers=headers))


def _html(_fault: Fault, exchange: Exchange, _work: Work) -> None:
    exchange.send(plain_page("Sign in", "Please sign in to use this network."))


def _half(_fault: Fault, exchange: Exchange, work: Work) -> None:
    exchange.send_half(work())


def _expired(_fault: Fault, exchange: Exchange, _work: Work) -> None:
    now = exchange.world.clock()
    exchange.send(expired(now - 1, now))


def _redirect(fault: Fault, exchange: Exchange, _work: Work) -> None:
    to = fault.do.get("to", exchange.elsewhere) if isinstance(fault.do, dict) else exchange.elsewhere
    exchange.send(Reply(status=_value(fault), headers={"Location": str(to)}))


def _value(fault: Fault) -> Any:
    return fault.do[fault.kind] if isinstance(fault.do, dict) else None


def _part(fault: Fault, name: str) -> Any:
    return fault.do.get(name, "") if isinstance(fault.do, dict) else ""


def _scripted(do: Any) -> Reply:
    headers = {str(name): str(value) for name, value in do.get("headers", {}).items()}
    return Reply(status=do["status"], headers=headers, body=str(do.get("body", "")).encode())


_PLAYS: dict[str, Callable[[Fault, Exchange, Work], None]] = {
    "status": _status,
    "delay": _delay,
    "work_then": _work_then,
    "reset": _reset,
    "reset_mid_body": _reset_mid_body,
    "hang": _hang,
    "graphql_error": _graphql_error,
    "etag": _etag,
    "no_etag": _no_etag,
    "html": _html,
    "half": _half,
    "expired": _expired,
    "redirect": _redirect,
    "early": _early,
    "trickle": _trickle,
    "error_beside": _error_beside,
    "null_data": _null_data,
}
