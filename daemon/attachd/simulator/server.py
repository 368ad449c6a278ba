"""The simulator as a whole: start it, ask it what happened, make it fail, stop it.

It speaks on loopback only. `GET /` is a page for people, `GET /record` and `DELETE /record` the record of
what happened, `GET`, `POST` and `DELETE /faults` the fault script (see `faults`), `GET` and `POST /world` the
units it has learned (see `units`), `POST /graphql` is ION, `POST /public/graphql` Glue, `POST /oauth/token`
lends tokens for both (see `tokens`), and everything under `/storage/` is the storage behind signed URLs.
Which ids exist: see `targets` for ION's and `glue_memory` for Glue's.
"""

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, Unpack

from attachd.simulator.faults import Faults, parse_rule
from attachd.simulator.glue import Glue
from attachd.simulator.glue_memory import WORKSPACE, File, Message
from attachd.simulator.glue_schema import Manner, Switches
from attachd.simulator.handler import GLUE_PATH, Handler, Site
from attachd.simulator.ion import Ion, Terms
from attachd.simulator.listener import Listener
from attachd.simulator.outside import Outside
from attachd.simulator.posting import Posting
from attachd.simulator.shelf import Shelf
from attachd.simulator.storage import Storage
from attachd.simulator.targets import Ids
from attachd.simulator.tickets import Tickets
from attachd.simulator.tokens import GLUE_CLIENT, Client, Organization, Tokens
from attachd.simulator.world import Attachment, Stored, World

TOKEN = "simulator-token"  # noqa: S105 - public on purpose: it opens nothing but a simulator
GLUE_TOKEN = "simulator-glue-token"  # noqa: S105 - public on purpose: it opens nothing but a simulator


class Simulator:
    """A strict local ION and a strict local Glue with their storage, on 127.0.0.1.

    It may be started again after a stop, at the same address: the record and what ION knows stay, the bytes
    that were stored do not. Also a context manager.

    Args:
        port: 0 for any free one.
        token: one that ION accepts and that never ends.
        tokens: more of them, each with the domain of its organization.
        seed: makes storage keys and signatures repeatable; empty: random ones.
        ids: which objects exist, see `targets`.
        url_lifetime: seconds for which a signed URL serves.
        organization: domain of the organization that `token`, and every token that is lent, belongs to;
            empty: the schema has no `currentUser`.
        organization_id: of that organization; those of `tokens` follow it.
        client: who is lent tokens at `token_url`.
        clock: UNIX time in seconds, by which URLs expire.
        listing: how ION lists attachments: `none`, `entity` or `filters`, see `lists`.
        storage: a real S3 service that the URLs lead to; None for the simulator's own storage.
        glue_token: one that Glue accepts, and ION does not, and that never ends.
        glue_client: who is lent tokens for Glue at `token_url`.
        glue: what Glue is like, see `glue_schema`.

    Raises:
        ValueError: a switch of Glue has an unknown value.
    """

    def __init__(  # noqa: PLR0913 - what one simulator is like, given by keyword
        self,
        port: int = 0,
        *,
        token: str = TOKEN,
        tokens: Mapping[str, str] | None = None,
        seed: str = "",
        ids: Ids | None = None,
        url_lifetime: int = 300,
        organization: str = "simulator.example",
        organization_id: int = 1,
        client: Client | None = None,
        clock: Callable[[], float] = time.time,
        listing: str = "none",
        storage: Outside | None = None,
        glue_token: str = GLUE_TOKEN,
        glue_client: Client = GLUE_CLIENT,
        **glue: Unpack[Switches],
    ) -> None:
        self.token = token
        self._port = port
        self._terms = Terms(
            ids=ids or Ids(),
            tells_organization=organization != "",
            url_lifetime=url_lifetime,
            listing=listing,
            outside=storage,
        )
        self._tokens = _tokens(
            {token: organization, **(tokens or {})}, organization_id, client or Client(), clock
        )
        self.glue_token = glue_token
        self._manner = Manner.of(glue)
        self._glue_tokens = _glue_tokens(glue_token, glue_client, clock)
        self._world = World(seed=seed, clock=clock)
        self._faults = Faults()
        self._running: _Running | None = None

    def start(self) -> None:
        """Listen and serve in threads of its own.

        Raises:
            OSError: the port is taken.
        """
        if self._running is None:
            self._running = _Running(self._port, self._site)
            self._port = self._running.port
            self._faults.open()

    def stop(self) -> None:
        """Cut every connection, end every thread and remove the stored bytes."""
        if self._running is not None:
            self._faults.close()
            self._running.end()
            self._running = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Give the base address, without a slash at the end; it stays the same after a stop."""
        if self._port == 0:
            raise RuntimeError("the simulator has no address before it is started")
        return f"http://127.0.0.1:{self._port}"

    @property
    def graphql_url(self) -> str:
        """Give ION's address."""
        return f"{self.url}/graphql"

    @property
    def glue_url(self) -> str:
        """Give Glue's address."""
        return f"{self.url}{GLUE_PATH}"

    @property
    def token_url(self) -> str:
        """Give the address that lends tokens."""
        return f"{self.url}/oauth/token"

    def expire_tokens(self) -> None:
        """End every token that was lent so far."""
        self._tokens.end_all()
        self._glue_tokens.end_all()

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """Give every attachment in the order of creation."""
        return self._world.attachments

    @property
    def puts(self) -> tuple[Stored, ...]:
        """Give every accepted upload, by PUT or by a form, in the order of completion."""
        return self._world.puts

    @property
    def files(self) -> tuple[File, ...]:
        """Give every file at Glue in the order of creation."""
        return self._world.glue.files

    @property
    def messages(self) -> tuple[Message, ...]:
        """Give every message at Glue in the order of sending."""
        return self._world.glue.messages

    @property
    def call_counts(self) -> Counter[str]:
        """Give how often each call and each GraphQL root field was asked for, refused ones included.

        Calls are those of the fault script, and `redirected`.
        """
        return self._world.calls

    @property
    def faults_left(self) -> list[dict[str, Any]]:
        """Give the fault rules that have not struck as often as they should."""
        return self._faults.left()

    def fault(
        self,
        *,
        do: str | Mapping[str, Any],
        call: str = "any",
        times: int = 1,
        match: Mapping[str, Any] | None = None,
    ) -> None:
        """Append a rule to the fault script; `faults` says what each value means.

        Raises:
            ValueError: it is no rule.
        """
        do = do if isinstance(do, str) else dict(do)
        rule = parse_rule({"call": call, "do": do, "times": times, "match": dict(match or {})})
        self._faults.add([rule])

    def learn_unit(
        self,
        serial: str,
        part: int,
        run: int | None = None,
        steps: Sequence[tuple[int, str]] = (),
        *,
        status: str = "in_progress",
    ) -> int:
        """Teach ION a unit with a run and its steps (id and title), and give the id of the unit.

        The same serial with another part is another unit; the same unit may have several runs.

        Raises:
            ValueError: an id is none, or the run is another unit's.
        """
        return self._world.units.learn(serial, part, run, steps, status=status)

    def clear_faults(self) -> None:
        """Forget the fault script and end every silence."""
        self._faults.clear()

    def reset(self) -> None:
        """Forget attachments, files, messages, stored objects and counters."""
        self._world.reset()

    def wait_for(self, predicate: Callable[[], bool], timeout: float) -> bool:
        """Wait until the predicate holds, looked at after each call, upload, attachment, file and message.

        Args:
            predicate: may read this simulator; must not wait itself.
            timeout: seconds.

        Returns:
            Whether it held in time.
        """
        return self._world.wait_for(predicate, timeout)

    def _site(self, url: str, directory: Path) -> Site:
        shelf = Shelf(directory)
        return Site(
            url=url,
            world=self._world,
            faults=self._faults,
            ion=Ion(self._world, self._terms, self._tokens, url),
            tokens=self._tokens,
            glue=self._glue(url),
            glue_tokens=self._glue_tokens,
            storage=Storage(self._world, shelf),
            posting=Posting(self._world, shelf),
            about={
                "graphql_url": f"{url}/graphql",
                "glue_url": f"{url}{GLUE_PATH}",
                "glue_token": self.glue_token,
                "token_url": f"{url}/oauth/token",
                "token": self.token,
                "unknown": self._terms.ids.unknown,
                "forbidden": self._terms.ids.forbidden,
            },
        )

    def _glue(self, url: str) -> Glue:
        outside, lifetime = self._terms.outside, self._terms.url_lifetime
        tickets = Tickets(self._world, self._manner, base_url=url, outside=outside, lifetime=lifetime)
        return Glue(self._world, self._manner, tokens=self._glue_tokens, tickets=tickets, outside=outside)


