"""`python -m services.input`."""

import sys

from services.input.service import InputService
from shared.service import run

if __name__ == "__main__":
    sys.exit(run(InputService))
