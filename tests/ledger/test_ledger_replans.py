"""Judging anew in the ledger: streams, one transaction per batch, followers, and versions of one path."""

import pytest

from attachd.core.protocols import NewVersion
from attachd.core.replanning import Judgement
from attachd.model import ErrorKind, PlannedDelivery, Standing, State


@pytest.fixture
def judge(desk, ledger):
    """Judge every undelivered file of the folder by one judgement."""

    def run(*plans, known=True, destinations=("ion", "other"), reason=None):
        judgement = Judgement(
            planned=plans,
            reason=reason or (None if plans else desk.no_rule),
            destinations=destinations,
            folder_is_known=known,
        )
        files = [file for page in ledger.undelivered(desk.folder.id) for file in page]
        return ledger.replan([(file.version, judgement) for file in files], desk.now(), "reload")

    return run


def newest(reports):
    return max((entry for entry in reports.entries() if entry.id), key=lambda entry: entry.id)


class TestStreams:
    def test_undelivered_files_come_with_all_their_deliveries(self, desk, ledger):
        """Also with those that are done; a file that is delivered does not come."""
        done = desk.dropped("done.jpg")
        desk.move(done, State.DONE)
        first, second = desk.record("two.jpg", desk.plan(), desk.plan(rule="copies", target="7"))
        claimed = desk.claim()
        desk.move(claimed[first], State.DONE)
        (page,) = ledger.undelivered(desk.folder.id)
        (file,) = page
        assert (file.version.path, file.version.version) == ("two.jpg", 1)
        assert [each.id for each in file.deliveries] == [first, second]

    def test_pages_follow_each_other_without_loss(self, desk, ledger, monkeypatch):
        """More files than one page holds all come, whatever is recorded meanwhile."""
        monkeypatch.setattr("attachd.ledger.replans.PAGE", 3)
        for number in range(7):
            desk.drop(f"{number}.jpg")
        seen = [file.version.path for page in ledger.undelivered(desk.folder.id) for file in page]
        assert seen == [f"{number}.jpg" for number in range(7)]

    def test_unmatched_files_come_without_links_and_pipes(self, desk, ledger, monkeypatch):
        """What is no regular file is nothing for a rule."""
        monkeypatch.setattr("attachd.ledger.replans.PAGE", 2)
        for name in "abc":
            desk.record(name)
        link = NewVersion(
            folder_id=desk.folder.id,
            path="link",
            signs=desk.signs(),
            standing=Standing.UNMATCHED,
            reason=desk.no_rule.__class__(kind=ErrorKind.NOT_REGULAR, message="a link"),
        )
        ledger.record(link, desk.now())
        assert [v.path for page in ledger.unmatched(desk.folder.id) for v in page] == ["a", "b", "c"]


class TestJudging:
    def test_another_result_replaces_the_delivery(self, desk, judge, state, reports):
        """Superseded with the reason, and a new one for the same version."""
        old = desk.drop("a.jpg")
        outcome = judge(desk.plan(target="43"))
        assert (outcome.superseded, outcome.added, outcome.destinations) == (1, 1, {"ion"})
        assert state(old) == State.SUPERSEDED
        new = newest(reports)
        assert (new.state, new.version, new.target) == ("ready", 1, {"run_step": "43"})
        assert [row.by for row in reports.history(new.id)] == ["reload"]

    def test_the_same_result_writes_nothing(self, desk, judge, reports):
        """Not even a history row."""
        old = desk.dropped("a.jpg")
        desk.hold(old)
        before = reports.history(old.id)
        outcome = judge(desk.plan())
        assert outcome.superseded == outcome.added == 0
        assert reports.history(old.id) == before

    def test_an_active_one_is_left_to_its_worker(self, desk, judge, state):
        """Its worker's result still counts."""
        old = desk.dropped("a.jpg")
        outcome = judge(desk.plan(target="43"))
        assert (outcome.superseded, outcome.active) == (0, {old.id})
        assert desk.move(old, State.DONE)
        assert state(old.id) == State.DONE

    def test_a_follower_of_a_superseded_elder_takes_over(self, desk, ledger, judge, state):
        """The elder's file goes elsewhere; the other file is still wanted at the old place."""
        elder = desk.dropped("a.jpg")
        desk.identify(elder)
        follower = desk.dropped("b.jpg")
        desk.identify(follower)
        assert state(follower.id) == State.WAITING
        desk.move(elder, State.WAITING)
        (first, second) = [file for page in ledger.undelivered(desk.folder.id) for file in page]
        assert first.version.path == "a.jpg"
        elsewhere = Judgement(planned=[desk.plan(target="43")], destinations=("ion",))
        same = Judgement(planned=[desk.plan()], destinations=("ion",))
        ledger.replan([(first.version, elsewhere), (second.version, same)], desk.now(), "reload")
        assert (state(elder.id), state(follower.id)) == (State.SUPERSEDED, State.READY)

    def test_no_rule_makes_the_file_unmatched_and_a_rule_takes_it_again(
        self, desk, ledger, judge, state, reports
    ):
        """The counts follow; the version stays the same."""
        old = desk.drop("a.jpg")
        assert judge().unmatched == 1
        (unmatched,) = reports.entries({"unmatched"})
        assert (unmatched.path, unmatched.version, unmatched.error) == ("a.jpg", 1, desk.no_rule)
        assert {count.state: count.count for count in reports.counts()} == {"superseded": 1, "unmatched": 1}
        ((version,),) = ledger.unmatched(desk.folder.id)
        again = NewVersion(
            folder_id=desk.folder.id,
            path="a.jpg",
            signs=version.signs,
            standing=Standing.MATCHED,
            planned=[desk.plan()],
        )
        assert ledger.match([again, again], desk.now()).added == 1
        assert {count.state: count.count for count in reports.counts()} == {"superseded": 1, "ready": 1}
        assert state(old) == State.SUPERSEDED
        assert newest(reports).version == 1

    def test_an_unmatched_file_with_a_past_is_forgotten_when_it_goes(self, desk, ledger, judge, reports):
        """Its superseded delivery stays; the same path is new afterwards."""
        desk.drop("a.jpg")
        judge()
        ledger.gone(desk.folder.id, "a.jpg", desk.now())
        assert [entry.state for entry in reports.entries()] == ["superseded"]
        desk.record("a.jpg", desk.plan())
        assert newest(reports).version == 2

    def test_a_folder_goes_and_comes_back(self, desk, judge, state, reports):
        """Held with kind config, then ready again; what was held before keeps its reason through both."""
        held = desk.dropped("held.jpg")
        desk.hold(held)
        ready = desk.drop("ready.jpg")
        assert judge(known=False).held == 1
        assert reports.entry(ready).error.kind is ErrorKind.CONFIG
        assert reports.entry(held.id).error == desk.unknown_target
        assert judge(desk.plan()).released == 1
        assert (state(ready), state(held.id)) == (State.READY, State.HELD)

    def test_a_file_with_newer_bytes_is_not_judged_by_its_old_version(self, desk, ledger, judge, reports):
        """The newer version has deliveries of its own."""
        old = desk.dropped("a.jpg")
        desk.record("a.jpg", desk.plan())
        desk.move(old, State.WAITING)
        judge(desk.plan(target="43"))
        assert reports.entry(old.id).state == State.WAITING


