"""The generated table's columns, for us and for every yardstick; imports nothing."""

FEATURES = 30
NAMES = [f"f{number:02}" for number in range(FEATURES)]
TARGET = "label"
CLASSES = ["N", "P"]
"""By class number."""
SHARES = {"train": 0.9, "validation": 0.05, "holdout": 0.05}
"""As bench/pipeline.toml has them."""
PERCENTS = [number / 100 for number in range(1, 100)]
