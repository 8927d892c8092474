"""`python -m services.obs`: texts, scenes and sources of OBS follow the show."""

from __future__ import annotations

import sys

from services.obs.service import ObsService
from shared.service import run

if __name__ == "__main__":
    sys.exit(run(ObsService))
