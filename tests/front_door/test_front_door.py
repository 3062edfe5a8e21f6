"""./meguri on a fresh clone, as anybody starts it: only Python is there. Needs what an install needs."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = Path("/usr/bin/python3")

# Says how it was called. The real command line is tested beside its own source.
CLI = """
import json, os, sys
import typer
print(json.dumps({"arguments": sys.argv[1:], "folder": os.getcwd(), "python": sys.executable, "path": sys.path,
                  "locale": os.environ["LC_ALL"], "utf8": sys.flags.utf8_mode}))
sys.exit(7 if "seven" in sys.argv else 0)
"""


@pytest.fixture
def clone(tmp_path):
    """A fresh clone in a folder with a space and Japanese characters in its name."""
    folder = tmp_path / "巡り テスト" / "meguri-clone"
    (folder / "cli").mkdir(parents=True)
    for name in ("meguri", "pyproject.toml", "uv.lock"):
        shutil.copy(CHECKOUT / name, folder / name)
    (folder / "cli" / "__main__.py").write_text(CLI)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def environment(**more):
    outside = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    return {**outside, "LC_ALL": "C", **more}


def start(clone, *words, python=sys.executable, cwd="/", **more):
    return subprocess.Popen(
        [python, str(clone / "meguri"), *words],
        env=environment(**more), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        start_new_session=True,
    )  # fmt: skip


def run(clone, *words, **more):
    process = start(clone, *words, **more)
    output, errors = process.communicate()
    return process.returncode, output, errors


def load_front_door(clone):
    loader = SourceFileLoader("front_door", str(clone / "meguri"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("front_door", loader))
    loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_fresh_clone_from_a_failed_start_over_a_killed_one_to_a_start_that_does_nothing(clone, tmp_path):
    """One story, because making .venv is what takes long."""
    without_index(clone)
    killed(clone)
    two_at_the_same_time(clone)
    nothing_left_to_do(clone, tmp_path)
    changed_lock_file(clone)


def without_index(clone):
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": "", "PIP_CONFIG_FILE": os.devnull}
    code, output, errors = run(clone, **nowhere)
    assert (code, output) == (1, "")
    assert "uv could not be installed" in errors
    assert "PIP_INDEX_URL" in errors
    assert "Traceback" not in errors
    assert not (clone / ".venv" / "meguri-unfinished").exists(), "what was made is kept for the next start"
    assert not (clone / ".venv" / "meguri-stamp.json").exists()


def killed(clone):
    process = start(clone)
    assert any("installing uv" in line for line in process.stderr)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert (clone / ".venv" / "meguri-unfinished").exists()


def two_at_the_same_time(clone):
    first = start(clone, "one", "a b", "日本")
    lines = [first.stderr.readline(), first.stderr.readline()]
    assert "making .venv" in lines[1], "what the killed start left is not trusted"
    second = start(clone, "two", "seven")
    outcomes = [process.communicate() for process in (first, second)]
    assert first.returncode == 0, outcomes
    assert second.returncode == 7, "the command line's exit code is the front door's"
    told = json.loads(outcomes[0][0])
    assert told["arguments"] == ["one", "a b", "日本"]
    assert (told["folder"], told["locale"], told["utf8"]) == ("/", "C.UTF-8", 1)
    assert told["python"] == str(clone / ".venv" / "bin" / "python")
    assert told["path"][0] == str(clone)
    assert "ready after" in outcomes[0][1]
    assert outcomes[1][1] == "meguri: another start is setting this checkout up; waiting for it …\n"


def nothing_left_to_do(clone, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(clone / "meguri")
    began = time.monotonic()
    process = subprocess.run([link], env=environment(), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert time.monotonic() - began < 2.0, "well under a second on a quiet machine"
    assert process.stderr == ""
    assert json.loads(process.stdout)["folder"] == str(tmp_path)


def changed_lock_file(clone):
    (clone / "uv.lock").write_text((clone / "uv.lock").read_text() + "\n")
    _, _, errors = run(clone, "again")
    assert "the lock file changed" in errors
    assert "making .venv" not in errors


def test_a_python_without_venv_is_named_with_the_command_that_helps(clone):
    without = (
        "import importlib.util, runpy, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'ensurepip' else find(name, *rest)\n"
        "runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    result = subprocess.run(
        [sys.executable, "-c", without, clone / "meguri"],
        env=environment(), capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "without its module ensurepip" in result.stderr
    assert f"apt-get install python3.{sys.version_info.minor}-venv" in result.stderr


def old_pythons():
    places = (Path("/usr/bin"), Path("/usr/local/bin"), *Path.home().glob(".pyenv/versions/3.*/bin"))
    found = (place / f"python3.{minor}" for place in places for minor in range(6, 11))
    return [str(python) for python in found if python.is_file()]


@pytest.mark.skipif(not old_pythons(), reason="no old Python on this machine")
def test_an_old_python_says_what_it_needs(clone, tmp_path):
    for python in old_pythons()[:2]:
        code, _, errors = run(clone, python=python, PATH=str(tmp_path))
        assert code == 1, errors
        assert "Python 3.11 or newer is needed" in errors
        assert "apt-get install" in errors


def ordinary_user():
    """What makes an ordinary user of a root who runs the tests, and a Python that this user may run."""
    if os.geteuid() != 0:
        return [], sys.executable
    if not shutil.which("setpriv") or not SYSTEM_PYTHON.exists():
        pytest.skip("root has no way here to become an ordinary user with a Python of the system")
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], str(SYSTEM_PYTHON)


def test_a_checkout_that_cannot_be_written_is_named(clone):
    become, python = ordinary_user()
    for folder in (clone.parent.parent, *clone.parent.parent.parents):
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    clone.chmod(0o555)
    result = subprocess.run(
        [*become, python, clone / "meguri"],
        env=environment(HOME="/nonexistent"), cwd="/", capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    clone.chmod(0o755)
    assert result.returncode == 1, result.stderr
    assert f"{clone} can't be written by this user" in result.stderr
    assert "git clone" in result.stderr


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("test -x", "test"),
        ("--json test", "test"),
        ("--data-dir test db status", "db"),
        ("--data-dir=x test", "test"),
        ("--help", None),
        ("", None),
    ],
)
def test_only_the_test_command_asks_for_the_tools_of_developers(words, command):
    assert load_front_door(CHECKOUT).command_of(words.split()) == command


def test_a_stamp_counts_only_for_its_lock_file_its_python_and_its_groups(clone):
    door = load_front_door(clone)
    assert not door.is_ready(set())
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to(sys.executable)
    door.write_stamp(set())
    assert door.is_ready(set())
    assert not door.is_ready({"dev"})
    door.write_stamp({"dev"})
    assert door.is_ready(set())
    assert door.is_ready({"dev"})
    door.UNFINISHED.touch()
    assert not door.is_ready(set())
    door.UNFINISHED.unlink()
    (clone / ".venv" / "bin" / "python").unlink()
    (clone / ".venv" / "bin" / "python").symlink_to("/nowhere/python3.11")
    assert not door.is_ready(set()), "the Python it was made with is gone"
    door.STAMP.write_text("not a stamp")
    assert not door.is_ready(set())
