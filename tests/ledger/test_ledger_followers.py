from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from attachd.core.protocols import Place
from attachd.model import ErrorKind, State


@pytest.fixture
def pair(desk):
    """An elder and a follower that waits behind it."""
    return desk.pair()


class TestIdentify:
    """Same bytes to the same target are attached once."""

    def test_follower_waits_behind_its_elder(self, pair, desk, reports):
        """It says for which delivery it waits, and no time makes it due."""
        elder, follower = pair
        entry = reports.entry(follower.id)
        assert (entry.state, entry.error.kind, entry.next_attempt_at) == (
            "waiting",
            ErrorKind.DUPLICATE_OF,
            None,
        )
        assert f"delivery {elder.id}" in entry.error.message
        assert entry.sha256 == "ab" * 32
        assert desk.ledger.next_due("ion") is None
        assert desk.ledger.claim("ion", desk.run, desk.later(10**6), 9) == []

    def test_elder_stays_the_first_over_a_retry(self, pair, desk):
        """Identified again after a wait or a restart, the elder does not queue behind its own followers."""
        elder, _ = pair
        assert desk.move(elder, State.READY)
        again = desk.claim(run="run 2")[elder.id]
        assert desk.identify(again) is Place.FIRST

    def test_done_elder_makes_a_duplicate_at_once(self, desk, reports):
        """Bytes that are attached already are not sent."""
        elder = desk.dropped("a.jpg")
        assert desk.identify(elder) is Place.FIRST
        assert desk.move(elder, State.DONE)
        late = desk.dropped("b.jpg")
        assert desk.identify(late) is Place.ATTACHED
        entry = reports.entry(late.id)
        assert (entry.state, entry.error) == ("duplicate", None)
        assert f"delivery {elder.id}" in reports.history(late.id)[-1].detail

    @pytest.mark.parametrize(
        "other",
        [{"target": "43"}, {"to": "glue"}, {"dedupe": False}],
        ids=["target", "destination", "dedupe"],
    )
    def test_other_targets_and_wanted_doubles_are_no_duplicates(self, desk, other):
        """Another target, another destination or `on_duplicate: upload` is delivered for itself."""
        first = desk.dropped("a.jpg")
        assert desk.identify(first) is Place.FIRST
        assert desk.move(first, State.DONE)
        assert desk.identify(desk.dropped("b.jpg", **other)) is Place.FIRST

    def test_empty_files_with_other_names_are_no_duplicates(self, desk):
        """Two empty files say two things, unless they bear the same name."""
        first = desk.dropped("a.jpg", size=0, filename="a.jpg")
        assert desk.identify(first) is Place.FIRST
        assert desk.move(first, State.DONE)
        assert desk.identify(desk.dropped("b.jpg", size=0, filename="b.jpg")) is Place.FIRST
        assert desk.identify(desk.dropped("x/a.jpg", size=0, filename="a.jpg")) is Place.ATTACHED

    def test_versions_of_one_path_follow_the_same_rule(self, desk):
        """Old bytes that come back to a path are attached already."""
        for sha256, place in (("aa", Place.FIRST), ("bb", Place.FIRST), ("aa", Place.ATTACHED)):
            delivery = desk.dropped("a.jpg")
            assert desk.identify(delivery, sha256 * 32) is place
            assert place is Place.ATTACHED or desk.move(delivery, State.DONE)

    def test_one_of_many_at_once_is_the_first(self, desk):
        """Workers that identify the same bytes at the same moment agree on one elder."""
        for number in range(8):
            desk.drop(f"{number}.jpg")
        claimed = list(desk.claim().values())
        with ThreadPoolExecutor(8) as pool:
            places = list(pool.map(desk.identify, claimed))
        assert places.count(Place.FIRST) == 1
        assert places.count(Place.FOLLOWS) == 7

    def test_delivery_that_is_not_ours_goes_nowhere(self, desk, state):
        """A worker that was overtaken is told to leave it."""
        delivery = desk.dropped("a.jpg")
        assert desk.identify(replace(delivery, run="run 0")) is Place.FOLLOWS
        assert state(delivery.id) == "active"

    def test_dropping_again_stirs_a_held_elder(self, pair, desk, state, reports):
        """A third file with the same bytes asks for another try of the first."""
        elder, follower = pair
        desk.hold(elder)
        assert state(follower.id) == "held"
        third = desk.dropped("third.jpg")
        assert desk.identify(third) is Place.FOLLOWS
        assert [state(each.id) for each in (elder, follower, third)] == ["ready", "ready", "waiting"]
        assert reports.history(elder.id)[-1].detail == "the same bytes were dropped again"

    def test_held_elder_whose_call_was_not_answered_stays_held(self, desk, state):
        """What nobody knows is not repeated because a file was dropped again; the newcomer is held too."""
        elder = desk.dropped("a.jpg")
        desk.identify(elder)
        assert desk.ledger.record_intent(elder, "register")
        desk.hold(elder)
        newcomer = desk.dropped("b.jpg")
        assert desk.identify(newcomer) is Place.FOLLOWS
        assert [state(each.id) for each in (elder, newcomer)] == ["held", "held"]

    def test_followers_do_not_stir_their_elder_for_ever(self, desk, state):
        """With one worker, an elder that fails each time comes to rest, and its followers with it."""
        ids = [desk.drop(f"{number}.jpg") for number in range(4)]
        self.work_until_rest(desk)
        ids.append(desk.drop("again.jpg"))
        assert self.work_until_rest(desk) == 1
        assert {state(each) for each in ids} == {"held"}

    def work_until_rest(self, desk):
        """Let one worker fail whatever goes first; give how often it tried."""
        tries = 0
        for _ in range(40):
            claimed = desk.claim(limit=1)
            if not claimed:
                return tries
            (delivery,) = claimed.values()
            if desk.identify(delivery) is Place.FIRST:
                tries += 1
                desk.hold(delivery)
        raise AssertionError(f"no rest after {tries} tries")

    def test_follower_that_became_the_first_is_followed(self, pair, desk):
        """After its elder was replaced while it stood ready, it is the elder of whoever comes next."""
        elder, follower = pair
        desk.hold(elder)
        assert desk.move(replace(elder, state=State.HELD, run=None), State.READY)
        desk.drop("elder.jpg", target="elsewhere")
        claimed = desk.claim()
        assert desk.identify(claimed[follower.id]) is Place.FIRST
        assert desk.identify(desk.dropped("third.jpg")) is Place.FOLLOWS

    def test_follower_that_was_set_aside_is_nobody_s_elder(self, pair, desk):
        """A follower held for a reason of its own does not come before the first."""
        elder, follower = pair
        assert desk.move(replace(follower, state=State.WAITING, run=None), State.HELD)
        assert desk.move(elder, State.READY)
        assert desk.identify(desk.claim()[elder.id]) is Place.FIRST

    def test_follower_dropped_again_does_not_overtake(self, pair, desk):
        """It is a newcomer: the elder, retried meanwhile, is still the first."""
        elder, follower = pair
        desk.hold(elder)
        assert desk.ledger.same_bytes(desk.folder.id, "follower.jpg", desk.signs(), "ab" * 32, desk.now())
        assert desk.ledger.retry([elder.id], desk.now(), "retry").retried == [elder.id]
        claimed = desk.claim()
        assert desk.identify(claimed[elder.id]) is Place.FIRST
        assert desk.identify(claimed[follower.id]) is Place.FOLLOWS


