"""Whether all is well, in a few words: for a probe that only looks at the status code."""

from attachd.printable import safe_text, without_secrets
from attachd.status.now import Now


def broken(now: Now) -> list[str]:
    """Say what of the process is not alive."""
    return [shown(each) for each in now.broken]


def unready(now: Now) -> list[str]:
    """Say why a file that lands now may not get through soon: what is broken, unwell or closed."""
    ledger = [f"ledger: {now.ledger_trouble}"] if now.ledger_trouble else []
    folders = [f"folder {each.number}: {each.detail}" for each in now.facts.folders if not each.healthy]
    accounts = [
        f"destination {each.name}: {each.detail}" for each in now.facts.destinations if not each.healthy
    ]
    return broken(now) + [shown(each) for each in (*ledger, *folders, *accounts)]


def shown(text: str) -> str:
    """Make a text fit to be shown: no secret in it, no character that hides or reorders others."""
    return safe_text(without_secrets(text))
