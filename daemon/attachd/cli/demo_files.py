"""The sample files of the demo and what has to become of each under the example rules.yaml."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from attachd.cli.samples import jpeg, pdf, png

FOLDER = "drop"
"""The folder that the example rules.yaml watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One attachment as the simulator has to have it: the object by its kind and own id there."""

    kind: str
    object_id: int
    filename: str
    sha256: str

    def __str__(self) -> str:
        """Name it for a person."""
        return f"{self.filename} at {self.kind} {self.object_id}, sha256 {self.sha256[:12]}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One file that the demo drops.

    Attributes:
        path: relative to the watched folder.
        data: its bytes.
        target: kind and id of the object it belongs to; None where no rule takes it.
        filename: its shown name there.
        duplicate: whether the same bytes go to the same object already, so that it is not sent.
    """

    path: str
    data: bytes = field(repr=False)
    target: tuple[str, int] | None = None
    filename: str = ""
    duplicate: bool = False


EARLY = (
    Sample(
        path="st-3/42/front.jpg",
        data=jpeg("front"),
        target=("runStep", 42),
        filename="st-3-front.jpg",
    ),
    Sample(
        path="st-3/42/top/left/détail 測定.JPG",
        data=jpeg("top left"),
        target=("runStep", 42),
        filename="st-3-détail 測定.JPG",
    ),
    Sample(
        path="st-7/43/weld.png",
        data=png(96),
        target=("runStep", 43),
        filename="st-7-weld.png",
    ),
    Sample(
        path="parts/1207/drawing.pdf",
        data=pdf("Drawing of part 1207"),
        target=("part", 1207),
        filename="drawing.pdf",
    ),
    Sample(path="readme.txt", data=b"No rule takes this one.\n"),
)
"""What lies in the folder before the service starts."""

LATE = (
    Sample(path="st-7/43/weld (copy).png", data=png(96), target=("runStep", 43), duplicate=True),
    Sample(
        path="parts/1207/certificates/2026/steel.pdf",
        data=pdf("Certificate: steel (3.1)"),
        target=("part", 1207),
        filename="steel.pdf",
    ),
    Sample(
        path="reports/run-77/torque.csv",
        data=b"bolt,Nm\n1,24.8\n2,25.1\n",
        target=("run", 77),
        filename="run 77 torque.csv",
    ),
    Sample(
        path="st-9/44/2026-11-21/serial plate.jpeg",
        data=jpeg("serial plate"),
        target=("runStep", 44),
        filename="st-9-serial plate.jpeg",
    ),
)
"""What is dropped while it runs: the same bytes once more, and files in directories that are new."""


def arrivals(samples: Sequence[Sample]) -> list[Arrival]:
    """Give what has to arrive, each exactly once."""
    return [
        Arrival(
            kind=sample.target[0],
            object_id=sample.target[1],
            filename=sample.filename,
            sha256=hashlib.sha256(sample.data).hexdigest(),
        )
        for sample in samples
        if sample.target and not sample.duplicate
    ]


def drop(samples: Sequence[Sample], folder: Path) -> None:
    """Put samples into the folder as careful writers do: under a noise name first, then renamed."""
    for sample in samples:
        path = folder / sample.path
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.part")
        unfinished.write_bytes(sample.data)
        unfinished.rename(path)
