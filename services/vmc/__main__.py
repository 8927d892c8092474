"""`python -m services.vmc`: a 3D avatar moves by the VMC protocol."""

from __future__ import annotations

import sys

from services.vmc.service import VmcService
from shared.service import run

if __name__ == "__main__":
    sys.exit(run(VmcService))
