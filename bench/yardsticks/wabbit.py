"""The yardstick out of core: `python -m bench.wabbit TRAIN.csv FEATURES` passes once over a CSV with one model."""

import sys

import vowpalwabbit  # type: ignore[import-not-found]


def main(train: str, features: str) -> None:
    """Vowpal Wabbit with its own CSV reader and its defaults for logistic loss."""
    header = ",".join(["_label", *(f"f{number}" for number in range(int(features)))])
    csv = f"--csv --csv_no_file_header --csv_header={header}"
    vowpalwabbit.Workspace(f"{csv} --loss_function logistic --binary -d {train} --quiet").finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
