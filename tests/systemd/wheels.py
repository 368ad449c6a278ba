"""Wheels without a network: ours is built from the tree, those it needs are packed from what is installed."""

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build_ours(into: Path) -> None:
    """Build attachd's wheel as a release does."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)


def pack_installed(into: Path) -> None:
    """Pack every installed distribution into a wheel again; scripts are made anew by pip."""
    for found in metadata.distributions():
        facts = (found.read_text("WHEEL") or "").splitlines()
        tags = [line.partition(": ")[2] for line in facts if line.startswith("Tag: ")]
        if tags and found.name != "attachd":
            name = f"{found.name.replace('-', '_').replace('.', '_')}-{found.version}-{tags[-1]}.whl"
            _pack(found, into / name)


def _pack(found: metadata.Distribution, wheel: Path) -> None:
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in found.files or ():
            if (
                ".." not in path.parts
                and path.suffix != ".pyc"
                and path.name not in ("INSTALLER", "direct_url.json")
            ):
                archive.write(path.locate(), str(path))
