import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachd.core.settling import SECOND, Settler, Settling, Verdict, has_holes
from attachd.core.wholeness import Lack
from attachd.errors import InvariantBroken
from attachd.model import Signs


def signs(size=512, mtime_ns=5 * SECOND, ctime_ns=5, blocks=None):
    """Make signs; without `blocks`, as many as the size needs."""
    return Signs(
        size=size,
        mtime_ns=mtime_ns,
        ctime_ns=ctime_ns,
        blocks=-(-size // 512) if blocks is None else blocks,
    )


def test_a_file_settles_when_its_signs_stayed_the_same_for_the_whole_wait():
    """The clock starts with the first look and ends exactly `settle` seconds later."""
    settler = Settler(2.0)
    assert settler.observe("a", signs(), 100.0).settling is Settling.WAIT
    assert settler.observe("a", signs(), 101.9).settling is Settling.WAIT
    verdict = settler.observe("a", signs(), 102.0)
    assert (verdict.settling, verdict.reason) == (Settling.SETTLED, "")
    assert len(settler) == 0


@pytest.mark.parametrize("changed", [signs(size=1024), signs(mtime_ns=6), signs(ctime_ns=6)])
def test_each_sign_of_a_change_restarts_the_wait(changed):
    """Size, mtime and ctime count alike, and a smaller or older value is a change as well."""
    settler = Settler(2.0)
    settler.observe("a", changed, 0.0)
    assert settler.observe("a", signs(), 2.0).settling is Settling.WAIT
    assert settler.observe("a", signs(), 3.9).settling is Settling.WAIT
    assert settler.observe("a", signs(), 4.0).settling is Settling.SETTLED


def test_the_age_of_the_modification_time_means_nothing():
    """Times from long ago or from the future neither shorten nor lengthen the wait."""
    settler = Settler(2.0)
    for path, mtime in (("old", -1), ("new", SECOND), ("future", 2**62)):
        settler.observe(path, signs(mtime_ns=mtime), 0.0)
        assert settler.observe(path, signs(mtime_ns=mtime), 1.9).settling is Settling.WAIT
        assert settler.observe(path, signs(mtime_ns=mtime), 2.0).settling is Settling.SETTLED


def test_an_event_restarts_the_wait():
    """A file that was touched is looked at again only when the new wait is over."""
    settler = Settler(2.0)
    settler.observe("a", signs(), 0.0)
    settler.touched("a", 1.5)
    assert settler.due(2.0) == []
    assert settler.observe("a", signs(), 2.0).settling is Settling.WAIT
    assert settler.due(3.5) == ["a"]
    assert settler.observe("a", signs(), 3.5).settling is Settling.SETTLED
    settler.touched("a", 4.0)
    assert len(settler) == 0


@pytest.mark.parametrize(("settle", "wait"), [(0.5, 30.0), (5.0, 50.0)])
def test_a_file_with_holes_waits_ten_times_and_at_least_half_a_minute(settle, wait):
    """A legal sparse file is taken in the end, and the verdict says what it is."""
    settler = Settler(settle)
    sparse = signs(size=4096, blocks=0)
    settler.observe("a", sparse, 0.0)
    assert settler.observe("a", sparse, wait - 0.1).settling is Settling.WAIT
    verdict = settler.observe("a", sparse, wait)
    assert verdict.settling is Settling.SETTLED
    assert "holes" in verdict.reason
    assert settler.long_wait == wait


def test_holes_that_fill_show_a_writer_although_no_sign_changed():
    """A memory-mapped writer changes only the blocks until it is done."""
    settler = Settler(2.0)
    settler.observe("a", signs(size=4096, blocks=0), 0.0)
    settler.observe("a", signs(size=4096, blocks=4), 2.0)
    assert settler.observe("a", signs(size=4096, blocks=8), 20.0).settling is Settling.WAIT
    assert settler.observe("a", signs(size=4096, blocks=8), 22.0).settling is Settling.SETTLED


def test_a_suspicious_file_is_looked_at_as_often_as_any_other():
    """What fills its holes early is not kept for the whole long wait."""
    settler = Settler(2.0)
    settler.observe("a", signs(size=4096, blocks=0), 0.0)
    assert settler.due(2.0) == ["a"]
    settler.observe("a", signs(size=4096), 2.0)
    assert settler.due(4.0) == ["a"]
    assert settler.observe("a", signs(size=4096), 4.0).settling is Settling.SETTLED


@pytest.mark.parametrize("leftover", [0, SECOND - 1])
def test_a_modification_time_of_zero_is_parked_and_goes_on_when_it_changes(leftover):
    """What an interrupted rsync leaves is never taken for complete, whatever the fraction of its second."""
    settler = Settler(1.0)
    settler.observe("a", signs(mtime_ns=leftover), 0.0)
    assert settler.observe("a", signs(mtime_ns=leftover), 29.9).settling is Settling.WAIT
    verdict = settler.observe("a", signs(mtime_ns=leftover), 30.0)
    assert verdict.settling is Settling.PARKED
    assert "modification time is 0" in verdict.reason
    settler.observe("a", signs(mtime_ns=7 * SECOND), 31.0)
    assert settler.observe("a", signs(mtime_ns=7 * SECOND), 32.0).settling is Settling.SETTLED


def test_it_is_bounded_and_says_so():
    """No new file is taken while it is full; those that wait go on."""
    settler = Settler(1.0, capacity=2)
    settler.observe("a", signs(), 0.0)
    assert settler.room == 1
    settler.observe("b", signs(), 0.0)
    assert settler.is_full
    with pytest.raises(InvariantBroken):
        settler.observe("c", signs(), 0.0)
    assert settler.observe("a", signs(), 1.0).settling is Settling.SETTLED
    assert not settler.is_full
    settler.observe("c", signs(), 1.0)
    assert "c" in settler


def test_what_is_due_comes_again_until_it_is_forgotten():
    """A look that failed loses no file, and a forgotten one never comes."""
    settler = Settler(1.0)
    assert settler.next_due is None
    settler.observe("a", signs(), 0.0)
    settler.observe("b", signs(), 0.5)
    settler.forget("b")
    assert settler.next_due == 1.0
    assert settler.due(0.9) == []
    assert settler.due(1.0) == ["a"]
    assert settler.due(1.5) == []
    assert settler.due(2.0) == ["a"]
    settler.forget("a")
    settler.forget("a")
    assert settler.due(9.0) == []
    assert settler.next_due is None


def test_a_forgotten_file_that_comes_back_has_one_turn_only():
    """An old place in the queue does not count for the new wait."""
    settler = Settler(1.0)
    settler.observe("a", signs(), 0.0)
    settler.forget("a")
    settler.observe("a", signs(), 0.9)
    assert settler.due(1.0) == []
    assert settler.due(1.9) == ["a"]


def test_no_wait_at_all_ends():
    """With `settle: 0s` the second look settles, and asking what is due returns."""
    settler = Settler(0.0)
    settler.observe("a", signs(), 1.0)
    assert settler.due(1.0) == ["a"]
    assert settler.observe("a", signs(), 1.0).settling is Settling.SETTLED


def test_an_empty_file_has_no_holes():
    """Zero bytes need no blocks."""
    assert not has_holes(signs(size=0))
    assert has_holes(signs(size=513, blocks=1))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.floats(0, 3)), max_size=60))
