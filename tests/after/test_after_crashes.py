import pytest

from attachd.core.afters import AfterKind, PlannedAfter
from attachd.ledger.reports import Reports

DELETE = PlannedAfter(rule="photos", kind=AfterKind.DELETE)
MOST_EVENTS = 40
WAYS = ["delete", "move", "move across"]


def after(way, stage, elsewhere) -> PlannedAfter:
    if way == "delete":
        return DELETE
    place = elsewhere if way == "move across" else stage.directory
    return PlannedAfter(rule="photos", kind=AfterKind.MOVE, target=str(place / "sent/st/1.jpg"))


def everything(stage, elsewhere) -> dict[str, bytes]:
    there = {
        str(path.relative_to(elsewhere)): path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()
    }
    return stage.tree() | there


def crashes(stage, elsewhere, way):
    """Kill one process after the other, each one event later; yield after each kill, files put back."""
    for event in range(1, MOST_EVENTS):
        name = f"{event}/1.jpg"
        content = f"delivered {event}".encode()
        planned = after(way, stage, elsewhere / str(event))
        if way == "move":
            place = str(stage.directory / f"sent/{event}/1.jpg")
            planned = PlannedAfter(rule="photos", kind=AfterKind.MOVE, target=place)
        stage.put(name, content)
        (delivery,) = stage.record(name, planned)
        stage.attach()
        if not stage.killed_at(event):
            return
        yield event, delivery, name, content
    pytest.fail("it never came to the end")


def where(way, event) -> str:
    return f"sent/{event}/1.jpg" if way == "move" else f"{event}/sent/st/1.jpg"


def noise(stage, elsewhere):
    return [name for name in everything(stage, elsewhere) if ".attachd-" in name]


@pytest.mark.parametrize("way", WAYS)
def test_a_kill_at_any_moment_is_finished_by_the_next_start(stage, elsewhere, way):
    """Whatever was under way at kill -9 is done in the end, once, and nothing of ours stays behind."""
    moments = 0
    for event, delivery, name, content in crashes(stage, elsewhere, way):
        held = [*everything(stage, elsewhere).values()].count(content)
        assert held in ({0, 1} if way == "delete" else {1, 2})
        stage.finish()
        there = everything(stage, elsewhere)
        assert f"drop/{name}" not in there
        assert [*there.values()].count(content) == (0 if way == "delete" else 1)
        if way != "delete":
            assert there[where(way, event)] == content
        assert stage.after(delivery)[0] == "done", event
        assert noise(stage, elsewhere) == []
        moments += 1
    assert moments >= 8


@pytest.mark.parametrize("way", WAYS)
def test_a_newcomer_after_a_kill_is_never_taken_for_the_file(stage, elsewhere, way):
    """Other bytes that are dropped at the path before the next start stay, and the old ones are not lost."""
    moments = 0
    for event, delivery, name, content in crashes(stage, elsewhere, way):
        away = not (stage.drop / name).exists()
        newcomer = f"newcomer {event}".encode()
        stage.put(name, newcomer)
        stage.finish()
        there = everything(stage, elsewhere)
        assert there[f"drop/{name}"] == newcomer
        if away and way != "delete":
            assert there[where(way, event)] == content
        assert stage.after(delivery)[0] in {"done", "skipped"}
        assert noise(stage, elsewhere) == []
        moments += 1
    assert moments >= 8


@pytest.mark.parametrize("way", ["move", "move across"])
def test_a_name_that_is_taken_after_a_kill_is_not_overwritten(stage, elsewhere, way):
    """Another program's file at the chosen name stays as it is; ours arrives beside it."""
    for event, delivery, _, content in crashes(stage, elsewhere, way):
        root = stage.directory if way == "move" else elsewhere
        place = root / where(way, event)
        if place.exists():
            stage.finish()
            assert place.read_bytes() == content
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"another")
        stage.finish()
        assert place.read_bytes() == b"another"
        assert place.with_name("1 (2).jpg").read_bytes() == content
        assert stage.after(delivery)[0] == "done"
        assert noise(stage, elsewhere) == []


def test_a_changed_leftover_gets_its_name_back(stage):
    """A file that was written to under its recorded name is not the delivered one: it comes back, new."""
    delivery = stage.attached("1.jpg", DELETE)
    action = stage.ledger.afters.due([stage.folder.id], stage.clock.now())
    taken = stage.ledger.afters.take(action, None, ".attachd-1-1.jpg", stage.clock.now())
    assert taken is not None
    (stage.drop / "1.jpg").rename(stage.drop / ".attachd-1-1.jpg")
    with (stage.drop / ".attachd-1-1.jpg").open("ab") as writer:
        writer.write(b" and more")
    stage.finish()
    assert stage.tree() == {"drop/1.jpg": b"delivered and more"}
    assert stage.after(delivery)[0] == "skipped"


def test_a_changed_leftover_does_not_push_a_newcomer_aside(stage):
    """Where the name is taken by then, the leftover gets one beside it: both are found by the next scan."""
    stage.attached("1.jpg", DELETE)
    action = stage.ledger.afters.due([stage.folder.id], stage.clock.now())
    stage.ledger.afters.take(action, None, ".attachd-1-1.jpg", stage.clock.now())
    (stage.drop / "1.jpg").rename(stage.drop / ".attachd-1-1.jpg")
    (stage.drop / ".attachd-1-1.jpg").write_bytes(b"changed")
    stage.put("1.jpg", b"newcomer")
    stage.finish()
    assert stage.tree() == {"drop/1.jpg": b"newcomer", "drop/1 (2).jpg": b"changed"}


def test_a_leftover_of_another_ledger_is_not_lost(stage):
    """A file that happens to bear our recorded name gets one of its own, and the action goes on."""
    delivery = stage.attached("1.jpg", DELETE)
    stage.put(".attachd-1-1.jpg", b"of another ledger")
    stage.finish()
    assert stage.tree() == {"drop/1 (2).jpg": b"of another ledger"}
    assert stage.after(delivery)[0] == "done"


def test_a_file_taken_away_by_a_person_is_told(stage):
    """A move whose file is nowhere to be found is no success."""
    delivery = stage.attached("1.jpg", after("move", stage, stage.directory))
    action = stage.ledger.afters.due([stage.folder.id], stage.clock.now())
    chosen = stage.mover.choose(action.target)
    stage.ledger.afters.take(action, chosen, ".attachd-1-1.jpg", stage.clock.now())
    (stage.drop / "1.jpg").unlink()
    stage.finish()
    state, detail = stage.after(delivery)
    assert state == "failed"
    assert "somebody else took it away" in detail
    with Reports.open(stage.path) as reports:
        assert reports.entry(delivery).state == "done"
