"""Predictions of the hold-out and its labels -> evaluation.json, in SageMaker's model-quality form; profile.json."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..shared.documents import Champion, ConfusionMatrix, Evaluation, Metrics
from ..shared.errors import JobError, place
from ..shared.golden import fault_of, right_share, wrong_rows
from ..shared.labels import numbers_of
from ..shared.metric_names import SECTIONS
from ..shared.metrics import GROUPS, Numbers, Predictions, RowsByFile, measure_of, random_groups
from ..shared.settings import JobSettings, read_settings
from .explanation import explained
from .model_card import model_card
from .predictions import read_labels, read_predictions
from .profile import curves, profile
from .quality_gate import Estimate, bootstrap, compare, decide
from .smoke import smoke_rows

MOST_CLASSES_IN_A_MATRIX = 20
NOTHING_LIVE = "none"
SHARD = re.compile(r"(^|/)(holdout|labels)|\.[a-z.]+$")


def evaluate(
    settings: Path,
    predictions: Path,
    labels: Path,
    output: Path,
    holdout: Path | None = None,
    *,
    champion: Path | None = None,
    model: Path | None = None,
    baseline: Path | None = None,
    encoder: Path | None = None,
) -> None:
    """Measure the challenger's predictions against the labels; write evaluation.json and profile.json to `output`.

    `predictions`/challenger holds the challenger's predictions, also of the golden rows, which are in no metric. If
    `champion`, the folder of champion.json, says that the champion is comparable, its predictions of the same rows are
    in `predictions`/champion, by its own classes: the two models are compared as well. With the `holdout` that was
    answered, smoke.json gets a few of its rows with their answers. With the folders `baseline`, `model` and, if it has
    one, `encoder`, of its artifacts, explanation.json says what each feature adds to a score, and the evaluation has
    the model's card. CHAMPION in the environment is the live model's name; if that is "none", champion.json counts for
    nothing. TUNING_JOB and TUNING_HYPERPARAMETERS are of the tuning job that trained it.

    Raises JobError: the settings, the predictions or the labels are not usable; nothing is written then.
    """
    wanted = read_settings(settings)
    true, rows_by_file = read_labels(labels, wanted)
    groups = random_groups(len(true))

    def estimated(name: str, classes: Sequence[str]) -> tuple[Predictions, dict[str, Estimate]]:
        answers = read_predictions(predictions / name, wanted)
        _check_pairs(predictions / name, answers.rows_by_file, rows_by_file)
        answers = answers.renumbered(numbers_of(classes, wanted.classes))
        measure = measure_of(wanted.predictor_type, true, answers, groups)
        return answers, bootstrap(measure, len(true) if groups is None else GROUPS)

    answers, estimates = estimated("challenger", wanted.classes)
    _check_gate(wanted, estimates)
    section: Metrics = {
        name: {"value": of.value, "standard_deviation": of.standard_deviation} for name, of in estimates.items()
    }
    if answers.classes is not None and len(wanted.classes) <= MOST_CLASSES_IN_A_MATRIX:
        section["confusion_matrix"] = _confusion_matrix(true, answers.classes, len(wanted.classes))
    if wanted.predictor_type == "binary_classifier":
        section.update(curves(true, answers.scores))
    document: Evaluation = {"rows": len(true)}
    document[SECTIONS[wanted.predictor_type]] = section
    known = _champion(champion)
    if known.get("comparable"):
        _, old = estimated("champion", known["classes"])
        document["comparison"] = compare(wanted.predictor_type, estimates, old, wanted.gate.confidence)
    if known:
        document["champion"] = known
    faults = _golden_faults(predictions / "challenger", wanted) if wanted.golden else []
    if faults:
        document["golden"] = {"rows": len(faults), "share": right_share(faults), "wrong": wrong_rows(faults, 1.0)}
    wrong = wrong_rows(faults, wanted.golden_share)
    document["decision"] = decide(wanted.gate, estimates, document.get("comparison"), known.get("reason"), wrong)
    written: dict[str, object] = {"evaluation": document, "profile": profile(true, answers, wanted)}
    if holdout is not None:
        written["smoke"] = smoke_rows(holdout, answers, wanted)
    if "TUNING_JOB" in os.environ:
        tuned = json.loads(os.environ["TUNING_HYPERPARAMETERS"])
        document["tuning"] = {"job": os.environ["TUNING_JOB"], "hyperparameters": tuned}
        wanted = replace(wanted, hyperparameters={**wanted.hyperparameters, **tuned})
    if baseline is not None:
        statistics = json.loads((baseline / "baseline.json").read_text(encoding="utf-8"))
        explanation = explained(model, statistics, encoder, wanted)
        document["card"] = model_card(document, statistics, explanation, wanted)
        written["explanation"] = explanation
    _write(output, written)
    figures = ", ".join(f"{name} {estimate.value:.4f}" for name, estimate in estimates.items())
    print(f"{len(true)} rows: {figures}\n{document['decision']['reason']}")


def _champion(folder: Path | None) -> Champion:
    """Return champion.json, or an empty document if nothing is live."""
    if folder is None or os.environ.get("CHAMPION") == NOTHING_LIVE:
        return {}
    document: Champion = json.loads((folder / "champion.json").read_text(encoding="utf-8"))
    return document


def _write(output: Path, documents: dict[str, object]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for name, content in documents.items():
        (output / f"{name}.json").write_text(json.dumps(content, allow_nan=False), encoding="utf-8")


def _check_gate(settings: JobSettings, estimates: dict[str, Estimate]) -> None:
    for name in (*settings.gate.minimum, *settings.gate.maximum):
        if name not in estimates:
            fault = f"the gate asks for {name}, which these scores do not give (does the loss yield probabilities?)"
            raise JobError(f"{fault}: change the gate or training.hyperparameters.loss")


def _golden_faults(source: Path, settings: JobSettings) -> list[str]:
    """Return the fault of the answer to each golden row, "" for none. Raises JobError: not each was answered."""
    answers = read_predictions(source, settings, "golden")
    if len(answers.scores) != len(settings.golden):
        raise JobError(f"{source}: {len(answers.scores)} answers for {len(settings.golden)} golden rows")
    names = dict(enumerate(settings.classes))
    labels = [None] * len(answers.scores) if answers.classes is None else [names[int(n)] for n in answers.classes]
    scores = answers.scores.tolist()
    return [fault_of(*each) for each in zip(settings.golden, labels, scores, strict=True)]


def _check_pairs(source: Path, answered: RowsByFile, labelled: RowsByFile) -> None:
    """Files go together by the order of their names (holdout-00007.jsonl.out, labels-00007.jsonl), rows by line."""
    shards = [{re.sub(SHARD, r"\1", name): name for name in files} for files in (answered, labelled)]
    alone = [ours[shard] for ours, theirs in (shards, shards[::-1]) for shard in sorted(ours) if shard not in theirs]
    sizes = f"{sum(answered.values())} predictions for {sum(labelled.values())} labels"
    mismatch = f"{source}: {sizes}: both must come from the same hold-out, one line each, but"
    if len(answered) != len(labelled) or (len(labelled) > 1 and alone):
        files = f"there are {len(answered)} files of predictions and {len(labelled)} of labels"
        raise JobError(f"{mismatch} {files}" + (f": nothing goes with {alone[0]}" if alone else ""))
    for (name, count), (label_name, label_count) in zip(answered.items(), labelled.items(), strict=True):
        if count != label_count:
            longer, shorter = (name, label_name) if count > label_count else (label_name, name)
            first = place(longer, min(count, label_count) + 1)
            raise JobError(f"{mismatch} {first} has no line in {shorter}")


def _confusion_matrix(labels: Numbers, classes: Numbers, count: int) -> ConfusionMatrix:
    # At most 20 classes: 400 cells.
    cells = np.bincount(labels.astype(np.int16) * count + classes, minlength=count * count).reshape(count, count)
    return {str(row): {str(column): int(value) for column, value in enumerate(cells[row])} for row in range(count)}
