"""A full disk: no committed row is lost, the database comes back on its reserve, and the reserve comes back."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from database.embedded.ballast import BALLAST_BYTES, has_ballast, make_ballast, release_ballast
from database.embedded.folder import DataFolder

CHECKOUT = Path(__file__).resolve().parents[3]
SCENARIO = Path(__file__).with_name("full_disk_scenario.py")
OWN_DISK = ("unshare", "--user", "--map-root-user", "--mount", "--")


def can_mount():
    if shutil.which(OWN_DISK[0]) is None:
        return False
    return subprocess.run([*OWN_DISK, "true"], capture_output=True, check=False).returncode == 0


def test_the_reserve_takes_real_blocks_and_gives_them_back(tmp_path):
    folder = DataFolder(tmp_path)
    assert make_ballast(folder)
    assert has_ballast(folder)
    assert folder.ballast.stat().st_blocks * 512 >= BALLAST_BYTES
    assert release_ballast(folder)
    assert not has_ballast(folder)
    assert not release_ballast(folder)


@pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a small disk of his own")
@pytest.mark.parametrize("case", ["full_while_running", "full_before_the_first_start"])
def test_a_full_disk_loses_nothing(tmp_path, case):
    result = subprocess.run(
        [*OWN_DISK, sys.executable, "-P", str(SCENARIO), str(tmp_path), case],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "THE SCENARIO HELD" in result.stdout
