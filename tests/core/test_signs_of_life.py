from attachd.core.heart import Heart


class Clock:
    """A clock that stands until it is put forward."""

    seconds = 100.0

    def monotonic(self):
        return self.seconds


def test_silence_is_counted_between_beats_only():
    """A loop at rest is not stuck, however long that takes."""
    clock = Clock()
    heart = Heart(clock)
    assert heart.silence() == 0.0
    heart.beat()
    clock.seconds += 7.0
    assert heart.silence() == 7.0
    clock.seconds -= 9.0
    assert heart.silence() == 0.0
    heart.rest()
    clock.seconds += 60.0
    assert heart.silence() == 0.0
