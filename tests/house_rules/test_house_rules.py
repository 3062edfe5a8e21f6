from pathlib import Path

import pytest

from tests.house_rules.rules import ALL_RULES, CHECKOUT, parse, source_files

# For each rule a file that breaks it: a rule that can't fail is none.
PLANTED = {
    "floats_near_money": ("ledger/planted.py", "share = amount / 2\n"),
    "time_told_elsewhere": ("ledger/planted.py", "from datetime import datetime\nnow = datetime.now()\n"),
    "commits_elsewhere": ("currency/planted.py", "connection.commit()\n"),
    "changes_to_the_journal": ("cli/planted.py", "query = 'UPDATE transfer SET amount = 1'\n"),
    "broad_excepts": ("ledger/planted.py", "try:\n    pass\nexcept Exception:\n    pass\n"),
    "long_pieces": ("ledger/planted.py", "def long():\n" + "    pass\n" * 61),
    "nameless_files": ("ledger/utils.py", "pass\n"),
}


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.__name__)
def test_the_rooms_keep_the_rule(rule):
    broken = []
    for file in source_files():
        relative = file.relative_to(CHECKOUT)
        broken += rule(relative, parse(relative, file.read_text()))
    assert not broken


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.__name__)
def test_the_rule_finds_what_was_planted(rule):
    name, text = PLANTED[rule.__name__]
    assert list(rule(Path(name), parse(Path(name), text)))


@pytest.mark.parametrize("text", ["x = 0.5\n", "x = float('1')\n", "x = round(amount)\n"])
def test_every_way_to_a_float_is_found(text):
    rule = next(rule for rule in ALL_RULES if rule.__name__ == "floats_near_money")
    assert list(rule(Path("ledger/planted.py"), parse(Path("ledger/planted.py"), text)))


def test_a_duration_may_be_a_fraction_of_seconds():
    rule = next(rule for rule in ALL_RULES if rule.__name__ == "floats_near_money")
    text = "PAUSE_SECONDS = 0.05\n"
    assert not list(rule(Path("ledger/planted.py"), parse(Path("ledger/planted.py"), text)))
