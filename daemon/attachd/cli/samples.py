"""Small valid files, made on the spot, for the demo: the smallest JPEG, PNG and PDF that viewers open."""

import struct
import zlib
from collections.abc import Sequence


def jpeg(note: str) -> bytes:
    """Make a grey JPEG of 8 x 8 points; `note` stands in it as its comment and makes its bytes its own.

    Segments as in ITU-T T.81 (B.1): tables with one code each are enough for a block without detail.
    """
    comment = note.encode()
    return b"".join(
        [
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
            _segment(0xFE, comment),
            _segment(0xDB, b"\x00" + bytes([1] * 64)),
            _segment(0xC0, b"\x08" + struct.pack(">HH", 8, 8) + b"\x01\x01\x11\x00"),
            _segment(0xC4, b"\x00" + bytes([1] + [0] * 15) + b"\x00"),
            _segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\x00"),
            _segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
            b"\x3f",
            b"\xff\xd9",
        ]
    )


def png(shade: int) -> bytes:
    """Make a grey PNG of 8 x 8 points with a shade from 0 to 255 (W3C PNG, sections 5 and 11)."""
    row = b"\x00" + bytes([shade] * 8)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress(row * 8)),
            _chunk(b"IEND", b""),
        ]
    )


def pdf(line: str) -> bytes:
    """Make a PDF of one page with one line of plain ASCII text (ISO 32000-1, 7.5)."""
    words = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    drawing = f"BT /F1 14 Tf 36 100 Td ({words}) Tj ET".encode("ascii")
    return _pdf_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 420 200] /Contents 4 0 R /Resources 6 0 R >>",
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< /Font << /F1 5 0 R >> >>",
        ]
    )


def _segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _pdf_of(objects: Sequence[bytes]) -> bytes:
    data = b"%PDF-1.4\n"
    offsets: list[int] = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    head = b"xref\n0 %d\n0000000000 65535 f \n" % count
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, len(data))
    return data + head + table + trailer