class TestVersions:
    def plan(self, **more):
        return PlannedDelivery(
            rule="photos", destination="ion", target={"run_step": "42"}, filename="a.jpg", **more
        )

    def test_more_versions_than_allowed_are_held(self, desk, reports, state):
        """The first are delivered, the next is held and asks whether it is a log; a newer one takes over."""
        ids = [desk.record("log.csv", self.plan(max_versions=2))[0] for _ in range(4)]
        assert [state(each) for each in ids] == ["superseded", "superseded", "superseded", "held"]
        error = reports.entry(ids[-1]).error
        assert error.kind is ErrorKind.KEEPS_CHANGING
        assert "keeps changing: is it a log?" in error.message
        assert "max_versions: 2" in error.message

    def test_no_limit_holds_nothing(self, desk, state):
        """0 is no limit."""
        ids = [desk.record("log.csv", self.plan(max_versions=0))[0] for _ in range(9)]
        assert state(ids[-1]) == State.READY

    def test_touches_are_no_versions_and_let_nothing_go(self, desk, ledger, state):
        """Only other bytes count; a held log that is merely touched stays held."""
        for _ in range(3):
            desk.record("log.csv", self.plan(max_versions=3), sha256="ab" * 32)
            for _ in range(5):
                assert ledger.same_bytes(desk.folder.id, "log.csv", desk.signs(), "ab" * 32, desk.now())
        (held,) = desk.record("log.csv", self.plan(max_versions=3), sha256="cd" * 32)
        assert state(held) == State.HELD
        ledger.same_bytes(desk.folder.id, "log.csv", desk.signs(), "cd" * 32, desk.now())
        assert state(held) == State.HELD

    def test_a_higher_limit_lets_go(self, desk, judge, state):
        """Judged anew with another `max_versions`, the held version goes; with the same one it stays."""
        ids = [desk.record("log.csv", self.plan(max_versions=1))[0] for _ in range(2)]
        assert judge(self.plan(max_versions=1)).released == 0
        assert judge(self.plan(max_versions=2)).released == 1
        assert state(ids[-1]) == State.READY

    def test_changes_of_an_attached_path_are_ignored_if_the_rule_says_so(self, desk, ledger, reports):
        """The version is known, listed as existing with the reason, and no problem."""
        (first,) = desk.record("a.jpg", self.plan(ignores_changes=True))
        desk.move(desk.claim()[first], State.DONE)
        assert desk.record("a.jpg", self.plan(ignores_changes=True), sha256="cd" * 32) == []
        (ignored,) = reports.entries({"existing"})
        assert (ignored.version, ignored.error.kind, ignored.sha256) == (2, ErrorKind.CHANGED, "cd" * 32)
        assert "on_change: ignore" in ignored.error.message
        assert ledger.same_bytes(desk.folder.id, "a.jpg", desk.signs(), "cd" * 32, desk.now())

    def test_changes_before_the_path_is_attached_count(self, desk, state):
        """`on_change: ignore` counts once the path has a done delivery of that rule, or to that target."""
        (first,) = desk.record("a.jpg", self.plan(ignores_changes=True))
        (second,) = desk.record("a.jpg", self.plan(ignores_changes=True))
        assert (state(first), state(second)) == (State.SUPERSEDED, State.READY)

    def test_only_the_rule_that_says_so_ignores_a_change(self, desk, reports):
        """Its neighbour delivers the new version, and a rule that never delivered does so too."""
        plans = [
            self.plan(ignores_changes=True),
            desk.plan(rule="copies", target="7"),
            PlannedDelivery(
                rule="late", destination="ion", target={"run_step": "8"}, filename="x", ignores_changes=True
            ),
        ]
        ids = desk.record("a.jpg", *plans)
        claimed = desk.claim()
        desk.move(claimed[ids[0]], State.DONE)
        desk.move(claimed[ids[1]], State.DONE)
        desk.hold(claimed[ids[2]])
        new = desk.record("a.jpg", *plans)
        assert [reports.entry(each).rule for each in new] == ["copies", "late"]
