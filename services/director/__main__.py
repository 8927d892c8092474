"""`python -m services.director`."""

from __future__ import annotations

import sys

from services.director.service import Director
from shared.service import run

if __name__ == "__main__":
    sys.exit(run(Director))
