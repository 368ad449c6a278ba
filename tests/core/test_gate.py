from attachd.core.gate import REFUSED_CAP, Gate, answered, may_claim, probe_lost, probe_sent, struck
from attachd.core.settings import RetryPolicy
from attachd.model import ErrorInfo, ErrorKind

POLICY = RetryPolicy(first=2, cap=60)
DOWN = ErrorInfo(kind=ErrorKind.NETWORK, message="down")


def strike(gate, delivery, now=0.0, **kinds):
    return struck(gate, delivery, DOWN, now=now, policy=POLICY, refused=kinds.pop("refused", False), **kinds)


def closed(now=0.0):
    gate = Gate()
    for delivery in (1, 2, 3):
        gate = strike(gate, delivery, now)
    return gate


def test_an_open_gate_sets_no_limit():
    """While all is well as many are claimed as workers are free."""
    assert may_claim(Gate(), 0) is None


def test_three_different_deliveries_close_it():
    """Passing trouble of three deliveries in a row is the destination's."""
    assert closed().is_closed
    assert closed().reason == DOWN


def test_one_poison_file_never_closes_it():
    """The same delivery failing again and again says nothing about the destination."""
    gate = Gate()
    for _ in range(10):
        gate = strike(gate, 1)
    assert not gate.is_closed


def test_an_unreachable_address_closes_it_whoever_asks():
    """Where no connection comes about, one delivery is witness enough."""
    gate = Gate()
    for _ in range(3):
        gate = strike(gate, 1, unreachable=True)
    assert gate.is_closed


def test_a_refusal_closes_it_at_once():
    """A refused token is no matter of one delivery."""
    gate = strike(Gate(), 1, refused=True)
    assert gate.is_closed
    assert gate.is_lasting


def test_an_answer_in_between_starts_the_count_anew():
    """Only troubles in a row count."""
    gate = answered(strike(strike(Gate(), 1), 2))
    assert not strike(gate, 3).is_closed


def test_a_closed_gate_lets_one_probe_through_after_a_pause():
    """One delivery at a time, and not before the pause is over."""
    gate = closed(now=100.0)
    assert may_claim(gate, 101.9) == 0
    assert may_claim(gate, 102.0) == 1
    assert may_claim(probe_sent(gate, 7), 200.0) == 0


def test_a_failed_probe_doubles_the_pause_up_to_the_cap():
    """Probing in vain backs off, and after two of them nothing speaks for a quick end."""
    gate, now = closed(), 2.0
    pauses = []
    for delivery in range(4, 12):
        gate = strike(probe_sent(gate, delivery), delivery, now)
        pauses.append(gate.probe_at - now)
        now = gate.probe_at
    assert pauses == [4, 8, 16, 32, 60, 60, 60, 60]
    assert gate.is_lasting


def test_a_refusal_is_probed_every_minute():
    """However long the cap for outages is: a mended token should be noticed soon."""
    policy, error, now = RetryPolicy(first=2.0, cap=900.0), DOWN, 0.0
    gate = struck(Gate(), 1, error, now=now, policy=policy, refused=True)
    for delivery in range(2, 12):
        now = gate.probe_at
        gate = struck(probe_sent(gate, delivery), delivery, error, now=now, policy=policy, refused=True)
    assert gate.probe_at - now == REFUSED_CAP


def test_troubles_of_others_do_not_touch_the_probe():
    """Workers that were under way when the gate closed neither probe nor count."""
    gate = probe_sent(closed(), 7)
    assert strike(gate, 2, 50.0) == gate


def test_a_probe_that_never_asked_is_free_again():
    """A duplicate or vanished probe lets the next one go."""
    gate = probe_lost(probe_sent(closed(), 7), 7)
    assert may_claim(gate, 10.0) == 1


def test_a_good_probe_opens_it():
    """One answer is enough to go on as before."""
    assert answered(probe_sent(closed(), 7)) == Gate()


def test_an_open_gate_has_no_probe():
    """A delivery that was claimed before the gate opened again is one of many."""
    assert probe_sent(Gate(), 7) == Gate()


def test_only_the_probe_itself_frees_its_place():
    """Others that end meanwhile say nothing of it."""
    gate = probe_sent(closed(), 7)
    assert probe_lost(gate, 8) == gate


def test_a_failed_probe_makes_room_for_the_next_and_tells_why():
    """People read the newest trouble."""
    worse = ErrorInfo(kind=ErrorKind.TLS, message="worse")
    gate = struck(probe_sent(closed(), 7), 7, worse, now=2.0, policy=POLICY, refused=False)
    assert gate.reason == worse
    assert may_claim(gate, gate.probe_at) == 1


def test_an_outage_is_probed_as_rarely_as_the_settings_say():
    """Only a refusal has the shorter cap."""
    policy, gate, now = RetryPolicy(first=2, cap=900), closed(), 2.0
    for delivery in range(4, 16):
        now = gate.probe_at
        gate = struck(probe_sent(gate, delivery), delivery, DOWN, now=now, policy=policy, refused=False)
    assert gate.probe_at - now == 900
