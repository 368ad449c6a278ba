import os
import struct
import subprocess
import zlib
from io import BytesIO, StringIO
from threading import Event, Thread

import blurhash
import pytest
import structlog
from PIL import ExifTags, Image

from attachd.destinations import picture_process, pictures
from attachd.errors import FileUnreadable, StopRequested
from attachd.folders.reading import open_settled
from attachd.model import Signs

FORMATS = {
    "a.jpg": "JPEG",
    "b.JPEG": "JPEG",
    "c.jfif": "MPO",
    "d.png": "PNG",
    "e.gif": "GIF",
    "f.webp": "WEBP",
    "g.bmp": "BMP",
    "png inside.jpg": "PNG",
}


@pytest.fixture
def measure(tmp_path):
    """Measure bytes that lie in a file of some name."""

    def make(name, content, **how):
        path = tmp_path / name
        path.write_bytes(content)
        with open_settled(str(tmp_path), name, Signs.of(path.stat())) as file:
            return dict(pictures.measure(file, name, **how))

    return make


def picture(form="PNG", size=(40, 30), *, orientation=0, mode="RGB", **options):
    """Make a picture: left half red, right half blue."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, *size))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    if orientation:
        options["exif"] = exif
    if form == "MPO":
        options["append_images"] = [image]
        options["save_all"] = True
    made = BytesIO()
    image.convert(mode).save(made, form, **options)
    return made.getvalue()


def bomb(width, height):
    """Make a PNG of these dimensions that is small as a file."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    row = b"\0" * (1 + width)
    squeezer = zlib.compressobj(9)
    data = b"".join(squeezer.compress(row) for _ in range(height)) + squeezer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def corners(hashed):
    """Tell the colours of the four corners that a blur hash shows."""
    rows = blurhash.decode(hashed, 8, 8)
    return [
        "red" if pixel[0] > pixel[2] else "blue" for row in (rows[0], rows[-1]) for pixel in row[:: 8 - 1]
    ]


@pytest.mark.parametrize(("name", "form"), FORMATS.items())
def test_each_format_is_measured(measure, name, form):
    """Width, height and a blur hash that looks like the picture, in every format that is read."""
    facts = measure(name, picture(form))
    assert (facts["width"], facts["height"]) == ("40", "30")
    assert corners(facts["blur_hash"]) == ["red", "blue", "red", "blue"]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "size", "shown"),
    [
        (3, ("40", "30"), ["blue", "red", "blue", "red"]),
        (6, ("30", "40"), ["red", "red", "blue", "blue"]),
        (8, ("30", "40"), ["blue", "blue", "red", "red"]),
        (99, ("40", "30"), ["red", "blue", "red", "blue"]),
    ],
)
def test_it_is_measured_as_it_is_displayed(measure, form, orientation, size, shown):
    """A camera that was held upright writes the turn into EXIF: width and height change places with it."""
    facts = measure("upright.jpg", picture(form, orientation=orientation))
    assert (facts["width"], facts["height"]) == size
    assert corners(facts["blur_hash"]) == shown


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "I;16", "CMYK", "LA"])
def test_every_kind_of_pixel_is_measured(measure, mode):
    """Grey, palettes, transparency, 16 bits and print colours are no reason to fail."""
    facts = measure("a.png", picture("JPEG" if mode == "CMYK" else "PNG", mode=mode))
    assert set(facts) == {"width", "height", "blur_hash"}


def test_a_large_photo_is_measured(measure):
    """24 million pixels, compressed well or not at all, are measured within the limits."""
    facts = [measure("a.png", picture(form, (6000, 4000))) for form in ("JPEG", "PNG")]
    assert [(each["width"], each["height"]) for each in facts] == [("6000", "4000")] * 2
    assert all("blur_hash" in each for each in facts)


