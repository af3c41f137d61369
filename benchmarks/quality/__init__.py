"""How good the product is, beside the systems people use today: `python -m benchmarks.quality --help`."""
