import io
from datetime import UTC, datetime

import pytest

from attachd.cli.demo import mismatches
from attachd.cli.demo_files import EARLY, LATE, Arrival, arrivals, drop
from attachd.cli.demo_stage import example_rules, stage
from attachd.cli.samples import jpeg, pdf, png
from attachd.config.load import load
from attachd.core.rules import FileFacts, judge, planned

Image = pytest.importorskip("PIL.Image")


def test_pictures_can_be_opened():
    """JPEG and PNG are whole and decodable, and a note or shade makes them differ."""
    for data, form in ((jpeg("front"), "JPEG"), (png(96), "PNG")):
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert (image.format, image.size) == (form, (8, 8))
    assert jpeg("a") != jpeg("b")
    assert png(1) != png(2)


def test_the_pdf_has_a_sound_table():
    """Each offset of the cross-reference table points at its object, and startxref at the table."""
    data = pdf("Certificate: steel (3.1)")
    start = int(data.split(b"startxref\n")[1].split()[0])
    assert data[start:].startswith(b"xref\n")
    rows = data[start:].split(b"trailer")[0].split(b"\n")[3:-1]
    for number, row in enumerate(rows, 1):
        assert data[int(row.split()[0]) :].startswith(b"%d 0 obj" % number)
    assert rb"steel \(3.1\)" in data
    assert data.endswith(b"%%EOF\n")


def test_samples_fit_the_example_rules():
    """The example rules.yaml makes of every sample what the demo expects, by the rules' own code."""
    with stage(keep=False) as directory:
        settings, _ = load(directory / "rules.yaml", resolve=False)
    [folder] = settings.folders
    kinds = {"run_step": "runStep", "part": "part", "run": "run"}
    now = datetime.now(UTC)
    for sample in (*EARLY, *LATE):
        facts = FileFacts(
            path=sample.path, folder=folder.path, size=1, mtime=now, first_seen=now, host="h", timezone=None
        )
        deliveries = planned(judge(folder.rules, facts))
        found = [(kinds[key], int(value)) for each in deliveries for key, value in each.target.items()]
        assert found == ([sample.target] if sample.target else [])
        if sample.target and not sample.duplicate:
            assert deliveries[0].filename == sample.filename


def test_the_stage_is_cleared_unless_kept():
    """The temporary directory goes, also when something fails inside; with `keep` it stays."""
    with pytest.raises(KeyError), stage(keep=False) as gone:
        raise KeyError
    assert not gone.exists()
    with stage(keep=True) as kept:
        assert (kept / "rules.yaml").read_bytes() == example_rules()
    (kept / "rules.yaml").unlink()
    kept.rmdir()


def test_files_are_dropped_whole(tmp_path):
    """Every sample lies under its name with its bytes, and no unfinished name is left."""
    drop(EARLY, tmp_path)
    found = {
        str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    }
    assert found == {sample.path: sample.data for sample in EARLY}
    assert any(not name.isascii() for name in found)
    assert any(name.count("/") > 2 for name in found)


def test_every_difference_is_named():
    """A file too few, one too many and one twice are told apart."""
    one, other = arrivals(EARLY)[:2]
    assert mismatches([one, other], [other, one]) == []
    assert mismatches([one, other], [one]) == [f"missing: {other}"]
    assert mismatches([one], [one, one]) == [f"not expected: {one}"]
    wrong = Arrival(kind=one.kind, object_id=one.object_id, filename=one.filename, sha256="0" * 64)
    assert len(mismatches([one], [wrong])) == 2
