"""Where value goes that comes back to a wallet after its lot may have expired (pure).

Back into the very lot while its last day has not passed. Later into a grace lot, for a few days, once: what comes
back from a grace lot that has expired too is not restored again, and nothing ever lives past its last legal day.
"""

from datetime import date, timedelta

from ledger.accounts import AccountKey, is_usable
from ledger.programmes import Programme


def choose_restored_lot(
    programme: Programme, lot: AccountKey, *, today: date, grace_days: int
) -> AccountKey | None:
    """The lot that takes value back which was taken from `lot`; None where it may not be made usable again.

    Args:
        programme: the lot's programme; it knows the last legal day.
        lot: where the value came from.
        today: the day in Japan.
        grace_days: for how many days value of an expired lot is usable again; 0: not at all.
    """
    if is_usable(lot, today) or lot.expires_on is None:
        return lot
    if lot.grace or grace_days == 0:
        return None
    last_day = min(today + timedelta(days=grace_days), programme.last_legal_day(lot.expires_on))
    return lot._replace(expires_on=last_day, grace=True) if last_day >= today else None
