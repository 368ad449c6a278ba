"""A strict local stand-in for ION, Glue and their storage, written from the vendor's pages alone.

It imports nothing else of this project, so that what it refuses is what the vendor's pages refuse, not
what the rest of the program believes. It needs the extra `simulator` (graphql-core).
"""

from attachd.simulator.server import GLUE_TOKEN, TOKEN, Simulator, serve
from attachd.simulator.targets import Ids
from attachd.simulator.tokens import GLUE_CLIENT, Client

__all__ = ["GLUE_CLIENT", "GLUE_TOKEN", "TOKEN", "Client", "Ids", "Simulator", "serve"]
