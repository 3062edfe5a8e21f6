import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")]


def test_the_readme_shows_the_page_of_python_as_it_is():
    page = (CHECKOUT / "docs" / "first_steps.py").read_text()
    assert f"```python\n{page}```" in (CHECKOUT / "README.md").read_text()


def test_the_page_of_python_runs_as_printed_and_its_books_hold(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "MEGURI_DATA_DIR": str(tmp_path / "data")}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = run(str(CHECKOUT / "docs" / "first_steps.py"))
    assert "paid: entry 2; asked again: entry 2, replay: True" in said
    assert "insufficient_funds: The wallet has less to spend than this takes. (available 1000)" in said
    wallet = re.search(r"--account (\S+)", said).group(1)
    balance = run("-m", "cli", "ledger", "trial-balance", "--region", "first-steps")
    assert re.search(r"wallet +1 +1,200", balance)
    assert re.search(r"takings +1 +3,800", balance)
    assert "both sides agree" in balance
    statement = run("-m", "cli", "ledger", "statement", "--region", "first-steps", "--account", wallet)
    assert re.search(r"5\.1 .* payment +-2,800 +1,200", statement)
    assert run("-m", "cli", "ledger", "verify").startswith("✓ first-steps: 5 entries.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_named_in_a_page_exist(page):
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    named = re.findall(r"`((?:cli|migrations|currency|ledger|database|tests|benchmarks|docs)/[\w./]*)`", text)
    missing += [name for name in named if not (CHECKOUT / name).exists()]
    assert not missing
