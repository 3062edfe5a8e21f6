"""Tables in a terminal: figures to the right, thousands separated, nothing cut off."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

WIDTH_MAX = 10_000


def show_table(
    *,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    empty: str,
    title: str = "",
    figures: frozenset[int] = frozenset(),
    has_total: bool = False,
) -> None:
    """Prints a table on standard output.

    Args:
        columns: the headings.
        rows: as many cells as there are columns.
        empty: what is said where there are no rows.
        title: what the table is of.
        figures: the columns that are set to the right.
        has_total: whether the last row sums up the others.
    """
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if title:
        console.print(Text(title, style="bold"))
    if not rows:
        console.print(Text(empty))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for number, heading in enumerate(columns):
        side: Literal["left", "right"] = "right" if number in figures else "left"
        table.add_column(Text(heading), justify=side, no_wrap=True)
    for number, row in enumerate(rows):
        is_total = has_total and number == len(rows) - 1
        if is_total:
            table.add_section()
        table.add_row(*(Text(cell) for cell in row), style="bold" if is_total else None)
    # Wider than the terminal, a row goes on in the next line; a figure that was cut off would be a lie.
    wide = Console(highlight=False, width=WIDTH_MAX)
    width = Measurement.get(wide, wide.options, table).maximum
    with wide.capture() as captured:
        wide.print(table, width=width)
    sys.stdout.write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


@contextmanager
def progress_bar(words: str, *, is_shown: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, moved by calls with what is done and what there is; none where nobody looks."""
    if not is_shown or not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(words, total=None)
        yield lambda done, all_: progress.update(task, completed=done, total=all_)
