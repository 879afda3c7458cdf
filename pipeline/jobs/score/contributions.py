"""The features that contribute most to the score of each row, by the explanation that the model's run wrote."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..shared.arrow import Floats, to_arrow
from ..shared.documents import Explanation, FeatureEffect
from ..shared.encoder import Column, Encoder, Feature
from ..shared.errors import JobError
from ..shared.metrics import Predictions

ROWS_AT_A_TIME = 8192


@dataclass(frozen=True)
class Contributions:
    """The `most` largest contributions of the prepared rows in a folder; exact, as the model is linear."""

    batch: Path
    most: int
    encoder: Encoder
    effects: list[FeatureEffect]

    @staticmethod
    def read(batch: Path, explanation: Path, most: int) -> "Contributions":
        """Return those of explanation.json in a folder. Raises JobError: the model's score is no sum of effects."""
        document: Explanation = json.loads((explanation / "explanation.json").read_text(encoding="utf-8"))
        if not document:
            raise JobError("the live model's score is no sum over its features: set score.contributions = 0")
        effects = document["features"]
        features = (Feature(each["name"], each["kind"], True, levels=tuple(each.get("levels", {}))) for each in effects)
        return Contributions(batch, min(most, len(effects)), Encoder(tuple(features)), effects)

    def columns(self, shard: str, answers: Predictions) -> dict[str, pa.Array]:
        """Return the columns feature_1 and effect_1, the largest by size, to those of the last, of a shard's rows.

        Those of a multiclass model are of the predicted class.
        """
        values = self.encoder.read((self.batch / f"{shard}.csv").read_bytes())
        multiclass = answers.scores.ndim == 2 and answers.classes is not None
        outputs = answers.classes if multiclass else np.zeros(len(answers.scores), np.int64)
        parts = []
        for start in range(0, len(answers.scores), ROWS_AT_A_TIME):
            some = slice(start, start + ROWS_AT_A_TIME)
            parts.append(self._largest([column[some] for column in values], outputs[some]))  # type: ignore[index]
        places, effects = (np.concatenate(column) for column in zip(*parts, strict=True))
        names = pa.array([each["name"] for each in self.effects], pa.string())
        found: dict[str, pa.Array] = {}
        for number in range(self.most):
            found[f"feature_{number + 1}"] = names.take(to_arrow(places[:, number]))
            found[f"effect_{number + 1}"] = to_arrow(effects[:, number])
        return found

    def _largest(self, values: list[Column], outputs: Column) -> tuple[Column, Floats]:
        """Return the places of the features and their effects, shape (rows, most) both."""
        pairs = zip(self.effects, values, strict=True)
        effects = np.column_stack([_effect(*pair)[np.arange(len(outputs)), outputs] for pair in pairs])
        places = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, : self.most]
        return places, np.take_along_axis(effects, places, 1)


def _effect(effect: FeatureEffect, values: Column) -> Floats:
    """Return what values of a feature add to each output against the mean, shape (rows, outputs)."""
    if effect["kind"] == "categorical":
        # As places, OTHER and MISSING count from the end.
        found = np.array([*effect["levels"].values(), effect["missing"], effect["other"]])[values]
    else:
        weighted = values[:, np.newaxis] * np.array(effect["weight"])
        found = np.where(np.isnan(weighted), np.array(effect["missing"]), weighted)
    return np.asarray(found - np.array(effect["mean"]))
