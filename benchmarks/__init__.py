"""`python -m benchmarks [name…] [--json]`: every figure with its peer beside it, measured in the same run."""
