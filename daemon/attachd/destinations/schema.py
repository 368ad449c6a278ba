"""The schema of one account, for what the vendor's pages leave open: asked for as far as it is needed."""

from threading import Lock

import structlog

from attachd.destinations.graphql import GraphQL
from attachd.destinations.introspection import ROOTS
from attachd.destinations.shapes import TYPE, Member, Type, read_type
from attachd.errors import Trouble
from attachd.model import Severity

log = structlog.get_logger("attachd")


class Schema:
    """What one account's API has, as it describes itself. Used by many workers at once.

    It is asked once, type by type, and again only after `forget`. An API that refuses to describe itself has
    nothing, as far as this tells: what the pages say counts then.
    """

    def __init__(self, graphql: GraphQL) -> None:
        self._graphql = graphql
        self._lock = Lock()
        self._types: dict[str, Type] = {}
        self._mutations: str | None = None

    def mutation(self, name: str) -> Member | None:
        """Give a mutation with its arguments; None where there is none of this name, or nothing is told.

        Raises:
            Trouble: passing, or we are refused altogether: the answer is still to come.
        """
        with self._lock:
            if self._mutations is None:
                self._mutations = self._root()
            root = self._mutations
        return self.type(root).fields.get(name)

    def type(self, name: str) -> Type:
        """Give a type by its name; one that is not there, or not told of, has no members.

        Raises:
            Trouble: as of `mutation`.
        """
        with self._lock:
            if name and name not in self._types:
                self._types[name] = read_type(self._ask(TYPE, {"name": name}).get("__type"))
            return self._types.get(name, Type())

    def forget(self) -> None:
        """Ask anew from now on: a call that fitted what is remembered was refused for its form."""
        with self._lock:
            self._types.clear()
            self._mutations = None

    def _root(self) -> str:
        schema = self._ask(ROOTS, {}).get("__schema")
        kind = schema.get("mutationType") if isinstance(schema, dict) else None
        return str(kind.get("name") or "") if isinstance(kind, dict) else ""

    def _ask(self, document: str, variables: dict[str, str]) -> dict[str, object]:
        try:
            return dict(self._graphql.ask(document, variables).data)
        except Trouble as trouble:
            if trouble.severity is not Severity.LASTING:
                raise
            log.info("schema_not_shown", why=trouble.message)
            return {}