def test_what_is_left_of_a_cut_picture_is_told(measure):
    """A picture that was cut off still has its width and height, and no blur hash."""
    content = picture("PNG", (400, 300))
    assert measure("cut.png", content[: len(content) // 2]) == {"width": "400", "height": "300"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        b"no picture at all" * 1000,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",  # would start Ghostscript if it were allowed
        picture("TIFF"),
        picture("PPM"),
        bomb(20_000, 20_000),  # 400 million pixels in some 400 kB
    ],
    ids=["empty", "head", "garbage", "postscript", "tiff", "ppm", "bomb"],
)
def test_what_cannot_be_read_has_no_measures_and_is_told_once(measure, content):
    """It is uploaded all the same, without measures, and the log says so in one line."""
    with structlog.testing.capture_logs() as lines:
        assert measure("strange.jpg", content) == {}
    (line,) = lines
    assert (line["event"], line["filename"], line["log_level"]) == (
        "picture_not_measured",
        "strange.jpg",
        "info",
    )


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Let another program do the measuring."""

    def put(text):
        path = tmp_path / "program.py"
        path.write_text(text)
        monkeypatch.setattr(pictures, "_PROGRAM", path)

    return put


def test_a_picture_that_wants_more_memory_than_there_is(measure, program):
    """Decoding that meets the limit of memory costs the blur hash, not the measures."""
    content = bomb(9_000, 11_000)
    assert set(measure("a.png", content)) == {"width", "height", "blur_hash"}
    taken = "4096 * int(open('/proc/self/statm').read().split()[0])"
    program(pictures._PROGRAM.read_text().replace("MEMORY = 768", f"MEMORY = {taken} + 60"))
    assert measure("a.png", content) == {"width": "9000", "height": "11000"}


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"tiny", bytes(10_000_000)], ids=["read", "not read"])
def test_a_process_that_hangs_is_killed(measure, program, monkeypatch, content):
    """One that is stopped in the middle is killed at the limit, and what it said until then counts."""
    monkeypatch.setattr(pictures, "SECONDS", 4.0)  # for a busy machine to start it
    program("import os, signal; print('7 8', flush=True); os.kill(os.getpid(), signal.SIGSTOP)")
    assert measure("a.png", content) == {"width": "7", "height": "8"}


@pytest.mark.parametrize(
    "answer",
    [
        "0 7",
        "-1 7",
        "7",
        "99999999999 7",
        "7 8 9",
        "seven 8",
        "7 8\nshort",
        "7 8\n" + "<" * 28,
        "x" * 100_000,
    ],
)
def test_only_a_proper_answer_is_believed(measure, program, answer):
    """A process that a picture has taken over can say only numbers and a well-formed hash."""
    program(f"print({answer!r})")
    assert measure("a.png", b"tiny") in ({}, {"width": "7", "height": "8"})


ESCAPES = {
    "read a file": "open('/etc/passwd')",
    "write a file": "open('/tmp/attachd-escaped', 'w')",
    "open a connection": "import socket; socket.socket()",
    "take memory": "bytearray(2_000_000_000)",
    "work on": "while True: pass",
}


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_the_process_can_do_nothing_else(measure, program, escape):
    """Once it reads, it opens no file and no socket, takes no more memory, and does not work for ever."""
    text = pictures._PROGRAM.read_text().replace("CPU_SECONDS = 5", "CPU_SECONDS = 1")
    program(
        text.replace("    print_measures(sys", f"    import socket\n    {escape}\n    print_measures(sys")
    )
    assert measure("a.png", picture()) == {}


def test_the_process_gets_nothing_of_ours(measure, program, monkeypatch):
    """No variable of the service's environment, and no descriptor beside the three, reaches it."""
    monkeypatch.setenv("ION_TOKEN", "canary-token")
    program("import os; print(len(os.environ) + 1, len(os.listdir('/proc/self/fd')))")
    near, far = os.pipe()
    os.set_inheritable(near, True)  # noqa: FBT003 - it takes no keyword
    facts = measure("a.png", b"tiny")
    os.close(near)
    os.close(far)
    assert int(facts["width"]) <= 2  # the interpreter itself sets LC_CTYPE
    assert facts["height"] == "4"  # the fourth is the listing's own