class _Running:
    """What lives from a start to a stop: listener, threads and the directory of the bytes."""

    def __init__(self, port: int, site: Callable[[str, Path], Site]) -> None:
        self._listener = Listener(port)
        self.port = self._listener.server_port
        self._directory = tempfile.TemporaryDirectory(prefix="simulator-")
        shared = site(f"http://127.0.0.1:{self.port}", Path(self._directory.name))
        self._listener.RequestHandlerClass = partial(Handler, shared)
        self._thread = threading.Thread(target=self._listener.accept_all, name="simulator", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._listener.end()
        self._thread.join()
        self._listener.cut()
        self._listener.server_close()
        self._directory.cleanup()


def _tokens(domains: Mapping[str, str], first_id: int, client: Client, clock: Callable[[], float]) -> Tokens:
    ids = {domain: first_id + number for number, domain in enumerate(dict.fromkeys(domains.values()))}
    owners = {token: Organization(ids[domain], domain) for token, domain in domains.items()}
    return Tokens(owners, next(iter(owners.values())), client, clock)


def _glue_tokens(token: str, client: Client, clock: Callable[[], float]) -> Tokens:
    workspace = Organization(1, WORKSPACE)
    return Tokens({token: workspace}, workspace, client, clock, prefix="lent-glue-token")


def serve(
    port: int, announce: Callable[[str], None], stop: threading.Event, **glue: Unpack[Switches]
) -> None:
    """Run a simulator until `stop` is set; the command `attachd simulator`.

    Args:
        port: 0 for any free one.
        announce: gets one line at a time: what to set to use the simulator, and where its page is.
        stop: set it to end.

    Raises:
        OSError: the port is taken.
    """
    with Simulator(port, **glue) as simulator:
        announce(f"export ION_URL={simulator.graphql_url}")
        announce(f"export ION_TOKEN={simulator.token}")
        announce(f"export GLUE_URL={simulator.glue_url}")
        announce(f"export GLUE_TOKEN={simulator.glue_token}")
        announce(f"# What arrives is shown at {simulator.url}/")
        stop.wait()
