"""What the soak drops, changes, renames and deletes, and what must be attached because of it."""

import hashlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path

FILE, MESSAGE = "a file at Glue", "a message at Glue"
ENTITY = 1_000_000
"""Number of a run step's entity, above the run step's own."""

PLACES: dict[str, tuple[int | str, ...]] = {
    "keep": (ENTITY + 1,),
    "delete": (ENTITY + 2,),
    "move": (ENTITY + 3,),
    "post": (FILE, MESSAGE),
    "odd": (),
}
"""Where the files below each directory of the folder are to be attached."""

RULES = """
folders:
  - path: drop
    existing: upload
    settle: 300ms
    rescan: 10s
    rules:
      - {name: kept, match: "keep/**/*", to: ion, target: {run_step: "1"}}
      - {name: deleted, match: "delete/*", to: ion, target: {run_step: "2"}, after: delete}
      - {name: moved, match: "move/*", to: ion, target: {run_step: "3"}, after: {move: "sent/{file}"}}
      - {name: posted, match: "post/*", to: glue, target: {message: "Here is {file}"}}
"""

SIZES = (1, 100, 5_000, 5_000, 60_000)
MOST_CHANGES = 3  # below `max_versions`, so that no file is held for it

Mark = tuple[int | str, str]
"""A place and the SHA-256 of what is attached there."""


class Drops:
    """The folder as the soak made it. Owner: the main thread.

    Attributes:
        seen: every mark that may be attached, once at most.
        counts: how often each kind of drop was made.
    """

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.seen: set[Mark] = set()
        self.counts: dict[str, int] = {}
        self._chance = chance
        self._marks: dict[str, tuple[Mark, ...]] = {}
        self._changes: dict[str, int] = {}
        self._trees: list[str] = []
        self._number = 0
        self._ways: tuple[tuple[Callable[[], None], int], ...] = (
            (self.new, 50),
            (self.same, 6),
            (self.changed, 12),
            (self.renamed, 8),
            (self.deleted, 8),
            (self.subtree, 3),
            (self.subtree_renamed, 2),
            (self.subtree_deleted, 1),
        )
        for way in PLACES:
            (folder / way).mkdir(parents=True)

    @property
    def wanted(self) -> set[Mark]:
        """Give what must be attached: everything that was not changed or taken away by somebody."""
        return {mark for marks in self._marks.values() for mark in marks}

    def make(self) -> None:
        """Do one thing at random."""
        ways, weights = zip(*self._ways, strict=True)
        (way,) = self._chance.choices(ways, weights)
        way()
        self.counts[way.__name__] = self.counts.get(way.__name__, 0) + 1

    def new(self) -> None:
        """Write a file, in place or under another name first."""
        path = f"{self._chance.choice(list(PLACES))}/{self._name()}"
        self._write(path, self._content())

    def same(self) -> None:
        """Write the bytes of a file again, under another name."""
        if path := self._kept():
            self._write(f"keep/{self._name()}", (self.folder / path).read_bytes())

    def changed(self) -> None:
        """Write other bytes into a file."""
        path = self._kept()
        if path and self._changes.get(path, 0) < MOST_CHANGES:
            self._changes[path] = self._changes.get(path, 0) + 1
            self._write(path, self._content())

    def renamed(self) -> None:
        """Give a file another name: its bytes are attached once all the same."""
        if path := self._kept():
            name = f"keep/{self._name()}"
            (self.folder / path).rename(self.folder / name)
            self._marks[name] = self._marks.pop(path)

    def deleted(self) -> None:
        """Delete a file, attached or not."""
        if path := self._kept():
            (self.folder / path).unlink()
            del self._marks[path]

    def subtree(self) -> None:
        """Move a directory with files in it into the folder."""
        name = self._name()
        outside = self.folder.parent / name
        (outside / "deeper").mkdir(parents=True)
        for number in range(5):
            content, place = self._content(), f"{'deeper/' if number % 2 else ''}{number}.txt"
            (outside / place).write_bytes(content)
            self._note(f"keep/{name}/{place}", content)
        outside.rename(self.folder / "keep" / name)
        self._trees.append(name)

    def subtree_renamed(self) -> None:
        """Rename a directory with files in it."""
        if old := self._tree():
            new = self._name()
            (self.folder / "keep" / old).rename(self.folder / "keep" / new)
            for path in self._below(old):
                self._marks[path.replace(old, new, 1)] = self._marks.pop(path)
            self._trees.append(new)

    def subtree_deleted(self) -> None:
        """Delete a directory with everything in it."""
        if name := self._tree():
            shutil.rmtree(self.folder / "keep" / name)
            for path in self._below(name):
                del self._marks[path]

    def _write(self, path: str, content: bytes) -> None:
        self._note(path, content)
        if self._chance.random() < 0.5:
            (self.folder / path).write_bytes(content)
            return
        outside = self.folder.parent / f"{self._number}.part"
        outside.write_bytes(content)
        outside.rename(self.folder / path)

    def _note(self, path: str, content: bytes) -> None:
        sha256 = hashlib.sha256(content).hexdigest()
        self._marks[path] = tuple((place, sha256) for place in PLACES[path.partition("/")[0]])
        self.seen.update(self._marks[path])

    def _name(self) -> str:
        self._number += 1
        return f"n{self._number}.txt"

    def _content(self) -> bytes:
        return self._chance.randbytes(16) + self._chance.randbytes(self._chance.choice(SIZES))

    def _kept(self) -> str | None:
        """Choose one of the latest single files that attachd leaves where they are."""
        kept = [path for path in self._marks if path.startswith("keep/") and path.count("/") == 1]
        return self._chance.choice(kept[-50:]) if kept else None

    def _tree(self) -> str | None:
        return self._trees.pop(self._chance.randrange(len(self._trees))) if self._trees else None

    def _below(self, name: str) -> list[str]:
        return [path for path in self._marks if path.startswith(f"keep/{name}/")]