@pytest.mark.parametrize("name", ["report.pdf", "data.csv", "photo", "photo.jpg.txt", "scan.tiff", "x.svg"])
def test_other_files_cost_no_process(measure, monkeypatch, name):
    """The ending alone tells that a file is no picture."""
    monkeypatch.setattr(pictures, "_PROGRAM", None)  # starting it would fail
    assert measure(name, picture()) == {}


def test_without_the_extra_nothing_is_measured_and_nothing_said(measure, monkeypatch):
    """Who did not install `images` is not told so with every picture."""
    pictures._installed.cache_clear()
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    with structlog.testing.capture_logs() as lines:
        assert measure("a.png", picture()) == {}
    assert lines == []
    pictures._installed.cache_clear()


def test_a_file_that_is_too_large_is_not_measured(measure, monkeypatch):
    """All of a picture has to be in memory, so there is a limit; the log tells who meets it."""
    monkeypatch.setattr(pictures, "LARGEST", 10)
    with structlog.testing.capture_logs() as lines:
        assert measure("a.png", picture()) == {}
    assert [line["event"] for line in lines] == ["picture_not_measured"]


def test_a_process_that_does_not_start(measure, monkeypatch):
    """A machine that has no process left uploads without measures."""
    monkeypatch.setattr(pictures.sys, "executable", "/nonexistent/python")
    with structlog.testing.capture_logs() as lines:
        assert measure("a.png", picture()) == {}
    assert [line["event"] for line in lines] == ["picture_process_not_started", "picture_not_measured"]


def test_a_stop_ends_it(measure):
    """A stop that cannot wait ends the measuring between two blocks."""
    stopped = Event()
    stopped.set()
    with pytest.raises(StopRequested):
        measure("a.png", picture(), stopped=stopped)


def test_a_file_that_cannot_be_read_is_not_hidden():
    """Trouble with the file itself is the caller's to know."""

    class Broken:
        size = 10

        def rewind(self):
            self.size = 10

        def read(self, length, /):
            raise FileUnreadable("Input/output error")

    with pytest.raises(FileUnreadable):
        pictures.measure(Broken(), "a.png")


def test_only_some_are_measured_at_once(measure, program, tmp_path):
    """However many workers there are, so many processes and no more take memory at a time."""
    program(
        "import os, time\n"
        f"mark = {str(tmp_path)!r} + '/running-' + str(os.getpid())\n"
        "open(mark, 'w').close(); time.sleep(0.1)\n"
        f"count = sum(name.startswith('running-') for name in os.listdir({str(tmp_path)!r}))\n"
        "os.unlink(mark); print(count, 1)"
    )
    found = []
    threads = [Thread(target=lambda n=n: found.append(measure(f"{n}.png", b"tiny"))) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert all(int(facts["width"]) <= pictures.AT_ONCE for facts in found)


def test_the_program_prints_size_and_hash():
    """Line by line, so that the first stands where the second is never reached."""
    picture_process.rehearse()
    whole, cut = StringIO(), StringIO()
    content = picture("PNG", (400, 300), orientation=6)
    picture_process.print_measures(BytesIO(content), whole)
    with pytest.raises(OSError, match="truncated"):
        picture_process.print_measures(BytesIO(content[:200]), cut)
    assert whole.getvalue().splitlines()[0] == "300 400"
    assert [len(line) for line in whole.getvalue().splitlines()] == [7, 28]
    assert cut.getvalue() == "300 400\n"


def test_nothing_is_left_running(measure, program, monkeypatch):
    """Every process that was started is reaped."""
    monkeypatch.setattr(pictures, "SECONDS", 0.5)
    program("import os; os.close(0); os.close(1)\nwhile True: pass")
    assert measure("a.png", bytes(1_000_000)) == {}
    listed = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True, check=False
    )
    assert str(pictures._PROGRAM) not in listed.stdout
    assert "defunct" not in listed.stdout
