"""Training jobs: an algorithm's program in a sandbox laid out as "How SageMaker Runs Your Training Image" says."""

import shutil
import tarfile
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from local_aws.sagemaker import faults, images
from local_aws.sagemaker.api.errors import JobError, ValidationException
from local_aws.sagemaker.api.records import TRAINING
from local_aws.sagemaker.host import Host
from local_aws.sagemaker.jobs.container import Container
from local_aws.sagemaker.jobs.job import (
    DEFAULT_RUNTIME_SECONDS,
    REASON_LENGTH,
    Job,
    Stopped,
    resource_config,
    write_json,
)
from local_aws.sagemaker.jobs.metrics import MetricReader
from local_aws.sagemaker.s3 import files

_MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training in-progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "Interrupted": "Training job interrupted: AWS took the spot capacity back",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds",
}
LONGEST_WAIT_SECONDS = 3600  # without checkpoints (Developer Guide, "Managed Spot Training")
SPOT_SHARE = 0.3
"""The billed share of a spot job's time: an example, as no market sets it here."""


class _Waiting:
    """A job that waits for instances: what a job stops."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def stop(self, _: float) -> None:
        """End the wait."""
        self.over.set()

    def kill(self) -> None:
        """End the wait."""
        self.over.set()


class TrainingJob(Job):
    """A training job.

    One process whatever InstanceCount says, with all shards of the data: AWS's algorithm distributes itself over
    instances, the stand-in does not.

    Raises:
        ValidationException: The request asks for what does not run here.
    """

    def __init__(self, host: Host, arn: str, request: dict[str, Any], tags: dict[str, str]) -> None:
        super().__init__(TRAINING, host, arn, request, tags)
        algorithm = request["AlgorithmSpecification"]
        if "TrainingImage" not in algorithm:
            raise ValidationException(
                "AlgorithmSpecification: give a TrainingImage; AlgorithmName does not run locally."
            )
        if "ResourceConfig" not in request:  # optional in the API model for jobs that do not run here
            raise ValidationException(
                "Value null at 'resourceConfig' failed to satisfy constraint: Member must not be null"
            )
        self._image = images.find(host.images, algorithm["TrainingImage"], "train")
        self._spot = request.get("EnableManagedSpotTraining", False)
        self._condition: dict[str, Any] = request.get("StoppingCondition", {})
        self._check_spot()
        if self._image.metrics and algorithm.get("MetricDefinitions"):
            raise ValidationException("You can't override the metric definitions for Amazon SageMaker algorithms.")
        for channel in request.get("InputDataConfig", []):
            if "S3DataSource" not in channel["DataSource"]:
                raise ValidationException(f"Channel '{channel['ChannelName']}': only S3DataSource runs locally.")
        defined = {entry["Name"]: entry["Regex"] for entry in algorithm.get("MetricDefinitions", [])}
        self.metrics = MetricReader(self._image.metrics or defined)
        definitions = [{"Name": name, "Regex": regex} for name, regex in (self._image.metrics or defined).items()]
        self.update(
            AlgorithmSpecification={**algorithm, "MetricDefinitions": definitions},
            OutputDataConfig={"KmsKeyId": "", **request["OutputDataConfig"]},
            EnableNetworkIsolation=request.get("EnableNetworkIsolation", False),
            EnableInterContainerTrafficEncryption=request.get("EnableInterContainerTrafficEncryption", False),
            EnableManagedSpotTraining=self._spot,
            SecondaryStatusTransitions=[],
        )
        self._phase("Starting")

    def needs(self) -> tuple[str, list[str], str | None]:
        """Its role, image and volume key."""
        image = self.request["AlgorithmSpecification"]["TrainingImage"]
        return self.request["RoleArn"], [image], self.request["ResourceConfig"].get("VolumeKmsKeyId")

    def work(self) -> None:
        """Download the channels, train, read the failure file, upload the model."""
        root = self.folder / "ml"
        fault = self.host.faults.strike(faults.SPOT, self.name) if self._spot else None
        if fault == faults.CAPACITY:
            self._wait_for_capacity()
        if fault == faults.INTERRUPTED:
            self._interrupted(root)
        self._train(root)
        # A stopped job's model is kept too: "you can use this 120-second window to save the model" (StopTrainingJob).
        self._phase("Uploading")
        self._upload(root)

    def _train(self, root: Path) -> None:
        self._phase("Downloading")
        self._furnish(root)
        self._phase("Training")
        self.begin(*self._limit())
        try:
            self.run_containers([partial(self._start, root)])
        except JobError as error:
            failure = root / "output/failure"
            text = failure.read_text(errors="replace")[:REASON_LENGTH] if failure.is_file() else ""
            raise JobError(text or str(error)) from error
        finally:
            self.update(FinalMetricDataList=self.metrics.final())

    def _interrupted(self, root: Path) -> None:
        """Train until the instance is taken back: the next attempt starts anew, as there are no checkpoints."""
        own, self.fault = self.fault, "Kill"
        with suppress(JobError):
            self._train(root)
        self.fault = own
        self._phase("Interrupted")
        shutil.rmtree(root)
        self._phase("Starting")

    def _wait_for_capacity(self) -> None:
        """Wait until the job is stopped, or until its time to wait is over. Raises Stopped."""
        waiting = _Waiting()
        self.attach(waiting)
        if not waiting.over.wait(self.host.wait_scale * self._condition["MaxWaitTimeInSeconds"]):
            self.stop("MaxWaitTimeExceeded")
        raise Stopped

    def _limit(self) -> tuple[int | None, str]:
        """The seconds that the program may run, and the status if it takes more."""
        runtime, wait = self._condition.get("MaxRuntimeInSeconds"), self._condition.get("MaxWaitTimeInSeconds")
        if wait:
            left = wait - round((datetime.now(UTC) - self.describe()["CreationTime"]).total_seconds())
            if left < (runtime or DEFAULT_RUNTIME_SECONDS):
                return left, "MaxWaitTimeExceeded"
        return runtime, "MaxRuntimeExceeded"

    def _check_spot(self) -> None:
        """Raise ValidationException if the time to wait does not fit the job."""
        runtime, wait = self._condition.get("MaxRuntimeInSeconds"), self._condition.get("MaxWaitTimeInSeconds")
        if self._spot and (wait is None or wait < (runtime or DEFAULT_RUNTIME_SECONDS)):
            raise ValidationException(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
            )
        if wait is not None and not self._spot:
            raise ValidationException("Invalid MaxWaitTimeInSeconds. It must be absent without managed spot training")
        if wait and wait > LONGEST_WAIT_SECONDS and self._image.metrics and "CheckpointConfig" not in self.request:
            raise ValidationException(
                f"MaxWaitTimeInSeconds above {LONGEST_WAIT_SECONDS} is not supported for algorithms without checkpoints"
            )

    def settle(self, status: str, reason: str | None) -> None:
        """Write the final status, the times and the last transition."""
        super().settle(status, reason)
        document = self.describe()
        if "TrainingStartTime" in document:
            taken = round((document["TrainingEndTime"] - document["TrainingStartTime"]).total_seconds())
            billed = max(1, round(taken * (SPOT_SHARE if self._spot else 1)))
            self.update(TrainingTimeInSeconds=taken, BillableTimeInSeconds=billed)
        self._phase(self.stopped_by or status, reason)

    def _start(self, root: Path, on_end: Callable[[Container], None]) -> Container:
        names = {"TRAINING_JOB_NAME": self.name, "TRAINING_JOB_ARN": self.arn}
        command = self._image.command("train")
        environment = {**self._image.environment, **names}
        stream = self.stream(1)
        if (asked := self.request["ResourceConfig"].get("InstanceCount", 1)) > 1:
            line = f"local AWS: one process trains on all the data in place of {asked} instances"
            self.host.logs.write(self.group, f"{self.name}/{stream}", line)
        return self.launch(command, root, environment, stream, on_line=self.metrics.read, on_end=on_end)

    def _furnish(self, root: Path) -> None:
        for folder in ("model", "output/data", "input/data", "input/config"):
            (root / folder).mkdir(parents=True)
        channels = {}
        for channel in self.request.get("InputDataConfig", []):
            source = channel["DataSource"]["S3DataSource"]
            mode = channel.get("InputMode") or self.request["AlgorithmSpecification"]["TrainingInputMode"]
            channels[channel["ChannelName"]] = {
                **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
                "TrainingInputMode": mode,
                "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
            }
            self.actor.s3.download(source, root / "input/data" / channel["ChannelName"])
        config = root / "input/config"
        write_json(config / "inputdataconfig.json", channels)
        write_json(config / "hyperparameters.json", self.request.get("HyperParameters", {}))
        instance_type = self.request["ResourceConfig"].get("InstanceType", "")
        write_json(config / "resourceconfig.json", resource_config("algo-1", ["algo-1"], instance_type))

    def _upload(self, root: Path) -> None:
        prefix = f"{self.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"
        for folder, name in ((root / "model", "model.tar.gz"), (root / "output/data", "output.tar.gz")):
            if name == "model.tar.gz" or any(files(folder)):
                archive = self.folder / name
                with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
                    for file in files(folder):
                        tar.add(file, file.relative_to(folder).as_posix())
                self.actor.s3.store(archive, f"{prefix}/{name}")
        self.update(ModelArtifacts={"S3ModelArtifacts": f"{prefix}/model.tar.gz"})

    def _phase(self, status: str, message: str | None = None) -> None:
        now = datetime.now(UTC)
        with self.lock:
            past = [dict(entry) for entry in self.describe()["SecondaryStatusTransitions"]]
            if past:
                past[-1].setdefault("EndTime", now)
            entry = {"Status": status, "StartTime": now, "StatusMessage": message or _MESSAGES[status]}
            if status in ("Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"):
                entry["EndTime"] = now
            self.update(SecondaryStatus=status, SecondaryStatusTransitions=[*past, entry])
