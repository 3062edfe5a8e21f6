"""The common options, taken off the line."""

from pathlib import Path

import pytest

from cli.invocation import OptionMalformed, read_invocation


def test_what_is_left_is_the_command():
    found = read_invocation(["--json", "region", "create", "gifu", "--name", "岐阜", "--data-dir", "/d"])
    assert found.arguments == ("region", "create", "gifu", "--name", "岐阜")
    assert (found.is_json, found.data_dir) == (True, Path("/d"))


def test_without_them_nothing_is_set():
    found = read_invocation(["db", "status"])
    assert (found.arguments, found.is_json, found.data_dir) == (("db", "status"), False, None)


def test_what_belongs_to_pytest_is_left_alone():
    found = read_invocation(["--json", "test", "--json", "--data-dir", "x", "-k", "a"])
    assert found.arguments == ("test", "--json", "--data-dir", "x", "-k", "a")
    assert found.data_dir is None


def test_after_two_dashes_words_are_words():
    assert read_invocation(["a", "--", "--json"]).arguments == ("a", "--", "--json")


@pytest.mark.parametrize("line", [["--data-dir"], ["--data-dir="], ["--data-dir", "--json"]])
def test_an_option_without_its_folder_is_malformed(line):
    with pytest.raises(OptionMalformed):
        read_invocation(line)
