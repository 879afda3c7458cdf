"""Tables made from packages that bundle data, written as people have them: categories, gaps, other separators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from palmerpenguins import load_penguins
from sklearn import datasets
from statsmodels.datasets import anes96, engel, fair, grunfeld, modechoice

OCCUPATIONS = ["student", "farming", "white-collar", "teacher", "managerial", "professional"]


@dataclass(frozen=True)
class Written:
    """A file's text, the target, and the predictor type that it asks for."""

    text: bytes
    target: str
    type: str


def frame_of(bunch: Any, target: str) -> pd.DataFrame:
    """A set of scikit-learn, classes by name."""
    names = getattr(bunch, "target_names", None)
    frame = pd.DataFrame(bunch.data, columns=[str(name) for name in bunch.feature_names])
    return frame.assign(**{target: bunch.target if names is None else np.array(names)[bunch.target]})


def gaps(frame: pd.DataFrame, columns: list[str], share: float = 0.06) -> pd.DataFrame:
    """The frame without some values of these columns."""
    random = np.random.default_rng(0)
    return frame.assign(**{name: frame[name].mask(random.random(len(frame)) < share) for name in columns})


def written(frame: pd.DataFrame, target: str, kind: str, **options: Any) -> Written:
    return Written(frame.to_csv(index=False, **options).encode(), target, kind)


def penguins() -> Written:
    return written(load_penguins(), "species", "multiclass_classifier", na_rep="NA")


def body_mass() -> Written:
    return written(load_penguins(), "body_mass_g", "regressor", sep="\t")


def iris() -> Written:
    return written(frame_of(datasets.load_iris(), "species"), "species", "multiclass_classifier")


def wine() -> Written:
    frame = gaps(frame_of(datasets.load_wine(), "cultivar"), ["ash", "hue"])
    return written(frame, "cultivar", "multiclass_classifier", sep=";", decimal=",")


def cancer() -> Written:
    frame = gaps(frame_of(datasets.load_breast_cancer(), "diagnosis"), ["mean area", "worst texture"])
    sizes = pd.cut(frame["mean radius"], [0, 12, 16, 99], labels=["small", "medium", "large"])
    return written(frame.assign(**{"mean radius": sizes}), "diagnosis", "binary_classifier", na_rep="?")


def diabetes() -> Written:
    bunch = datasets.load_diabetes(scaled=False)
    frame = gaps(frame_of(bunch, "progression"), ["bmi", "sex"])
    return written(frame.assign(sex=frame["sex"].map({1.0: "female", 2.0: "male"})), "progression", "regressor")


def digits() -> Written:
    frame = frame_of(datasets.load_digits(), "digit")
    return written(frame, "digit", "multiclass_classifier")


def affairs() -> Written:
    frame = fair.load_pandas().data
    for name in ("occupation", "occupation_husb"):
        frame[name] = [OCCUPATIONS[int(code) - 1] for code in frame[name]]
    return written(frame.assign(affairs=np.where(frame["affairs"] > 0, "yes", "no")), "affairs", "binary_classifier")


def vote() -> Written:
    frame = anes96.load_pandas().data.drop(columns="logpopul")
    party = frame["PID"].map(lambda code: ["democrat", "independent", "republican"][int(code > 1) + int(code > 4)])
    labels = np.where(frame["vote"] > 0, "Dole", "Clinton")
    return written(gaps(frame.assign(PID=party, vote=labels), ["PID", "income"]), "vote", "binary_classifier")


def travel() -> Written:
    frame = modechoice.load_pandas().data
    modes = frame["mode"].map({1.0: "air", 2.0: "train", 3.0: "bus", 4.0: "car"})
    return written(frame.assign(mode=modes), "choice", "binary_classifier", encoding="utf-8")


def investment() -> Written:
    return written(grunfeld.load_pandas().data, "invest", "regressor")


def food() -> Written:
    return written(engel.load_pandas().data, "foodexp", "regressor", index_label="")


TABLES: dict[str, Callable[[], Written]] = {
    make.__name__: make
    for make in (
        *(penguins, body_mass, iris, wine, cancer, diabetes, digits),
        *(affairs, vote, travel, investment, food),
    )
}


def strange(features: dict[str, Any], target: str, values: Any, kind: str, **options: Any) -> Written:
    return written(pd.DataFrame({**features, target: values}), target, kind, **options)


def normal(rows: int, columns: int) -> Any:
    """Columns of the same numbers in every test."""
    return np.random.default_rng(7).normal(size=(columns, rows)).round(3)


def labels_1_and_2() -> Written:
    a, b, noise = normal(300, 3)
    cities = np.where(b > 0.5, "Zürich", np.where(b < -0.5, "Genève", "Chur"))
    frame = gaps(pd.DataFrame({"size": 10 + 3 * a, "city": cities}), ["size", "city"])
    return written(frame.assign(group=1 + (a + 2 * (b > 0.5) + 0.4 * noise > 0.5)), "group", "binary_classifier")


def semicolons() -> Written:
    a, b, noise = normal(240, 3)
    frame = gaps(pd.DataFrame({"Länge (cm)": 20 + 5 * a, "Breite": 3 + b}), ["Breite"]).round(3)
    frame["Art"] = np.where(a + b + 0.3 * noise > 0, "Hecht", "Barsch")
    frame["Ort"] = np.where(b > 0, "Ost", "West")
    text = frame.to_csv(index=False, sep=";", decimal=",")
    return Written(text.encode("cp1252"), "Art", "binary_classifier")


def one_feature() -> Written:
    hours, noise = normal(200, 2)
    return strange({"hours": hours}, "passed", np.where(hours + 0.5 * noise > 0.3, "yes", "no"), "binary_classifier")


def thirty_rows() -> Written:
    a, b, noise = normal(30, 3)
    kinds = np.where(b > 0, "oak", "birch")
    return strange({"a": a, "tree": kinds}, "y", (2 * a + 0.1 * noise).round(3), "regressor")


def money_and_percent() -> Written:
    area, rate, noise = normal(250, 3)
    prices = 250_000 + 60_000 * area - 20_000 * rate + 8_000 * noise
    features = {
        "Area sq. ft": [f"{1500 + 200 * value:,.0f}" for value in area],
        "Rate": ["" if row % 11 == 3 else f"{5 + value:.2f}%" for row, value in enumerate(rate)],
        "District": np.where(area > 0.7, "O'Hare, west", "Loop"),
    }
    return strange(features, "Price", [f"${price:,.2f}" for price in prices], "regressor")


STRANGE: dict[str, Callable[[], Written]] = {
    make.__name__: make for make in (labels_1_and_2, semicolons, one_feature, thirty_rows, money_and_percent)
}
"""Made tables that are written as no package writes them."""
