"""The artifact's bytes, read from the documented layout, and models that are served."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_aws.linear_learner import artifact
from local_aws.linear_learner.common import ClientError

from .data import BINARY, MULTICLASS, REGRESSOR, Split, of_type, split
from .jobs import lay_out, serving, trained, unpack
from .sdk import labels_of

# The parameters of a binary classifier, as the container writes them.
ADDITIONAL = json.loads(Path(__file__).with_name("additional-params.json").read_text(encoding="utf-8"))


def test_the_artifact_is_laid_out_as_the_containers(wdbc_job: tuple[Path, str]) -> None:
    model = unpack(wdbc_job[0])
    assert model.members == ["mx-mod-symbol.json", "manifest.json", "additional-params.json", "mx-mod-0000.params"]
    assert model.manifest == {"mx-mod": "mxnet_module", "additional-params.json": "json", "version": 1}
    assert [node["name"] for node in model.symbol["nodes"]][:2] == ["data", "fc0_weight"]
    assert model.symbol["nodes"][-1]["op"] == "LogisticRegressionOutput"
    assert model.symbol["attrs"] == {"mxnet_version": ["int", 10301]}
    assert (model.weights.shape, model.bias.shape) == ((30, 1), (1, 1))
    threshold = model.additional["threshold"]
    assert 0 < threshold < 1
    parameters = ADDITIONAL["metrics_params"] | {"threshold": threshold}
    assert model.additional == ADDITIONAL | {"threshold": threshold, "metrics_params": parameters}


@pytest.mark.parametrize("name", ["wdbc", "wine", "diabetes"])
def test_an_independent_reader_gets_the_scores_that_are_served(tmp_path: Path, name: str) -> None:
    data: Split = split(name)
    trained(lay_out(tmp_path, {"train": data.train}, **of_type(data.kind, mini_batch_size=20)))
    features = data.validation[:, 1:]
    with serving(tmp_path) as client:
        served = client.scores(features)
    expected = unpack(tmp_path).scores(features)
    scale = np.abs(expected).max() if data.kind == REGRESSOR else 1.0
    assert np.abs(served - expected).max() <= 1e-6 * scale


def served(root: Path, weights: Any, bias: Any, *kind: str, threshold: float | None = None) -> Any:
    """The server of a model; `kind` is its predictor type and its loss."""
    model = artifact.Model(np.array(weights), np.array(bias), *kind, threshold, {})
    artifact.write(model, root / "model")
    return serving(root)


def test_a_binary_artifact_is_served_with_its_threshold(tmp_path: Path) -> None:
    with served(tmp_path, [[0.5], [-2.0]], [0.25], BINARY, "logistic", threshold=ADDITIONAL["threshold"]) as client:
        _, _, body = client.call("1,0.4\n1,0.5\n0,0", "text/csv")
    predictions = json.loads(body)["predictions"]
    expected = 1 / (1 + np.exp([0.05, 0.25, -0.25]))
    assert np.abs(np.array([row["score"] for row in predictions]) - expected).max() < 1e-6
    # 0.4378 is below the threshold, 0.4875 is above it though below 0.5.
    assert [row["predicted_label"] for row in predictions] == [1, 0, 1]


def test_an_artifact_of_the_other_types_is_served(tmp_path: Path) -> None:
    weights = [[1, 0, -1], [0, 2, 0]]
    with served(tmp_path / "classes", weights, [0, 0, 0.5], MULTICLASS, "softmax_loss") as client:
        _, _, body = client.call("1,1\n-3,0", "text/csv", "application/jsonlines")
        _, _, records = client.call("1,1", "text/csv", "application/x-recordio-protobuf")
    first, second = (json.loads(line) for line in body.splitlines())
    power = np.exp([1, 2, -0.5])
    assert np.abs(np.array(first["score"]) - power / power.sum()).max() < 1e-6
    assert (first["predicted_label"], second["predicted_label"]) == (1, 2)
    assert labels_of(records) == [{"score": first["score"], "predicted_label": [1.0]}]
    with served(tmp_path / "number", [[3], [4]], [5], REGRESSOR, "squared_loss") as client:
        assert client.call("1,2") == (200, "application/json", b'{"predictions": [{"score": 16.0}]}')


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="unable to load model: no model_algo-1 in"):
        artifact.read(tmp_path)
    (tmp_path / "model_algo-1").write_bytes(b"nothing")
    with pytest.raises(ClientError, match="is not a linear learner's model"):
        artifact.read(tmp_path)
