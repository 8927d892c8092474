"""`python -m services.tts`: the voice process, by hand exactly as the launcher starts it."""

import sys

from services.tts.service import TtsService
from shared.service import run

if __name__ == "__main__":
    sys.exit(run(TtsService))
