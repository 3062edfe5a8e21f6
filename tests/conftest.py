"""Fixtures for every test: one real PostgreSQL for the whole run, and databases of one's own on it.

- `cluster`: the server; `.urls(database)`, `.superuser_url(database)`. All workers share it; it and its data go
  when the last of them ends, however it ends.
- `empty_database`: URLs of a new, empty database owned by the owner's role; dropped afterwards.
- `region`: a region with an empty book and two programmes, `yen` and `premium`; its book is proven afterwards.
- `fresh_database(cluster, template=…)` in tests/fresh_database.py makes more, also from a template.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from database.embedded.sharing import RunningServer
from database.embedded.throwaway import UNSAFE_AND_FAST, open_throwaway
from database.urls import DatabaseUrls
from tests.fresh_database import fresh_database
from tests.region_under_test import RegionUnderTest, make_template, new_template_name, region_under_test

# Workers come and go a little apart; the server outlives the gaps.
GRACE_SECONDS = 5.0
SETTINGS = {**UNSAFE_AND_FAST, "max_connections": "200", "shared_buffers": "128MB"}


@pytest.fixture(scope="session")
def cluster() -> Iterator[RunningServer]:
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"meguri-test-{os.geteuid()}-{run[:12]}"
    with open_throwaway(folder, settings=SETTINGS, grace_seconds=GRACE_SECONDS) as server:
        yield server


@pytest.fixture
def empty_database(cluster: RunningServer) -> Iterator[DatabaseUrls]:
    with fresh_database(cluster) as urls:
        yield urls


@pytest.fixture(scope="session")
def region_template(cluster: RunningServer) -> str:
    name = new_template_name()
    make_template(cluster, name)
    return name


@pytest.fixture
def region(cluster: RunningServer, region_template: str) -> Iterator[RegionUnderTest]:
    with region_under_test(cluster, region_template) as made:
        yield made


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own database is not what a test may find."""
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "MEGURI_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
