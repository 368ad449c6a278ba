from attachd.core.settling import Settler, Settling
from attachd.folders.mailbox import Mailbox
from attachd.model import Signs


def signs(size: int) -> Signs:
    return Signs(size=size, mtime_ns=10**18, ctime_ns=10**18, blocks=8)


def test_the_wait_is_told_from_the_first_look():
    """A file that was written for long has waited for long, however short its last quiet time was."""
    settler = Settler(2.0)
    assert settler.observe("a", signs(1), 0.0).waited == 0.0
    settler.observe("a", signs(2), 5.0)
    verdict = settler.observe("a", signs(2), 7.5)
    assert verdict.settling is Settling.SETTLED
    assert verdict.waited == 7.5


def test_every_loss_of_hints_counts():
    """One by one where the mailbox is full, and once where nobody knows how many the kernel dropped."""
    mailbox = Mailbox(capacity=1)
    for path in ("a", "b", "c", "a"):
        mailbox.put(path)
    mailbox.lose_hints()
    assert mailbox.take_hints_lost() == 3
    assert mailbox.take_hints_lost() == 0
