"""AWS's sample: scikit-learn preprocesses abalones, the linear learner predicts their rings, one endpoint does both."""

import importlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..aws import ROLE, Aws, channel, unique
from ..test_tools import sdk

SCRIPT = Path(__file__).with_name("abalone.py")
SCIKIT = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
LEARNER = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"
FEATURES = 10  # 7 measures, and the sex as one of 3
REGRESSION = {"predictor_type": "regressor", "feature_dim": str(FEATURES), "mini_batch_size": "32", "epochs": "20"}


def abalones(count: int) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Rows of CSV, and the rings that each has."""
    random = np.random.default_rng(7)
    sexes, measures = random.integers(0, 3, count), random.uniform(0, 1, (count, 7))
    rings = 8 + 3 * measures @ np.arange(-3, 4) / 3 + 2 * (sexes == 2)
    words = ["M", "F", "I"]
    rows = zip(sexes, measures.tolist(), strict=True)
    return [",".join([words[sex], *map(repr, row)]) for sex, row in rows], rings


def close(predictions: list[dict[str, float]], rings: np.ndarray[Any, Any]) -> bool:
    return bool(np.abs(np.array([prediction["score"] for prediction in predictions]) - rings).max() < 0.5)


def archive(**files: str) -> bytes:
    """A gzipped tar archive of files by their names without .py."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"{name}.py")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return data.getvalue()


def program(aws: Aws, text: str, name: str = "script") -> dict[str, str]:
    """The settings of an archive in S3 with this program: hyperparameters, or environment in capitals."""
    url = aws.put(f"{unique('source')}/sourcedir.tar.gz", archive(**{name: text}))
    return {"sagemaker_program": f"{name}.py", "sagemaker_submit_directory": url}


def capitals(settings: dict[str, str]) -> dict[str, str]:
    return {name.upper(): value for name, value in settings.items()}


def trained(aws: Aws, image: str, hyperparameters: dict[str, str], uri: str, **members: Any) -> dict[str, Any]:
    request = aws.training_request(InputDataConfig=[channel("train", uri)], HyperParameters=hyperparameters, **members)
    request["AlgorithmSpecification"] = {"TrainingImage": image, "TrainingInputMode": "File"}
    return aws.wait("training", aws.start("training", request))


def transformed(aws: Aws, name: str) -> None:
    job = aws.wait("transform", name)
    assert job["TransformJobStatus"] == "Completed", (job["FailureReason"], aws.lines("TransformJobs", name))


@pytest.mark.rotated
def test_a_preprocessor_and_a_learner_are_trained_and_served_as_one(aws: Aws) -> None:
    rows, rings = abalones(400)
    data = unique("abalones")
    for part in range(2):
        lines = [f"{row},{ring}" for row, ring in zip(rows[part::2], rings[part::2], strict=True)]
        uri = aws.put(f"{data}/raw/{part}.csv", "\n".join(lines)).rpartition("/")[0]
    script = program(aws, SCRIPT.read_text(), "abalone")
    job = trained(aws, SCIKIT, {name: json.dumps(value) for name, value in script.items()}, uri)
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    assert "fitted on 400 abalones" in aws.lines("TrainingJobs", job["TrainingJobName"])
    first = {
        "Image": SCIKIT,
        "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"],
        "Environment": capitals(script),
    }
    request = aws.transform_request(f"{data}/raw", aws.pipeline(first), Split={})
    transformed(aws, aws.start("transform", request))
    scored = f"s3://{aws.bucket}/scored/{data}/raw"
    assert aws.read(f"scored/{data}/raw/0.csv.out").count(b",") == 200 * FEATURES
    learned = trained(aws, LEARNER, REGRESSION, scored)
    assert learned["TrainingJobStatus"] == "Completed", learned["FailureReason"]
    second = {"Image": LEARNER, "ModelDataUrl": learned["ModelArtifacts"]["S3ModelArtifacts"]}
    pipeline = aws.pipeline(first, second)
    endpoint = aws.serve(unique("abalones"), pipeline)
    answer = json.loads(aws.invoke(endpoint, "\n".join(rows[:50]), Accept="application/json"))
    assert close(answer["predictions"], rings[:50])
    assert close(json.loads(aws.invoke(endpoint, rows[0]))["predictions"], rings[:1])
    with pytest.raises(aws.runtime.exceptions.ModelError, match=r"server error \(500\) from container-1"):
        aws.runtime.invoke_endpoint(EndpointName=endpoint, Body=rows[0], ContentType="text/plain")
    aws.put(f"{data}/new/rows.csv", "\n".join(rows[:50]))
    request = aws.transform_request(f"{data}/new", pipeline)
    request["TransformOutput"]["Accept"] = "application/jsonlines"
    transformed(aws, aws.start("transform", request))
    lines = aws.read(f"scored/{data}/new/rows.csv.out").splitlines()
    assert close([json.loads(line) for line in lines], rings[:50])


