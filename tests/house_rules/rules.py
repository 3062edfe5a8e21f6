"""Rules of our own that no linter knows, each as a function from a file's syntax tree to what breaks it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ROOMS = ("database", "ledger", "currency", "migrations", "cli")
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
JOURNAL = ("entry", "transfer", "hold", "hold_movement", "limit_count", "checkpoint", "refused_instruction")
_CHANGES_JOURNAL = re.compile(rf"\b(UPDATE|DELETE\s+FROM|TRUNCATE)\s+({'|'.join(JOURNAL)})\b", re.IGNORECASE)
_TELLS_TIME = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("date", "today"),
    ("datetime", "today"),
    ("time", "time"),
}
_MAKES_IDS = {"uuid1", "uuid4", "uuid6", "uuid7"}


def source_files() -> list[Path]:
    """Every Python file of the rooms."""
    return sorted(file for room in ROOMS for file in (CHECKOUT / room).rglob("*.py"))


def floats_near_money(file: Path, tree: ast.Module) -> Iterator[str]:
    """Amounts are whole yen: no float, no true division, no round in the ledger."""
    if file.parts[0] != "ledger":
        return
    for node in ast.walk(tree):
        is_seconds = isinstance(node, ast.Constant) and isinstance(node.value, float) and "SECONDS" in _line(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and not is_seconds:
            yield f"{file}:{node.lineno} a float: {node.value}"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield f"{file}:{node.lineno} true division"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"float", "round"}:
            yield f"{file}:{node.lineno} {node.func.id}()"


def time_told_elsewhere(file: Path, tree: ast.Module) -> Iterator[str]:
    """Time comes from `database.clock`, ids from `database.ids`."""
    if file in {Path("database/clock.py"), Path("database/ids.py")}:
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        call = node.func
        if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name):
            if (call.value.id, call.attr) in _TELLS_TIME or call.attr in _MAKES_IDS:
                yield f"{file}:{node.lineno} {call.value.id}.{call.attr}()"
        elif isinstance(call, ast.Name) and call.id in _MAKES_IDS:
            yield f"{file}:{node.lineno} {call.id}()"


def commits_elsewhere(file: Path, tree: ast.Module) -> Iterator[str]:
    """One place commits."""
    if file == Path("database/transactions.py"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit":
            yield f"{file}:{node.lineno} commit()"


def changes_to_the_journal(file: Path, tree: ast.Module) -> Iterator[str]:
    """History is append-only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CHANGES_JOURNAL.search(node.value):
            yield f"{file}:{node.lineno} changes the journal"


def broad_excepts(file: Path, tree: ast.Module) -> Iterator[str]:
    """`except Exception` stands at the edge of a process only, or where one poison instruction is isolated."""
    if file in {Path("cli/__main__.py"), Path("ledger/bookkeeper.py"), Path("database/embedded/supervisor.py")}:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name) and node.type.id == "Exception":
            yield f"{file}:{node.lineno} except Exception"


def long_pieces(file: Path, tree: ast.Module) -> Iterator[str]:
    """A file or function that grows long holds two ideas."""
    lines = tree.body[-1].end_lineno or 0 if tree.body else 0
    if lines > MODULE_LINES_MAX:
        yield f"{file} has {lines} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{file}:{node.lineno} {node.name} has {length} lines"


def nameless_files(file: Path, tree: ast.Module) -> Iterator[str]:
    """A file is named for its one idea."""
    del tree
    if file.stem in {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}:
        yield f"{file} is named for nothing"


ALL_RULES = (
    floats_near_money,
    time_told_elsewhere,
    commits_elsewhere,
    changes_to_the_journal,
    broad_excepts,
    long_pieces,
    nameless_files,
)


def _line(node: ast.expr) -> str:
    # Durations are the one thing that is measured in fractions; their names end in the unit.
    return getattr(node, "meguri_line", "")


def parse(file: Path, text: str) -> ast.Module:
    """A file's syntax tree, every constant with the source line that it stands on."""
    tree = ast.parse(text, str(file))
    lines = text.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            node.meguri_line = lines[node.lineno - 1].upper()  # type: ignore[attr-defined]
    return tree