def test_whatever_settles_was_quiet_for_the_whole_wait(looks):
    """Between the first look with the same signs and the verdict lies at least `settle`, always."""
    settler = Settler(1.0)
    now = 0.0
    quiet_since = {}
    for path, size, pause in looks:
        now += pause
        seen = signs(size=size)
        if quiet_since.get(path, (None, 0.0))[0] != seen:
            quiet_since[path] = (seen, now)
        verdict = settler.observe(path, seen, now)
        assert (verdict.settling is Settling.SETTLED) == (path not in settler)
        if verdict.settling is Settling.SETTLED:
            assert now - quiet_since.pop(path)[1] >= 1.0 - 1e-9
        assert len(settler) <= 3


def test_what_was_waited_for_is_told():
    """From the first look, and since the last change."""
    settler = Settler(2.0)
    settler.observe("a", signs(), 10.0)
    settler.observe("a", signs(size=1024), 11.0)
    verdict = settler.observe("a", signs(size=1024), 14.0)
    assert (verdict.waited, verdict.quiet) == (4.0, 3.0)


def test_a_place_that_counts_no_more_hides_none_behind_it():
    """What became due at one moment is given in the order it came."""
    settler = Settler(1.0)
    for path in "abcd":
        settler.observe(path, signs(), 0.0)
    settler.forget("a")
    assert settler.due(1.0) == ["b", "c", "d"]


@pytest.mark.parametrize(
    ("settle", "quiet", "pause"),
    [(0.0, 0.4, 0.2), (2.0, 4.0, 2.0), (2.0, 40.0, 10.0), (2.0, 400.0, 30.0), (2.0, 990.0, 10.0)],
)
def test_what_is_not_whole_is_looked_at_ever_more_rarely(settle, quiet, pause):
    """A quarter of the time that it is quiet, within bounds; and the wait goes on where it was."""
    settler = Settler(settle)
    verdict = Verdict(settling=Settling.SETTLED, waited=quiet + 5.0, quiet=quiet)
    lack = Lack(reason="why", patience=1000.0)
    assert settler.put_off("a", signs(), verdict, lack, 5000.0).settling is Settling.WAIT
    assert settler.next_due == 5000.0 + pause
    again = settler.observe("a", signs(), 5000.0 + pause)
    assert (again.waited, again.quiet) == pytest.approx((quiet + 5.0 + pause, quiet + pause))


def test_a_parked_file_comes_with_a_way_out():
    """Both the writer and `touch` can end the wait."""
    settler = Settler(1.0)
    settler.observe("a", signs(mtime_ns=0), 0.0)
    verdict = settler.observe("a", signs(mtime_ns=0), 30.0)
    hint = "Run the transfer again to its end, or `touch` the file if it is whole; it then goes on."
    assert verdict.hint == hint
