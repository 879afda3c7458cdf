"""Collect the window of a drift check: captured requests, the live model's run and the ground truth."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

COLUMNS = ("inference_id", "row", "label")


class UnknownModel(Exception):
    """No run of this pipeline trained the live model, so there is no baseline to compare with."""


@dataclass(frozen=True)
class Window:
    """The pipeline's bucket and endpoint, the lengths of the window and of the ground truth, and the clients."""

    bucket: str
    endpoint: str
    hours: int
    ground_truth_days: int
    s3: Any
    sagemaker: Any

    def collect(self, execution: str, now: datetime) -> dict[str, int | str]:
        """Write the window to runs/{execution}/window/; return {"files", "run"}, without an endpoint 0 and "none".

        manifest.json lists the captured files for the processing job (S3DataSource, ManifestFile), window.json has the
        period, signature.json the live model's signature, if its package names one, and ground_truth.csv the rows of
        the last `ground_truth_days`, whose requests are listed, too. Captured files are those of the live model's
        variant.

        Raises UnknownModel: no run trained the live model.
        """
        if (live := self._live_model()) is None:
            return {"files": 0, "run": "none"}
        run, variant, signature = live
        since, oldest = now - timedelta(hours=self.hours), now - timedelta(days=self.ground_truth_days)
        ground_truth = list(self._ground_truth(oldest))
        prefix = f"data-capture/{self.endpoint}/{variant}/"
        first = min(since, oldest) if ground_truth else since
        # The captured files are {prefix}yyyy/mm/dd/hh/… in UTC, and S3 lists keys in alphabetical order.
        captured = (key.removeprefix(prefix) for key in self._keys(prefix, f"{prefix}{first:%Y/%m/%d/%H}/"))
        names = [name for name in captured if name[:13] <= f"{now:%Y/%m/%d/%H}"]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *ground_truth])
        period = {"run": run, "since": f"{since:%Y-%m-%dT%H:%M:%SZ}", "until": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
        for name, body in (
            ("manifest.json", json.dumps([{"prefix": f"s3://{self.bucket}/{prefix}"}, *names])),
            ("window.json", json.dumps(period)),
            ("ground_truth.csv", text.getvalue()),
            *([("signature.json", self._text(f"signatures/{signature}.json"))] if signature else []),
        ):
            self.s3.put_object(Bucket=self.bucket, Key=f"runs/{execution}/window/{name}", Body=body.encode())
        return {"files": len(names), "run": run}

    def _live_model(self) -> tuple[str, str, str] | None:
        """Return the run that trained the live model, also after a rollback, its variant and its signature, if any."""
        try:
            config = self.sagemaker.describe_endpoint(EndpointName=self.endpoint)["EndpointConfigName"]
        except self.sagemaker.exceptions.ClientError as error:
            if "Could not find" in str(error):
                return None
            raise
        described = self.sagemaker.describe_endpoint_config(EndpointConfigName=config)
        listed = self.sagemaker.list_tags(ResourceArn=described["EndpointConfigArn"])["Tags"]
        tags = {tag["Key"]: tag["Value"] for tag in listed}
        if "model-package" not in tags:
            raise UnknownModel(f"{config} names no model package: deploy a model by a run first")
        try:
            package = self.sagemaker.describe_model_package(ModelPackageName=tags["model-package"])
        except self.sagemaker.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":
                raise
            raise UnknownModel(f"{tags['model-package']} is deleted: deploy a model by a run first") from error
        known = package.get("CustomerMetadataProperties", {})
        if "execution" not in known:
            raise UnknownModel(f"{tags['model-package']} names no run: deploy a model by a run first")
        variant = described["ProductionVariants"][0]["VariantName"]
        return str(known["execution"]).rpartition(":")[2], variant, known.get("signature", "")

    def _text(self, key: str) -> str:
        return str(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode("utf-8-sig"))

    def _ground_truth(self, since: datetime) -> Iterator[tuple[str, str, str]]:
        """Yield the rows of the ground truth files, by the time of their upload: ground-truth/yyyy-mm-dd/…."""
        for key in self._keys("ground-truth/"):
            if key.split("/")[1] >= f"{since:%Y-%m-%d}":
                for line in csv.DictReader(io.StringIO(self._text(key))):
                    yield line["inference_id"], line.get("row") or "1", line["label"]

    def _keys(self, prefix: str, after: str = "") -> Iterator[str]:
        listed = self.s3.get_paginator("list_objects_v2")
        pages = listed.paginate(Bucket=self.bucket, Prefix=prefix, StartAfter=after or prefix)
        yield from (item["Key"] for page in pages for item in page.get("Contents", []))
