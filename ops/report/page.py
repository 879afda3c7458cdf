"""A run's report, one HTML file that needs no network: sections.js writes it, and charts.js draws its charts."""

import json
import webbrowser
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError

from lambdas.predict.explanation import explained_row
from ops.account import Account, OpsError
from ops.critical_path import TOTAL, of_run, rows, waits_of
from ops.drift import latest_check
from ops.jobs import Job, cost, jobs_of, trained_by, training_job, tuning_job
from ops.output import Result, RunName, command, plain, wants_json
from ops.report.coefficients import coefficients, features_of
from ops.runs import Run, Step, file_of, find, measured, of_deployment, steps
from pipeline.config import Settings
from pipeline.jobs.shared.metric_names import METRICS

HERE = Path(__file__).parent
LIBRARIES = Path(__file__).parents[2] / "node_modules"
PLOT = (LIBRARIES / "d3/dist/d3.min.js", LIBRARIES / "@observablehq/plot/dist/plot.umd.min.js")
Z = 1.96
"""The number of standard deviations in half of a 95 % interval."""
Contents = dict[str, Any]
"""The JSON document of a report's scripts. What the run did not produce is empty; `champion` is the name of a run."""


@command
def report(
    account: Account,
    run: RunName = "",
    out: Annotated[Path, typer.Option("--out", help="The folder to write to.")] = Path("build/reports"),
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
) -> Result:
    """Write a run's report, one HTML file that needs no network, and open it."""
    found = find(account, run)
    out.mkdir(parents=True, exist_ok=True)
    path = (out / f"{found.name}.html").resolve()
    document = contents(account, found)
    path.write_text(page(document), encoding="utf-8")
    card = path.with_suffix(".card.json")
    if document["card"]:
        card.write_text(json.dumps(document["card"], indent=1, ensure_ascii=False), encoding="utf-8")
    if browse and not wants_json():
        webbrowser.open(path.as_uri())
    written = [f"report: {path}", *([f"model card: {card}"] if document["card"] else [])]
    return Result({"report": str(path), "card": str(card) if document["card"] else "", "run": found}, written)


def contents(account: Account, run: Run) -> Contents:
    """The contents of a run's report."""
    settings, package, tuning = account.settings, _package(account, run), tuning_job(account, run)
    trainings = trained_by(account, tuning)
    jobs, entered = jobs_of(account, run, trainings), steps(account, run)
    evaluation = file_of(account, run.name, "evaluation/evaluation.json")
    baseline = file_of(account, run.name, "baseline/baseline.json")
    metadata = package.get("CustomerMetadataProperties", {})
    own = metadata.get("execution") == run.arn
    champion = of_deployment(account, metadata.get("parent", "")) if own else None
    # Of an inference pipeline the first container encodes, and the last one is the linear learner.
    artifacts = [each["ModelDataUrl"] for each in package["InferenceSpecification"]["Containers"]] if package else [""]
    encoder, artifact = (artifacts[0] if len(artifacts) > 1 else ""), artifacts[-1]
    features = features_of(account, encoder, settings.data.features)
    return {
        "project": settings.project.name,
        "classes": settings.data.classes,
        "margin": settings.gate.margin,
        "run": run,
        "steps": entered,
        "path": [] if run.running else _path(account, run, entered, jobs),
        "evaluation": evaluation,
        "metrics": list(_metrics(evaluation, settings)),
        "profile": file_of(account, run.name, "evaluation/profile.json"),
        "baseline": baseline,
        "preprocessed": file_of(account, run.name, "listing/preprocessed.json"),
        "champion": champion.name if champion else "",
        "champion_baseline": file_of(account, champion.name, "baseline/baseline.json") if champion else {},
        "coefficients": coefficients(account, artifact, features, baseline) if artifact else [],
        "example": _example(account, run),
        "drift": _drift(account, run),
        "psi": settings.drift.psi,
        "cost": cost(account, jobs),
        "package": package,
        "artifact": artifact,
        "card": json.loads(package.get("ModelCard", {}).get("ModelCardContent") or "{}"),
        "training": training_job(account, jobs, tuning),
        "tuning": {**tuning, "trainings": trainings} if tuning else {},
    }


