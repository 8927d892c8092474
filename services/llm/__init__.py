"""The model's process: takes `llm.generate`, publishes the text as it comes."""

import os

# OpenMP threads that spin while they wait for each other fall to 2 tokens/s as soon as anything else runs on
# the same cores (voice, screen); sleeping ones keep 20. The library reads this when torch loads it.
os.environ.setdefault("GOMP_SPINCOUNT", "300")
os.environ.setdefault("KMP_BLOCKTIME", "0")
