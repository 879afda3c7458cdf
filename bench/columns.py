"""The columns of the generated table, shared with every baseline; imports nothing."""

FEATURES = 30
NAMES = [f"f{number:02}" for number in range(FEATURES)]
TARGET = "label"
CLASSES = ["N", "P"]
"""In the order of the class numbers."""
SHARES = {"train": 0.9, "validation": 0.05, "holdout": 0.05}
"""As in bench/pipeline.toml."""
PERCENTS = [number / 100 for number in range(1, 100)]
STATISTICS = ["mean", "standard_deviation", "minimum", "maximum", "percentiles"]
"""Of each column, as baseline.json names them; percentiles are of a sample."""
WORDS, LEVELS = 10, 20
"""Features that are words in the table with categories, the last ones, and the different words of each."""
PENGUIN_NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year"]
PENGUIN_WORDS = ["island", "sex"]
PENGUINS = "Adelie"
"""Columns of examples/penguins/penguins.csv, and the species that the models predict: it, or another one."""
