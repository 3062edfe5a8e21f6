"""Writing the list of regions."""

import re
import unicodedata
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert

from currency.regions.queries import Region, find_region
from currency.regions.tables import RegionRow
from ledger.refusals import Refusal

NAME_LENGTH_MAX: Final = 100
# Controls, directions, joiners, surrogates, private and unassigned characters: a name looks like what it is.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_CODE: Final = re.compile(r"[a-z0-9-]{2,32}")


class RegionCodeInvalid(Refusal):
    """A region's code is 2 to 32 of the characters a-z, 0-9 and -, as in `komorebi`."""

    code = "region_code_invalid"


class RegionNameInvalid(Refusal):
    """A region's name is 1 to 100 characters that can be seen, as in `こもれび市`."""

    code = "region_name_invalid"


class RegionExists(Refusal):
    """There is a region with this code already; choose another."""

    code = "region_exists"
    region: str


def register_region(connection: Connection, *, code: str, name: str, now: datetime) -> Region:
    """Adds a region to the list. Its schema is the caller's to make, in the same database transaction.

    Raises:
        RegionCodeInvalid, RegionNameInvalid: the form is wrong.
        RegionExists: the code is taken.
    """
    if not _CODE.fullmatch(code):
        raise RegionCodeInvalid
    plain = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(plain) <= NAME_LENGTH_MAX or any(unicodedata.category(one) in _UNSEEN for one in plain):
        raise RegionNameInvalid
    if find_region(connection, code):
        raise RegionExists(region=code)
    connection.execute(insert(RegionRow).values(code=code, name=plain, created_at=now))
    return Region(code=code, name=plain, created_at=now)