class TestFollowing:
    """Followers move in the same transaction as their elder."""

    def test_done_elder_takes_its_followers_along(self, pair, desk, state):
        """A waiting follower becomes a duplicate without being sent."""
        elder, follower = pair
        assert desk.move(elder, State.DONE)
        assert state(follower.id) == "duplicate"

    def test_held_elder_holds_its_followers(self, pair, desk, reports):
        """The follower names the elder and its reason."""
        elder, follower = pair
        desk.hold(elder)
        error = reports.entry(follower.id).error
        assert error.kind is ErrorKind.DUPLICATE_OF
        assert f"delivery {elder.id} " in error.message
        assert error.message.endswith("no such run step")

    @pytest.mark.parametrize("to", [State.WAITING, State.DOUBTFUL, State.READY])
    def test_follower_waits_while_its_elder_is_under_way(self, pair, desk, state, to):
        """Passing trouble of the elder is no news for its follower."""
        elder, follower = pair
        if to is State.DOUBTFUL:
            desk.doubt(elder)
        else:
            assert desk.move(elder, to)
        assert state(follower.id) == "waiting"

    @pytest.mark.parametrize("to", [State.SUPERSEDED, State.VANISHED])
    def test_next_one_takes_over(self, pair, desk, to):
        """When the elder is out, exactly one follower is the first."""
        elder, follower = pair
        desk.drop("third.jpg")
        (third,) = desk.claim().values()
        assert desk.identify(third) is Place.FOLLOWS
        assert desk.move(elder, to)
        claimed = desk.claim()
        assert set(claimed) == {follower.id, third.id}
        places = [desk.identify(each) for each in claimed.values()]
        assert places == [Place.FIRST, Place.FOLLOWS]

    def test_gone_and_newer_bytes_free_followers_too(self, pair, desk, state):
        """Intake's moves take followers along like a worker's do."""
        elder, follower = pair
        assert desk.move(elder, State.READY)
        desk.drop("elder.jpg")
        assert [state(each.id) for each in (elder, follower)] == ["superseded", "ready"]

    def test_dismissed_elder_lets_its_held_followers_go(self, pair, desk, state):
        """A person who drops the elder does not drop the others."""
        elder, follower = pair
        desk.hold(elder)
        assert desk.move(replace(elder, state=State.HELD, run=None), State.DISMISSED)
        assert state(follower.id) == "ready"
        assert desk.identify(desk.claim()[follower.id]) is Place.FIRST

    def test_elder_that_leaves_held_takes_its_followers_along(self, pair, desk, state):
        """The held follower is ready, finds its elder under way and waits behind it again."""
        elder, follower = pair
        desk.hold(elder)
        assert desk.move(replace(elder, state=State.HELD, run=None), State.READY)
        assert state(follower.id) == "ready"
        claimed = desk.claim()
        assert desk.identify(claimed[follower.id]) is Place.FOLLOWS
        assert desk.identify(claimed[elder.id]) is Place.FIRST
        assert desk.move(claimed[elder.id], State.DONE)
        assert state(follower.id) == "duplicate"

    def test_held_elder_resolved_as_attached_frees_its_followers(self, pair, desk):
        """They find it done and become duplicates."""
        elder, follower = pair
        desk.hold(elder)
        assert desk.move(replace(elder, state=State.HELD, run=None), State.DONE)
        assert desk.identify(desk.claim()[follower.id]) is Place.ATTACHED

    def test_follower_dropped_again_stirs_its_elder(self, pair, desk, state):
        """Touching the follower's file counts as dropping it again."""
        elder, follower = pair
        desk.hold(elder)
        assert desk.ledger.same_bytes(desk.folder.id, "follower.jpg", desk.signs(), "ab" * 32, desk.now())
        assert desk.identify(desk.claim()[follower.id]) is Place.FOLLOWS
        assert [state(each.id) for each in (elder, follower)] == ["ready", "waiting"]

    def test_follower_that_a_person_attached_is_the_one_to_follow(self, pair, desk, state):
        """The elder of yore finds the same bytes attached, and becomes the duplicate."""
        elder, follower = pair
        desk.hold(elder)
        assert desk.move(replace(follower, state=State.HELD, run=None), State.DONE)
        assert desk.move(replace(elder, state=State.HELD, run=None), State.READY)
        assert desk.identify(desk.claim()[elder.id]) is Place.ATTACHED
