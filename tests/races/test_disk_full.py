"""G03: the disk fills up under payments. Nothing acknowledged is lost, and it goes on when there is room again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.races.racing import CHECKOUT

SCENARIO = Path(__file__).with_name("full_disk_scenario.py")
OWN_DISK = ("unshare", "--user", "--map-root-user", "--mount", "--")


def can_mount():
    if shutil.which(OWN_DISK[0]) is None:
        return False
    return subprocess.run([*OWN_DISK, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a small disk of his own")
def test_G03_a_full_disk_loses_no_acknowledged_payment_and_recovers(tmp_path):
    result = subprocess.run(
        [*OWN_DISK, sys.executable, "-P", str(SCENARIO), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert "THE SCENARIO HELD" in result.stdout, result.stdout[-2000:] + result.stderr[-4000:]
