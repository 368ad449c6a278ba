"""Asks ION which attachments an entity has, to settle doubt: with the document of rules.yaml, or one found.

The schema is looked at once per start, when the first doubt is to be settled. Where it offers no list, or
does not let itself be looked at, nothing is asked any more.
"""

from collections.abc import Callable, Iterator
from functools import cache
from threading import Lock

import structlog

from attachd.core.protocols import Answer
from attachd.core.settings import DoubtQuery
from attachd.destinations import shapes
from attachd.destinations.absence import Absence
from attachd.destinations.graphql import GraphQL
from attachd.destinations.listing import Found, Page, found_in, read_page, variables_of, verdict
from attachd.errors import Trouble
from attachd.model import Severity

log = structlog.get_logger("attachd")

PAGES = 100
"""Pages of one list that are read at most; a longer list proves only what it shows."""


class Attachments:
    """Lists of one account. Used by many workers at once.

    Args:
        graphql: asks.
        configured: the query of rules.yaml, or None to look for one in the schema.
        monotonic: seconds of a clock that never jumps.
    """

    def __init__(
        self, graphql: GraphQL, configured: DoubtQuery | None, monotonic: Callable[[], float]
    ) -> None:
        self._graphql = graphql
        self._listing = configured
        self._known = configured is not None
        self._lock = Lock()
        self._absence = Absence(monotonic)

    def of(self, entity_id: str, s3_key: str) -> Found | None:
        """Find the attachments of an entity that have a storage key; None where no list can be asked for.

        Raises:
            Trouble: ION did not answer, refused, or may still be at work on what is not listed.
        """
        listing = self._chosen()
        if listing is None:
            return None
        found = found_in(self._pages(listing, entity_id, s3_key), s3_key)
        self._require_time(verdict(found), s3_key)
        return found

    def _chosen(self) -> DoubtQuery | None:
        with self._lock:
            if not self._known:
                self._listing = self._found_in_schema()
                self._known = True
                log.info("doubt_query_found" if self._listing else "doubt_query_not_found")
            return self._listing

    def _found_in_schema(self) -> DoubtQuery | None:
        try:
            name = self._graphql.ask(shapes.ROOT, {}).at("__schema", "queryType", "name")
            look = cache(self._look)
            return shapes.choose(look(name), look) if isinstance(name, str) else None
        except Trouble as trouble:
            if trouble.severity is not Severity.LASTING:
                raise
            log.info("schema_not_shown", why=trouble.message)
            return None

    def _look(self, name: str) -> shapes.Type:
        return shapes.read_type(self._graphql.ask(shapes.TYPE, {"name": name}).at("__type"))

    def _pages(self, listing: DoubtQuery, entity_id: str, s3_key: str) -> Iterator[Page]:
        after: str | None = None
        for _ in range(PAGES):
            variables = variables_of(listing, {"entityId": entity_id, "s3Key": s3_key, "after": after})
            page = read_page(listing, self._graphql.ask(listing.query, variables).data)
            yield page
            if page.after in {None, after}:
                return
            after = page.after

    def _require_time(self, answer: Answer, s3_key: str) -> None:
        """Believe that an attachment is not there only once ION has had time to finish."""
        if answer is Answer.DID_NOT:
            self._absence.require(s3_key, "ION does not list the attachment, but may still be at work on it")
        else:
            self._absence.forget(s3_key)
