"""The command `attachd`: finds the command, and turns every error into text in one place.

Commands return their exit code: 0 all well, 1 failed, 2 usage, 3 not running or unhealthy, 4 something needs
a person, 75 work is left that may succeed later, 78 rules.yaml is wrong (contract, section 4).
"""

import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from attachd import __version__
from attachd.cli.commands import Commands, complete_path
from attachd.cli.output import complain
from attachd.core.paths import escape
from attachd.errors import ConfigError, UserError
from attachd.printable import safe_text

FAILED = 1
INTERRUPTED = 130  # what a shell reports for a command that SIGINT ended


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "-c",
    "--config",
    metavar="FILE",
    shell_complete=complete_path,
    help="rules.yaml to use; else $ATTACHD_CONFIG, ./rules.yaml, /etc/attachd/rules.yaml.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected error.")
@click.version_option(__version__, "--version", prog_name="attachd", message="%(prog)s %(version)s")
@click.pass_context
def attachd(ctx: click.Context, config: str | None, *, debug: bool) -> None:
    """Watch folders and attach every file that lands there to the right entity, exactly once.

    Exit codes: 0 all well, 1 failed, 2 usage, 3 service not running or unhealthy, 4 something needs a
    person, 75 work is left that may succeed later, 78 rules.yaml is wrong.
    """
    del debug  # read where an unexpected error is shown, which may come before this runs
    ctx.obj = config


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    _fill_closed_streams()
    words = list(sys.argv[1:] if args is None else args)
    if "run" in words:
        _prepare_for_years()
    sys.exit(run_command(words))


def _prepare_for_years() -> None:
    """Do for a service what cannot wait until its modules are there.

    A reload that comes before anybody can take it is none, as rules.yaml is not read yet; it must not end
    the process. A process that its watchdog ends (SIGABRT) says where each of its threads stood.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    faulthandler.enable()


def _fill_closed_streams() -> None:
    """Open what the caller closed (`>&-`): else the next file opened would take its place."""
    for stream, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, stream) is None:
            setattr(sys, stream, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - for good


def run_command(words: Sequence[str]) -> int:
    """Run one command line and give its exit code; errors are written to standard error."""
    try:
        return int(attachd.main(args=list(words), prog_name="attachd", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: a person sees text, not a traceback
        lines = error_lines(error, debug="--debug" in words)
        complain(*_for_journal(lines))
        if "NOTIFY_SOCKET" in os.environ:
            _tell_manager(lines)
        return error.exit_code if isinstance(error, UserError) else FAILED


def _for_journal(lines: Sequence[str]) -> Sequence[str]:
    """Give lines their priority where they go to the journal, so that `journalctl -p err` has them."""
    if "JOURNAL_STREAM" not in os.environ:
        return lines
    from attachd.logs import is_journal, with_priority  # noqa: PLC0415 - structlog, which --help can do without

    return with_priority(lines, "error") if is_journal(sys.stderr) else lines


def _tell_manager(lines: Sequence[str]) -> None:
    """Let `systemctl status` say why there is no service."""
    from attachd.service.notify import notify  # noqa: PLC0415 - structlog, which --help can do without

    first = next((line for line in lines if ": warning: " not in line), "attachd failed")
    notify(f"STATUS={safe_text(first)}")


def error_lines(error: Exception, *, debug: bool = False) -> list[str]:
    """Say what happened, to what, and below it what to do; a traceback only for what nobody expected."""
    match error:
        case ConfigError():
            return config_lines(error)
        case UserError():
            return [f"attachd: {error.message}", *([f"  {error.hint}"] if error.hint else [])]
        case OSError():
            return [f"attachd: {escape(str(error.filename or 'the system'))}: {error.strerror or error}"]
        case _:
            return unexpected_lines(error, debug=debug)


def unexpected_lines(error: Exception, *, debug: bool) -> list[str]:
    """Say that attachd has a fault, without secrets; with `debug` after the traceback."""
    from attachd.logs import redact  # noqa: PLC0415 - structlog brings rich along, which --help can do without

    what = f"{type(error).__name__}: {redact(str(error))}"
    trace = "".join(traceback.format_exception(error)) if debug else ""
    return [
        *redact(trace).splitlines(),
        f"attachd: unexpected error, a fault of attachd: {what}",
        "  The ledger keeps what was done. Please report what `attachd --debug …` says.",
    ]


def config_lines(error: ConfigError) -> list[str]:
    """Say everything that is wrong in rules.yaml, one problem a line, then how many there are."""
    from attachd.cli.opening import problem_lines  # noqa: PLC0415 - pydantic and yaml, not needed for --help

    return problem_lines(error)
