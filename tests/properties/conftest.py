"""How long chance may look: a quick profile for every run, a thorough one on demand.

`MEGURI_HYPOTHESIS_PROFILE=thorough pytest tests/properties`
"""

import os

from hypothesis import HealthCheck, settings

_CALM = {
    "deadline": None,
    "suppress_health_check": (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much),
    "print_blob": True,
}
settings.register_profile("quick", max_examples=80, stateful_step_count=40, **_CALM)
settings.register_profile("thorough", max_examples=300, stateful_step_count=60, **_CALM)
settings.load_profile(os.environ.get("MEGURI_HYPOTHESIS_PROFILE", "quick"))
