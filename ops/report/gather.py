"""Everything that a report shows of a run, from what AWS keeps of it."""

from typing import Any

from ops import documents, jobs, runs
from ops.account import Account
from ops.report.coefficients import coefficients
from ops.report.cost import cost

Document = dict[str, Any]
NOT_YET: Document = {}
Z = 1.96
"""Of a 95 % interval from the bootstrap's standard deviation."""
UNBOUNDED = ("log_loss", "rmse", "mae", "mse")
"""Metrics that may be above 1."""


def gather(account: Account, run: runs.Run) -> Document:
    """One document: run, steps, evaluation, profile, baseline, champion, coefficients, lineage, cost.

    Parts that the run did not come to are empty.
    """
    data = account.settings.data
    package, asked, started = documents.package(account, run), documents.asked(account, run), jobs.of(account, run)
    baseline, described = documents.baseline(account, run), package.get("CustomerMetadataProperties", {})
    evaluation = documents.evaluation(account, run)
    own = described.get("execution", "").endswith(f":{run.name}")
    champion = trained_by(account, described.get("parent", "none")) if own else None
    return {
        "project": account.settings.project.name,
        "predictor_type": data.predictor_type,
        "classes": list(data.classes),
        "margin": account.settings.gate.margin,
        "metrics": _metrics(evaluation, account.settings.gate.minimum, account.settings.gate.maximum),
        "run": run,
        "steps": runs.steps(account, run.arn),
        "evaluation": evaluation,
        "profile": documents.profile(account, run),
        "baseline": baseline,
        "champion": {
            "run": champion.name if champion else "",
            "baseline": documents.baseline(account, champion) if champion else NOT_YET,
        },
        "coefficients": _scaled(account, package, baseline),
        "lineage": _lineage(run, asked, package, started, account),
        "cost": cost(account, started),
    }


def trained_by(account: Account, resource: str) -> runs.Run | None:
    """The run that trained the model of this name: a rollback's model was trained by the run of its package."""
    found = runs.of_resource(account, resource)
    if found is None:
        return None
    package = documents.asked(account, found).get("model_package", "")
    if not package:
        return found
    described = account.sagemaker.describe_model_package(ModelPackageName=package)
    execution = described.get("CustomerMetadataProperties", {}).get("execution", "")
    return runs.describe(account, execution) if execution else found


def _metrics(evaluation: Document, minimum: dict[str, float], maximum: dict[str, float]) -> list[Document]:
    """Each metric's value, interval, bound of the gate and whether it is kept, in words."""
    found = []
    section: Document = next((value for key, value in evaluation.items() if key.endswith("_metrics")), {})
    for name, entry in section.items():
        if "value" not in entry:
            continue
        value, spread = entry["value"], Z * entry["standard_deviation"]
        least, most = minimum.get(name), maximum.get(name)
        rule = f"at least {least:g}" if least is not None else f"at most {most:g}" if most is not None else ""
        kept = (least is None or value >= least) and (most is None or value <= most)
        found.append({
            "name": name, "value": value, "low": value - spread,
            "high": value + spread if name in UNBOUNDED else min(1.0, value + spread),
            "bound": least if least is not None else most, "rule": rule, "kept": ("no", "yes")[kept] if rule else "",
        })  # fmt: skip
    return found


def _scaled(account: Account, package: Document, baseline: Document) -> list[Document]:
    """The weights times their features' spread: the effect of one standard deviation, so that they can be compared."""
    if not package:
        return []
    artifact = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    found = coefficients(account, artifact, account.settings.data.features)
    for line in found:
        spread = baseline.get("features", {}).get(line["feature"], {}).get("standard_deviation", 1.0)
        line["effect"] = line["weight"] * spread
    return sorted(found, key=lambda line: -abs(line["effect"]))


def _lineage(run: runs.Run, asked: Document, package: Document, started: list[jobs.Job], account: Account) -> Document:
    trained = next((job for job in started if job.type == "Training"), None)
    image = ""
    if trained is not None:
        described = account.sagemaker.describe_training_job(TrainingJobName=trained.name)
        image = described["AlgorithmSpecification"].get("TrainingImage", "")
    data = asked.get("data", {})
    return {
        "execution": run.arn,
        "asked by": run.asked,
        "data, SHA-256": data.get("fingerprint", ""),
        "data, objects": data.get("objects"),
        "data, bytes": data.get("bytes"),
        "settings, SHA-256": asked.get("settings", ""),
        "commit": asked.get("commit", ""),
        "training image": image,
        "model package": package.get("ModelPackageArn", ""),
        "package status": package.get("ModelApprovalStatus", ""),
        "artifact": package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] if package else "",
        "endpoint config": f"{account.settings.project.name}-{run.id}" if run.outcome == "accepted" else "",
    }
