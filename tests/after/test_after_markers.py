"""A file's marker goes where its file goes."""

from attachd.core.afters import AfterKind, PlannedAfter

DELETE = PlannedAfter(rule="photos", kind=AfterKind.DELETE)


def marked(stage, after):
    """Put a file with its marker and attach it; give its delivery's id."""
    stage.put("st/1.jpg.done", b"ok")
    stage.markers["st/1.jpg"] = "st/1.jpg.done"
    return stage.attached("st/1.jpg", after)


def test_a_marker_is_deleted_with_its_file(stage):
    """Nothing stays behind, and the history says so."""
    delivery = marked(stage, DELETE)
    stage.finish()
    assert stage.tree() == {}
    assert stage.after(delivery) == ("done", "deleted, and its marker with it")


def test_a_marker_is_moved_beside_its_file(stage):
    """Under its own name, and beside what bears that name already."""
    (stage.directory / "sent").mkdir()
    (stage.directory / "sent/1.jpg.done").write_bytes(b"other")
    target = str(stage.directory / "sent/1.jpg")
    marked(stage, PlannedAfter(rule="photos", kind=AfterKind.MOVE, target=target))
    stage.finish()
    tree = stage.tree()
    assert tree == {
        "sent/1.jpg": b"delivered",
        "sent/1.jpg (2).done": b"ok",
        "sent/1.jpg.done": b"other",
    }


def test_a_marker_is_moved_across_file_systems(stage, elsewhere):
    """With its bytes, as its file is."""
    target = str(elsewhere / "sent/1.jpg")
    marked(stage, PlannedAfter(rule="photos", kind=AfterKind.MOVE, target=target))
    stage.finish()
    assert stage.tree() == {}
    found = {path.name: path.read_bytes() for path in (elsewhere / "sent").iterdir()}
    assert found == {"1.jpg": b"delivered", "1.jpg.done": b"ok"}


def test_a_missing_marker_is_fine(stage):
    """Somebody took it away, or `whole` brought the file through before the rule had a marker."""
    delivery = marked(stage, DELETE)
    (stage.drop / "st/1.jpg.done").unlink()
    stage.finish()
    assert stage.tree() == {}
    assert stage.after(delivery)[0] == "done"


def test_only_a_file_is_a_marker(stage):
    """A directory of its name stays."""
    marked(stage, DELETE)
    (stage.drop / "st/1.jpg.done").unlink()
    stage.put("st/1.jpg.done/inside")
    stage.finish()
    assert stage.tree() == {"drop/st/1.jpg.done/inside": b"delivered"}


def test_a_file_that_is_back_keeps_its_marker(stage, monkeypatch):
    """It may be the marker of the new bytes."""
    marked(stage, DELETE)
    carry_out = stage.mover.carry_out

    def then_dropped_again(action, stops):
        carry_out(action, stops)
        stage.put("st/1.jpg", b"newer")

    monkeypatch.setattr(stage.mover, "carry_out", then_dropped_again)
    stage.finish()
    assert stage.tree() == {"drop/st/1.jpg": b"newer", "drop/st/1.jpg.done": b"ok"}


def test_a_marker_that_cannot_be_moved_stays_and_is_named(stage, monkeypatch):
    """The file's own action is done all the same."""
    target = str(stage.directory / "sent/1.jpg")
    delivery = marked(stage, PlannedAfter(rule="photos", kind=AfterKind.MOVE, target=target))
    moved = stage.mover.send_after

    def into_a_watched_folder(action, marker):
        stage.mover._watched = lambda: [str(stage.directory)]
        moved(action, marker)

    monkeypatch.setattr(stage.mover, "send_after", into_a_watched_folder)
    stage.finish()
    state, detail = stage.after(delivery)
    assert state == "done"
    assert "its marker stays: " in detail
    assert "watched folder" in detail
