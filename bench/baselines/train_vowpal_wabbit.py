"""`python -m bench.baselines.train_vowpal_wabbit TRAIN.csv FEATURES`: train one model in one pass over a CSV."""

import sys

import vowpalwabbit


def main(train: str, features: str) -> None:
    """Use Vowpal Wabbit's own CSV reader and its defaults for logistic loss."""
    header = ",".join(["_label", *(f"f{number}" for number in range(int(features)))])
    csv = f"--csv --csv_no_file_header --csv_header={header}"
    vowpalwabbit.Workspace(f"{csv} --loss_function logistic --binary -d {train} --quiet").finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
