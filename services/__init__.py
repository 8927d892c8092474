"""One folder per process; `python -m services.<name>` runs it by hand exactly as the launcher does."""