SUM = "def model_fn(folder): return 1\ndef predict_fn(rows, model): return rows.sum(axis=1) + model\n"


def test_a_script_in_the_models_archive_needs_no_network(aws: Aws) -> None:
    url = aws.put(f"{unique('model')}/model.tar.gz", archive(**{"code/script": SUM}))
    own = {"SAGEMAKER_PROGRAM": "script.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
    name = aws.pipeline({"Image": SCIKIT, "ModelDataUrl": url, "Environment": own}, EnableNetworkIsolation=True)
    assert aws.invoke(aws.serve(unique("endpoint"), name), "1,2\n3,4\n") == "[4.0, 8.0]"


@pytest.mark.parametrize("members", [{"EnableNetworkIsolation": True}, {}], ids=["without a network", "not there"])
def test_a_script_that_cannot_be_had_fails_the_endpoint(aws: Aws, members: dict[str, Any]) -> None:
    script = capitals(program(aws, SUM))
    if not members:
        script["SAGEMAKER_SUBMIT_DIRECTORY"] += ".none"
    endpoint = aws.serve(unique("endpoint"), aws.pipeline({"Image": SCIKIT, "Environment": script}, **members))
    ping = "did not pass the ping health check: it exited with code 1."
    assert ping in aws.described(endpoint)["FailureReason"]
    (line,) = set(aws.lines(f"Endpoints/{endpoint}", "AllTraffic"))
    assert line.startswith(f"cannot get the script from {script['SAGEMAKER_SUBMIT_DIRECTORY']}: botocore.exceptions.")


def test_a_script_that_fails_is_the_training_jobs_reason(aws: Aws) -> None:
    uri = aws.put(f"{unique('data')}/a.csv", "1\n")
    job = trained(aws, SCIKIT, {**program(aws, "raise ValueError('no rows')"), "n": "1"}, uri)
    assert job["FailureReason"] == (
        'AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage "ValueError: no rows"\n'
        'Command "python3 script.py -n 1", exit code: 1'
    )


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")
def test_the_sample_runs_with_the_sagemaker_sdk(aws: Aws, tmp_path: Path) -> None:
    sagemaker, session = sdk(aws)
    sklearn, pipelines = (importlib.import_module(f"sagemaker.{name}") for name in ("sklearn", "pipeline"))
    rows, rings = abalones(1000)
    lines = [f"{row},{ring}" for row, ring in zip(rows, rings, strict=True)]
    (tmp_path / "abalone.csv").write_text("\n".join(lines))
    raw = session.upload_data(str(tmp_path / "abalone.csv"), aws.bucket, unique("abalone"))
    own = {"role": ROLE, "sagemaker_session": session}
    preprocessor = sklearn.SKLearn(str(SCRIPT), "1.4-2", instance_type="ml.c4.xlarge", **own)
    preprocessor.fit({"train": raw}, job_name=unique("abalone"))
    transformer = preprocessor.transformer(1, "ml.m4.xlarge", assemble_with="Line", accept="text/csv")
    transformer.transform(raw, content_type="text/csv", wait=False)
    transformed(aws, transformer.latest_transform_job.name)
    image = sagemaker.image_uris.retrieve("linear-learner", "us-east-1")
    learner = sagemaker.estimator.Estimator(
        image, instance_count=1, instance_type="ml.m4.2xlarge", hyperparameters=REGRESSION, **own
    )
    source = sagemaker.inputs.TrainingInput(transformer.output_path, content_type="text/csv")
    learner.fit({"train": source}, job_name=unique("abalone"))
    models = [preprocessor.create_model(), learner.create_model()]
    pipeline = pipelines.PipelineModel(models, name=unique("pipeline"), **own)
    pipeline.deploy(1, "ml.c4.xlarge", endpoint_name=unique("pipeline"), wait=False)
    aws.settled(pipeline.endpoint_name)
    predictor = sagemaker.predictor.Predictor(
        pipeline.endpoint_name,
        session,
        serializer=sagemaker.serializers.CSVSerializer(),
        deserializer=sagemaker.deserializers.JSONDeserializer(),
    )
    for row, ring in zip(rows[:5], rings[:5], strict=True):
        assert close(predictor.predict(row)["predictions"], ring)
    predictor.delete_endpoint()
    tests = pipeline.transformer(1, "ml.m4.xlarge", assemble_with="Line", accept="application/jsonlines")
    (tmp_path / "new.csv").write_text("\n".join(rows))
    new = session.upload_data(str(tmp_path / "new.csv"), aws.bucket, unique("abalone"))
    tests.transform(new, content_type="text/csv", split_type="Line", wait=False)
    transformed(aws, tests.latest_transform_job.name)
    (key,) = aws.keys(f"{pipeline.name}/") or aws.keys(tests.output_path.partition(f"{aws.bucket}/")[2])
    assert key.endswith("new.csv.out")
