"""The contents of a run's report, read from AWS."""

from typing import Any, TypedDict

from ops.account import Account
from ops.jobs import jobs_of, training_job
from ops.report.coefficients import Coefficient, coefficients
from ops.report.cost import Line, cost
from ops.run_files import Baseline, Evaluation, baseline, evaluation, read, section
from ops.runs import Run, Step, of_deployment, steps

Z = 1.96
"""The number of standard deviations in half of a 95 % interval."""
UNBOUNDED = ("log_loss", "rmse", "mae", "mse")
"""Metrics that may be above 1."""


class Metric(TypedDict):
    """A metric with its 95 % interval and the quality gate's threshold; `passed` is yes, no, or empty without one."""

    name: str
    value: float
    low: float
    high: float
    threshold: float | None
    rule: str
    passed: str


class Champion(TypedDict):
    """The run that trained the champion, and the statistics of its data; empty when there was none."""

    run: str
    baseline: Baseline


class Contents(TypedDict):
    """Everything that a report shows. What the run did not produce is empty."""

    project: str
    classes: list[str]
    margin: float
    metrics: list[Metric]
    run: Run
    steps: list[Step]
    evaluation: Evaluation
    profile: dict[str, Any]
    baseline: Baseline
    champion: Champion
    coefficients: list[Coefficient]
    lineage: dict[str, object]
    cost: list[Line]


def contents(account: Account, run: Run) -> Contents:
    """The contents of a run's report."""
    settings, jobs = account.settings, jobs_of(account, run)
    package, evaluated, statistics = _package(account, run), evaluation(account, run), baseline(account, run)
    metadata = package.get("CustomerMetadataProperties", {})
    own = metadata.get("execution") == run.arn
    champion = of_deployment(account, metadata.get("parent", "")) if own else None
    artifact = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] if package else ""
    spread = {name: each["standard_deviation"] for name, each in statistics.get("features", {}).items()}
    image = training_job(account, jobs).get("AlgorithmSpecification", {}).get("TrainingImage", "")
    data = run.request.get("data", {})
    return {
        "project": settings.project.name,
        "classes": list(settings.data.classes),
        "margin": settings.gate.margin,
        "metrics": _metrics(evaluated, settings.gate.minimum, settings.gate.maximum),
        "run": run,
        "steps": steps(account, run),
        "evaluation": evaluated,
        "profile": read(account, f"{run.name}/evaluation/profile.json"),
        "baseline": statistics,
        "champion": {
            "run": champion.name if champion else "",
            "baseline": baseline(account, champion) if champion else {},
        },
        "coefficients": coefficients(account, artifact, settings.data.features, spread) if artifact else [],
        "lineage": {
            "execution": run.arn,
            "started by": run.started_by,
            "data, SHA-256": data.get("fingerprint"),
            "data, objects": data.get("objects"),
            "data, bytes": data.get("bytes"),
            "settings, SHA-256": run.request.get("settings"),
            "commit": run.request.get("commit"),
            "training image": image,
            "model package": package.get("ModelPackageArn"),
            "package status": package.get("ModelApprovalStatus"),
            "artifact": artifact,
            "endpoint config": run.model if run.outcome == "accepted" else "",
        },
        "cost": cost(account, jobs),
    }


def _package(account: Account, run: Run) -> dict[str, Any]:
    """The run's model package as the registry describes it; empty when it has none.

    The package of a run that failed is searched by its metadata among those that were created since the run started.
    """
    describe = account.sagemaker.describe_model_package
    if run.package:
        return dict(describe(ModelPackageName=run.package))
    listed = account.sagemaker.list_model_packages(
        ModelPackageGroupName=account.outputs["ModelPackageGroup"], CreationTimeAfter=run.started, SortOrder="Ascending"
    )["ModelPackageSummaryList"]
    packages = (dict(describe(ModelPackageName=each["ModelPackageArn"])) for each in listed)
    return next(
        (each for each in packages if each.get("CustomerMetadataProperties", {}).get("execution") == run.arn), {}
    )


def _metrics(evaluated: Evaluation, minimum: dict[str, float], maximum: dict[str, float]) -> list[Metric]:
    found: list[Metric] = []
    for name, entry in section(evaluated).items():
        if "value" not in entry:
            continue
        value, half = entry["value"], Z * entry["standard_deviation"]
        least, most = minimum.get(name), maximum.get(name)
        rule = f"at least {least:g}" if least is not None else f"at most {most:g}" if most is not None else ""
        passed = (least is None or value >= least) and (most is None or value <= most)
        found.append(
            {
                "name": name,
                "value": value,
                "low": value - half,
                "high": value + half if name in UNBOUNDED else min(1.0, value + half),
                "threshold": least if least is not None else most,
                "rule": rule,
                "passed": ("no", "yes")[passed] if rule else "",
            }
        )
    return found
