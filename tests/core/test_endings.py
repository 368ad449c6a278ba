import io
import struct
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachd.core.endings import is_known, missing_end, missing_start

PREVIEW = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xd9"


def segment(kind, payload):
    """Make one segment of a JPEG."""
    return bytes([0xFF, kind]) + struct.pack(">H", len(payload) + 2) + payload


JPEG = (
    b"\xff\xd8"
    + segment(0xE1, b"Exif\0\0" + PREVIEW)
    + b"\xff"
    + segment(0xDB, bytes(64))
    + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")
    + b"pixels\xff\x00more" * 5000
    + b"\xff\xd9"
)


def chunk(kind, payload):
    """Make one chunk of a PNG."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


PNG = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)) + chunk(b"IDAT", b"p" * 90_000) + chunk(b"IEND", b"")

PDF = b"%PDF-1.7\n1 0 obj\n<< >>\nendobj\n" + b"% filling\n" * 900 + b"startxref\n9\n%%EOF\n"


def archive(comment=b""):
    """Make a ZIP archive, with another one stored in it."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as zipped:
        zipped.writestr("a", b"a" * 100)
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as zipped:
        zipped.writestr("[Content_Types].xml", b"x" * 70_000)
        zipped.writestr("inner.zip", inner.getvalue())
        zipped.comment = comment
    return outer.getvalue()


ZIP = archive()
WHOLE = {"a.jpg": JPEG, "b.PNG": PNG, "c.pdf": PDF, "d.zip": ZIP, "e.docx": archive(b"comment" * 100)}


def lacks(name, content):
    """Ask what a file with this content lacks."""
    return missing_end(name, len(content), lambda offset, length: content[offset : offset + length])


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_lacks_nothing(name):
    """Each known type, whatever the case of its suffix."""
    assert lacks(name, WHOLE[name]) == ""


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("behind", [b"\r\n", b"\0" * 4096, bytes(range(1, 200)) * 3])
def test_bytes_behind_the_end_mark_are_fine(name, behind):
    """Cameras append films, printers fill up with zeros, mail gateways add line ends."""
    assert lacks(name, WHOLE[name] + behind) == ""


@pytest.mark.parametrize(("name", "content"), [("a.jpg", JPEG), ("b.png", PNG)])
def test_much_behind_the_end_mark_is_fine(name, content):
    """A photo with a film behind it has its end mark far from the end."""
    assert lacks(name, content + b"film" * 600_000) == ""


def test_a_pdf_filled_up_with_many_zeros_is_whole():
    """The last bytes that are none decide."""
    assert lacks("c.pdf", PDF + bytes(300_000)) == ""
    assert "%%EOF" in lacks("c.pdf", PDF[:-7] + bytes(300_000))


@pytest.mark.parametrize("name", WHOLE)
@given(share=st.floats(0.0, 0.999))
def test_a_file_cut_anywhere_lacks_its_end(name, share):
    """Also inside the head and right after the end mark of a preview, or of an archive inside."""
    content = WHOLE[name]
    at = max(1, min(int(len(content) * share), len(content) - 720))
    assert lacks(name, content[:at]) != ""


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_of_full_length_that_was_not_written_to_its_end_lacks_it(name):
    """Windows sets the length first: the rest is zeros."""
    content = WHOLE[name]
    half = len(content) // 2
    assert lacks(name, content[:half] + bytes(len(content) - half)) != ""


@pytest.mark.parametrize("name", WHOLE)
def test_zeros_and_nothing_lack_no_end(name):
    """They may be meant so; whether zeros were written or only reserved is asked of the disk."""
    zeros = bytes(len(WHOLE[name]))
    assert lacks(name, zeros) == lacks(name, b"") == ""
    assert missing_start(name, lambda at, length: zeros[at : at + length]) != ""
    assert missing_start(name, lambda *_: WHOLE[name][:9]) == missing_start("a.bin", lambda *_: zeros) == ""


def test_the_end_mark_of_a_preview_does_not_count():
    """A JPEG cut behind the preview in its head has an end mark and no end."""
    cut = JPEG[: JPEG.index(PREVIEW) + len(PREVIEW) + 20]
    assert b"\xff\xd9" in cut
    assert lacks("a.jpg", cut) == "the end mark of a JPEG (FF D9) is missing"


