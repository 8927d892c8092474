"""`python -m services.vtube_studio`."""

from __future__ import annotations

import sys

from services.vtube_studio.service import VtubeStudio
from shared.service import run

if __name__ == "__main__":
    sys.exit(run(VtubeStudio))
