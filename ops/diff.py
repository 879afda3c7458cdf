"""What differs between two runs: what they were asked, what they were made with, and how good they are."""

from typing import Any

from ops import documents, jobs, runs
from ops.account import Account

Document = dict[str, Any]


def diff(account: Account, before: runs.Run, after: runs.Run) -> list[Document]:
    """{what, before, after} for each value that differs; metrics have their difference too."""
    old, new = _flat(account, before), _flat(account, after)
    found = []
    for what in [*old, *(key for key in new if key not in old)]:
        pair = old.get(what), new.get(what)
        if pair[0] == pair[1]:
            continue
        line: Document = {"what": what, "before": pair[0], "after": pair[1]}
        if isinstance(pair[0], float) and isinstance(pair[1], float):
            line["difference"] = pair[1] - pair[0]
        found.append(line)
    return found


def _flat(account: Account, run: runs.Run) -> Document:
    asked, baseline = documents.asked(account, run), documents.baseline(account, run)
    data: Document = asked.get("data", {})
    found: Document = {
        "status": run.status,
        "outcome": run.outcome,
        "asked by": run.asked,
        "seconds": run.seconds,
        "commit": asked.get("commit"),
        "settings": asked.get("settings"),
        "data": data.get("fingerprint"),
        "rows": baseline.get("rows", {}).get("read"),
    }
    labels = baseline.get("labels", {})
    found |= {f"rows labelled {label}": count for label, count in labels.items()}
    found |= documents.metrics(documents.evaluation(account, run))
    trained = next((job for job in jobs.of(account, run) if job.type == "Training"), None)
    if trained is not None:
        described = account.sagemaker.describe_training_job(TrainingJobName=trained.name)
        found |= {f"hyperparameter {key}": value for key, value in described.get("HyperParameters", {}).items()}
        found["training image"] = described["AlgorithmSpecification"].get("TrainingImage")
    return found