def test_a_pdf_that_knows_its_length_is_held_against_it():
    """A linearized PDF has an end mark near its beginning."""
    pdf = b"%PDF-1.4\n1 0 obj\n<< /Linearized 1 /L 5000 >>\nstartxref\n0\n%%EOF\n"
    assert lacks("a.pdf", pdf) == f"it says that it has 5000 bytes, and has {len(pdf)}"
    assert lacks("a.pdf", pdf + b" " * 5000 + b"%%EOF") == ""


def test_a_pdf_may_begin_with_something_else():
    """Readers look for its beginning in the first kilobyte."""
    assert lacks("a.pdf", b"\r\n\r\n" + PDF) == ""
    assert lacks("a.pdf", b"\r\n\r\n" + PDF[:-7]) != ""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jpg", b"bytes"),
        ("a.jpg", b"\xff\xd8\xff\xe0\x00\x04abodd"),
        ("a.jpg", b"\xff\xd8\xff\xe0\x00\x04ab\xff\xd0\xff\xd9"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\x0012345678" * 3),
        ("a.pdf", b"no pdf at all"),
        ("a.zip", b"PK\x05\x06" + bytes(18)),
        ("a.zip.001", ZIP[:5000]),
        ("a.tif", b""),
        ("jpg", b""[:0] + b"x"),
        ("a.png", JPEG),
    ],
)
def test_what_is_odd_or_unknown_is_taken_as_whole(name, content):
    """It is not for attachd to judge files, only to see that a writer has not finished."""
    assert lacks(name, content) == ""


def test_an_archive_cut_off_in_its_comment_or_behind_an_empty_one_inside_is_not_whole():
    """Both end with an end record of their own kind."""
    assert lacks("a.zip", archive(b"comment" * 100)[:-1]) != ""
    empty = b"PK\x05\x06" + bytes(18)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.writestr("empty.zip", empty)
    content = packed.getvalue()
    assert lacks("a.zip", content) == ""
    assert lacks("a.zip", content[: content.index(empty) + len(empty)]) != ""


def test_a_zip64_archive_is_taken_by_its_end_record():
    """Its own record points elsewhere."""
    record = b"PK\x05\x06" + bytes(4) + b"\xff\xff\xff\xff" + b"\xff" * 8 + bytes(2)
    assert lacks("a.zip", b"PK\x03\x04" + bytes(100) + record) == ""


def test_hostile_files_end_soon():
    """Millions of tiny segments are not followed to their end."""
    reads = []

    def read(offset, length):
        reads.append(length)
        return (b"\xff\xd8" + b"\xff" * length)[:length] if offset == 0 else b"\xff" * length

    assert missing_end("a.jpg", 2**40, read) == ""
    assert len(reads) < 200_000


def test_a_picture_of_tiny_chunks_is_not_followed_to_its_end():
    """What was not looked at says nothing."""
    reads = []

    def read(offset, length):
        reads.append(length)
        return (PNG[:8] if offset == 0 else bytes(4) + b"IDAT")[:length]

    assert missing_end("a.png", 2**40, read) == ""
    assert len(reads) < 200_000


def test_a_pdf_that_is_zeros_to_its_end_lacks_the_mark():
    """However many there are, only some of them are read."""
    reads = []

    def read(offset, length):
        reads.append(length)
        return PDF[:length] if offset == 0 else bytes(length)

    assert "%%EOF" in missing_end("a.pdf", 2**40, read)
    assert sum(reads) < 8 * 1024 * 1024


def test_a_very_long_file_is_looked_through_in_part():
    """What was not looked at says nothing."""
    head = JPEG[: JPEG.index(b"pixels")]
    reads = []

    def read(offset, length):
        reads.append(length)
        return (head + b"p" * length)[offset : offset + length] if offset < len(head) else b"p" * length

    assert missing_end("a.jpg", 2**40, read) == ""
    assert sum(reads) < 70 * 1024 * 1024


def test_which_names_are_known():
    """By the last suffix alone."""
    assert is_known("x/a.JPEG")
    assert not is_known("x/a.jpeg.bak")