def _path(account: Account, run: Run, entered: list[Step], jobs: list[Job]) -> list[tuple[object, ...]]:
    """The rows of the critical path of a run that has ended."""
    served = run.outcome == "accepted"
    phases = of_run(entered, jobs, waits_of(account.definition("DeployMachine")), served=served)
    return rows(phases, TOTAL if served else "until the run ended")


def _package(account: Account, run: Run) -> dict[str, Any]:
    """The run's model package as the registry describes it; empty when it has none, or it is deleted.

    The package of a run that failed is searched by its metadata among those that were created since the run started.
    """
    describe, group = account.sagemaker.describe_model_package, account.outputs["ModelPackageGroup"]
    if run.package:
        try:
            return dict(describe(ModelPackageName=run.package))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":
                raise
            return {}
    listed = account.sagemaker.list_model_packages(
        ModelPackageGroupName=group, CreationTimeAfter=run.started, SortOrder="Ascending"
    )["ModelPackageSummaryList"]
    packages: Iterator[dict[str, Any]] = (dict(describe(ModelPackageName=each["ModelPackageArn"])) for each in listed)
    own = (each for each in packages if each.get("CustomerMetadataProperties", {}).get("execution") == run.arn)
    return next(own, {})


def _example(account: Account, run: Run) -> dict[str, Any]:
    """The explanation of the settings' example row by the run's model; empty without them, or for other features."""
    document, signature = file_of(account, run.name, "evaluation/explanation.json"), account.settings.api_signature
    names = [feature["name"] for feature in document.get("features", [])]
    if not account.settings.example or names != signature.features:
        return {}
    return {**explained_row(document, signature, account.settings.example, account.settings.api.contributions or 5)}


def _drift(account: Account, run: Run) -> dict[str, Any]:
    """The drift.json of the newest check if it is of this run's model, else empty."""
    check = latest_check(account)
    found = file_of(account, check["check"], "drift/drift.json") if check else {}
    return found if found.get("run") == run.name else {}


def _metrics(evaluation: dict[str, Any], settings: Settings) -> Iterator[dict[str, object]]:
    """Each metric with its 95 % interval and the quality gate's threshold; `passed` is empty without one."""
    larger_is_better, _ = METRICS[settings.data.predictor_type]
    entries = {name: entry for name, entry in measured(evaluation).items() if "value" in entry}
    for name, entry in entries.items():
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


def page(document: Contents) -> str:
    """The report's HTML. Raises OpsError when the plotting library is not installed."""
    run = document["run"]
    return frame(f"{document['project']}: {run.outcome or run.status}", document, "charts.js", "sections.js")


def frame(title: str, data: object, *scripts: Path | str) -> str:
    """The HTML of a page that shows `data`, JSON in its element `run`. Raises OpsError.

    The scripts define `heading`, `sections`, and `charts`: a function per figure that returns an SVG for a width.
    """
    try:
        libraries = "\n".join(f"<script>{file.read_text(encoding='utf-8')}</script>" for file in PLOT)
    except FileNotFoundError as error:
        raise OpsError(f"{error.filename} is not there: run `make install`") from error
    parts = {
        "TITLE": escape(title),
        "CSS": (HERE / "page.css").read_text(encoding="utf-8"),
        # JSON's escape for `<`: a text with `</script>` would end the element.
        "DATA": json.dumps(data, default=plain).replace("<", "\\u003c"),
        "LIBRARIES": libraries,
        "SCRIPTS": "\n".join((HERE / name).read_text(encoding="utf-8") for name in (*scripts, "draw.js")),
    }
    html = (HERE / "page.html").read_text(encoding="utf-8")
    for name, text in parts.items():
        html = html.replace(f"<!--{name}-->", text, 1)
    return html
