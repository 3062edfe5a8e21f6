"""The command line's edge: reads the line, runs one command, and ends with the exit code that the outcome has.

0 success, 1 a refusal, 2 wrong usage, 130 and 143 for an interruption. A refusal never shows a traceback; an error
of the program always does.
"""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, NoReturn

import typer

from cli import db, ledger, region, test
from cli.invocation import OptionMalformed, read_invocation
from cli.problems import find_problem

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_PIPE_CLOSED = 128 + signal.SIGPIPE

app = typer.Typer(
    name="meguri",
    help="Meguri (巡り): a city's own digital money.",
    epilog="--json and --data-dir DIR may stand before or after the command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: the coloured one costs as much time as all the rest of a short command.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Every command is registered here, and nowhere else.
app.add_typer(region.app, name="region")
app.add_typer(ledger.app, name="ledger")
app.add_typer(db.app, name="db")
app.command("test", context_settings=test.PASS_ARGUMENTS_ON, help=test.HELP)(test.test)


@app.callback()
def common(
    *,
    is_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, refusals too.")] = False,
    data_dir: Annotated[
        str | None,
        typer.Option("--data-dir", metavar="DIR", help="Folder of the database [env: MEGURI_DATA_DIR]."),
    ] = None,
) -> None:
    """Shows the common options in the help; `cli.invocation` has taken them off the line already."""
    del is_json, data_dir


def main(line: Sequence[str]) -> int:
    """Runs one command line; the exit code."""
    signal.signal(signal.SIGTERM, _end)
    # A shell starts background jobs with the interrupt ignored; here it always means a clean end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        invocation = read_invocation(line)
    except OptionMalformed as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    try:
        app(list(invocation.arguments), prog_name="meguri", obj=invocation, standalone_mode=True)
    except SystemExit as ending:
        # typer makes a plain failure of a reader that went away; its own code lets shells tell the two apart.
        code = EXIT_PIPE_CLOSED if isinstance(ending.__context__, BrokenPipeError) else ending.code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:  # the edge of the process: every room's refusals end here
        problem = find_problem(error)
        if problem is None:
            raise
        invocation.output.refuse(problem)
        code = EXIT_REFUSED
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """Ends like an exception, so that every `with` and `finally` on the way is kept."""
    raise SystemExit(128 + number)


def run() -> NoReturn:
    """Runs the process's line; a reader that went away (`| head`) is no error."""
    try:
        code = main(sys.argv[1:])
    except BrokenPipeError:
        # What is left in the buffer has no reader; at exit Python would complain of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_PIPE_CLOSED
    sys.exit(code)


if __name__ == "__main__":
    run()
