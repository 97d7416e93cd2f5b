"""How fast it is, measured against references in the same run: see docs/benchmarks.md."""
