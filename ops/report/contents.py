"""The contents of a run's report, read from AWS."""

from collections.abc import Iterator
from typing import Any

from ops.account import Account
from ops.jobs import cost, jobs_of, training_job
from ops.report.coefficients import coefficients
from ops.runs import Run, file_of, measured, of_deployment, steps
from pipeline.config import Settings
from pipeline.jobs.shared.metric_names import METRICS

Z = 1.96
"""The number of standard deviations in half of a 95 % interval."""
Contents = dict[str, Any]
"""The JSON document of a report's scripts. What the run did not produce is empty; `champion` is the name of a run."""


def contents(account: Account, run: Run) -> Contents:
    """The contents of a run's report."""
    settings, jobs, package = account.settings, jobs_of(account, run), _package(account, run)
    evaluation = file_of(account, run.name, "evaluation/evaluation.json")
    baseline = file_of(account, run.name, "baseline/baseline.json")
    metadata = package.get("CustomerMetadataProperties", {})
    own = metadata.get("execution") == run.arn
    champion = of_deployment(account, metadata.get("parent", "")) if own else None
    artifact = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] if package else ""
    spread = {name: each["standard_deviation"] for name, each in baseline.get("features", {}).items()}
    return {
        "project": settings.project.name,
        "classes": settings.data.classes,
        "margin": settings.gate.margin,
        "run": run,
        "steps": steps(account, run),
        "evaluation": evaluation,
        "metrics": list(_metrics(evaluation, settings)),
        "profile": file_of(account, run.name, "evaluation/profile.json"),
        "baseline": baseline,
        "champion": champion.name if champion else "",
        "champion_baseline": file_of(account, champion.name, "baseline/baseline.json") if champion else {},
        "coefficients": coefficients(account, artifact, settings.data.features, spread) if artifact else [],
        "cost": cost(account, jobs),
        "package": package,
        "artifact": artifact,
        "training": training_job(account, jobs),
    }


def _package(account: Account, run: Run) -> dict[str, Any]:
    """The run's model package as the registry describes it; empty when it has none.

    The package of a run that failed is searched by its metadata among those that were created since the run started.
    """
    describe, group = account.sagemaker.describe_model_package, account.outputs["ModelPackageGroup"]
    if run.package:
        return dict(describe(ModelPackageName=run.package))
    listed = account.sagemaker.list_model_packages(
        ModelPackageGroupName=group, CreationTimeAfter=run.started, SortOrder="Ascending"
    )["ModelPackageSummaryList"]
    packages: Iterator[dict[str, Any]] = (dict(describe(ModelPackageName=each["ModelPackageArn"])) for each in listed)
    own = (each for each in packages if each.get("CustomerMetadataProperties", {}).get("execution") == run.arn)
    return next(own, {})


def _metrics(evaluation: dict[str, Any], settings: Settings) -> Iterator[dict[str, object]]:
    """Each metric with its 95 % interval and the quality gate's threshold; `passed` is empty without one."""
    larger_is_better, _ = METRICS[settings.data.predictor_type]
    for name, entry in measured(evaluation).items():
        if "value" not in entry:
            continue
        value, half, larger = entry["value"], Z * entry["standard_deviation"], name in larger_is_better
        threshold = (settings.gate.minimum if larger else settings.gate.maximum).get(name)
        passed = threshold is None or (value >= threshold if larger else value <= threshold)
        yield {
            "name": name,
            "value": value,
            "low": value - half,
            "high": min(1.0, value + half) if larger else value + half,
            "threshold": threshold,
            "rule": "" if threshold is None else f"{'at least' if larger else 'at most'} {threshold:g}",
            "passed": "" if threshold is None else ("no", "yes")[passed],
        }
