"""Processing jobs: the caller's program in a sandbox laid out as "Build Your Own Processing Container" says."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from local_aws.sagemaker import images
from local_aws.sagemaker.api.errors import JobError, ValidationException
from local_aws.sagemaker.api.records import PROCESSING
from local_aws.sagemaker.host import Host
from local_aws.sagemaker.jobs.container import Container
from local_aws.sagemaker.jobs.job import DEFAULT_RUNTIME_SECONDS, REASON_LENGTH, Job, resource_config, write_json
from local_aws.sagemaker.jobs.volume import Volumes
from local_aws.sagemaker.sandbox import OPT_ML


class ProcessingJob(Job):
    """A processing job: one process for each instance.

    Raises ValidationException: the request asks for what does not run here.
    """

    def __init__(self, host: Host, arn: str, request: dict[str, Any], tags: dict[str, str]) -> None:
        request = {"StoppingCondition": {"MaxRuntimeInSeconds": DEFAULT_RUNTIME_SECONDS}, **request}
        super().__init__(PROCESSING, host, arn, request, tags)
        application = request["AppSpecification"]
        images.find(host.images, application["ImageUri"], "script")
        self._inputs: list[dict[str, Any]] = request.get("ProcessingInputs", [])
        self._outputs: list[dict[str, Any]] = request.get("ProcessingOutputConfig", {}).get("Outputs", [])
        if not application.get("ContainerEntrypoint"):
            raise ValidationException(
                "AppSpecification.ContainerEntrypoint: this image has no program of its own here."
            )
        for part, member in [(part, "S3Input") for part in self._inputs] + [
            (part, "S3Output") for part in self._outputs
        ]:
            if member not in part:
                raise ValidationException(f"Only {member} runs locally; got {', '.join(sorted(part))}.")
            place = Path(part[member].get("LocalPath", ""))
            if not place.is_relative_to(OPT_ML / "processing") or ".." in place.parts:
                raise ValidationException(f"LocalPath '{place}' must start with /opt/ml/processing.")
            if part[member].get("S3UploadMode", "EndOfJob") != "EndOfJob":
                raise ValidationException("S3UploadMode Continuous does not run locally; use EndOfJob.")

    def needs(self) -> tuple[str, list[str], str | None]:
        """Its role, image and volume key."""
        cluster = self.request["ProcessingResources"]["ClusterConfig"]
        return self.request["RoleArn"], [self.request["AppSpecification"]["ImageUri"]], cluster.get("VolumeKmsKeyId")

    def work(self) -> None:
        """Download, run, keep the exit message, upload."""
        cluster = self.request["ProcessingResources"]["ClusterConfig"]
        hosts = [f"algo-{number + 1}" for number in range(cluster["InstanceCount"])]
        roots = [self.folder / host / "ml" for host in hosts]
        with Volumes(roots, cluster["VolumeSizeInGB"], self.kill_programs):
            self._process(cluster, hosts, roots)
        if not self.stopped_by:
            for root in roots:
                for output in self._outputs:
                    self.actor.s3.upload(_place(root, output["S3Output"]), output["S3Output"]["S3Uri"])

    def _process(self, cluster: dict[str, Any], hosts: list[str], roots: list[Path]) -> None:
        for number, root in enumerate(roots):
            self._furnish(root, (number, len(hosts)))
            write_json(root / "config/processingjobconfig.json", self.describe())
            write_json(
                root / "config/resourceconfig.json", resource_config(hosts[number], hosts, cluster["InstanceType"])
            )
        self.begin(self.request["StoppingCondition"]["MaxRuntimeInSeconds"])
        try:
            self.run_containers([partial(self._start, root, number + 1) for number, root in enumerate(roots)])
        finally:
            self._keep_exit_message(roots)

    def _furnish(self, root: Path, shard: tuple[int, int]) -> None:
        for output in self._outputs:
            _place(root, output["S3Output"]).mkdir(parents=True, exist_ok=True)
        (root / "output").mkdir(parents=True)
        for source in self._inputs:
            folder = _place(root, source["S3Input"])
            folder.mkdir(parents=True, exist_ok=True)
            self.actor.s3.download(source["S3Input"], folder, shard)

    def _start(self, root: Path, number: int, on_end: Callable[[Container], None]) -> Container:
        application = self.request["AppSpecification"]
        command = [*application["ContainerEntrypoint"], *application.get("ContainerArguments", [])]
        if command[0] in ("python", "python3"):
            command[0] = images.PYTHON
        return self.launch(command, root, {}, self.stream(number), on_end=on_end)

    def _keep_exit_message(self, roots: list[Path]) -> None:
        for root in roots:
            message = root / "output/message"
            if message.is_file():
                try:
                    text = message.read_bytes().decode()
                except UnicodeDecodeError as error:
                    raise JobError("ClientError: /opt/ml/output/message is not UTF-8 text") from error
                self.update(
                    ExitMessage=self.host.sandboxes.shown(text).encode()[:REASON_LENGTH].decode(errors="ignore")
                )
                return


def _place(root: Path, channel: dict[str, Any]) -> Path:
    return root / Path(channel["LocalPath"]).relative_to(OPT_ML)
