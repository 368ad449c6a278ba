"""A service that is killed again and again at no particular moment, while files keep coming."""

import os
import random

import pytest

WHOLE = os.environ.get("ATTACHD_FAULT") == "1"  # `make fault`
FILES, KILLS = (500, 100) if WHOLE else (60, 8)
LONGEST = 0.8  # seconds that a process lives; it has begun to send after some 0.2
WORKERS = 6  # of both destinations
SLOWNESS = 0.01


def dropped(work, chance, number):
    """Drop the next file: any way, any size, sometimes bytes that were there before."""
    way = chance.choice(["keep/1", "delete", "move", "across", "both", "post"])
    name = f"{number}.png"
    earlier = [sent for sent in work.expected if sent.way == "keep"]
    if way == "keep/1" and earlier and chance.random() < 0.3:
        again = chance.choice(earlier)
        again.names.add(name)
        work.write(f"{way}/{name}", again.content, sent=False)
        return
    content = chance.randbytes(chance.choice([1, 100, 5_000, 200_000]))
    work.write(f"{way}/{name}", name.encode() + content)  # no two alike by chance


@pytest.mark.timeout(800)
def test_whoever_kills_it_whenever_nothing_is_lost_or_doubled(work, tally):
    """After every kill the next start goes on; in doubt are only calls that were under way at a kill."""
    seed = int(os.environ.get("ATTACHD_SEED") or random.randrange(10**9))
    print(f"repeat with ATTACHD_SEED={seed}")
    chance = random.Random(seed)
    made = work()
    made.begin()
    for call in ("put", "register", "create", "message"):
        made.simulator.fault(call=call, do={"delay": SLOWNESS}, times=10 * FILES)
    numbers = iter(range(FILES))
    announced = 0
    for kill in range(KILLS):
        for number in [next(numbers) for _ in range((kill + 1) * FILES // KILLS - kill * FILES // KILLS)]:
            dropped(made, chance, number)
        before = len(made.in_doubt)
        assert made.run("run", kill_after=chance.uniform(0.05, LONGEST)) < 0
        announced = max(announced, len(made.in_doubt) - before)
    assert announced <= WORKERS
    made.finish()
    made.check_promise(tally)
    made.check_files()
    assert len(made.in_doubt_still()) <= len(made.in_doubt)
    assert made.kills == KILLS
