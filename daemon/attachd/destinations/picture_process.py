"""Reads one picture from stdin and prints its width and height, then its blur hash: a program of its own.

It is run by path in an isolated interpreter and imports nothing of ours. Pictures are hostile ground, so it
gives up everything it does not need before it reads the first byte: from then on it can open no file and no
socket, write no file, start no process, and has a limit of memory and time. It catches nothing: what was
printed before it ended for whatever reason is good, the rest is missing.
"""

import resource
import signal
import sys
import warnings
from io import BytesIO, StringIO
from typing import BinaryIO, TextIO

import blurhash  # type: ignore[import-untyped]  # it has no types
from PIL import (
    ExifTags,
    Image,
    ImageOps,
    MpoImagePlugin,  # noqa: F401 - JPEG asks for it when it meets one, and by then no file can be opened
    WebPImagePlugin,  # noqa: F401 - as above
)

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")
"""What is read, by its content. No TIFF: libtiff is the largest of the decoders, and no browser shows one."""

PIXELS = 100_000_000
"""A larger picture is not opened."""

MEMORY = 768 * 1024 * 1024
"""Bytes of address space: enough for the largest picture at 4 bytes a pixel, the file and the interpreter."""

CPU_SECONDS = 5
SECONDS = 20

_THUMBNAIL = (32, 32)
_TURNED = (5, 6, 7, 8)  # values of EXIF orientation with width and height exchanged


def print_measures(source: BinaryIO, sink: TextIO) -> None:
    """Print `WIDTH HEIGHT` as displayed and, on a second line, the blur hash of 4 by 3 components.

    Raises:
        Exception: any of Pillow's; what was printed by then is right.
    """
    with Image.open(BytesIO(source.read()), formats=FORMATS) as image:
        width, height = image.size
        # PNG's own getexif decodes all of it in search of EXIF behind the pixels, where nobody writes it.
        if Image.Image.getexif(image).get(ExifTags.Base.Orientation) in _TURNED:
            width, height = height, width
        print(width, height, file=sink, flush=True)
        print(_blur_hash(image), file=sink, flush=True)


def _blur_hash(image: Image.Image) -> str:
    image.draft("RGB", _THUMBNAIL)  # JPEG alone can: an eighth of each side is decoded
    image.thumbnail(_THUMBNAIL)
    small = ImageOps.exif_transpose(image).convert("RGB")
    rows = [[small.getpixel((x, y)) for x in range(small.width)] for y in range(small.height)]
    return str(blurhash.encode(rows, 4, 3))


def rehearse() -> None:
    """Measure a small picture of each format: Pillow loads parts of itself only when it needs them."""
    Image.preinit()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for form in FORMATS:
        sample = BytesIO()
        Image.new("RGB", (2, 1)).save(sample, form, exif=exif)
        sample.seek(0)
        print_measures(sample, StringIO())


def _confine() -> None:
    Image.MAX_IMAGE_PIXELS = PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    signal.alarm(SECONDS)  # ends it even where nobody is left who waits for it
    limits = {
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_NOFILE: 0,  # those that are open stay
        resource.RLIMIT_FSIZE: 0,  # pipes are not meant
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_CORE: 0,
    }
    for limit, most in limits.items():
        resource.setrlimit(limit, (most, most))


if __name__ == "__main__":
    rehearse()
    _confine()
    print_measures(sys.stdin.buffer, sys.stdout)
