"""`python -m bench.baselines.train_vowpal_wabbit TRAIN.csv FEATURES`: train one model in one pass over a CSV."""

import sys

import vowpalwabbit


def main(train: str, features: str) -> None:
    """Use Vowpal Wabbit's own CSV reader and its defaults for logistic loss."""
    header = ",".join(["_label", *(f"f{number}" for number in range(int(features)))])
    csv = ["--csv", "--csv_no_file_header", f"--csv_header={header}"]
    options = ["--loss_function", "logistic", "--binary", "-d", train, "--quiet"]
    vowpalwabbit.Workspace(arg_list=[*csv, *options]).finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
