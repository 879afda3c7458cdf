"""The model server."""

import json
import sys
from functools import partial
from pathlib import Path

from local_aws import model_http
from local_aws.linear_learner import artifact, formats
from local_aws.linear_learner.common import ContainerError
from local_aws.linear_learner.predict import predict
from local_aws.model_http import Reply

EXECUTION_PARAMETERS = {"MaxConcurrentTransforms": 4, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}
REFUSAL = b"unable to evaluate payload provided"


def invoke(model: artifact.Model, body: bytes, content_type: str | None, accept: str | None) -> Reply:
    """Predictions for the rows of a request."""
    try:
        rows = formats.decode(body, content_type or formats.JSON, len(model.weights))
        answer, media = formats.encode(predict(model, rows), accept or formats.JSON)
    except formats.UnsupportedContentType as error:
        return Reply(415, str(error).encode(), "text/plain")
    except ValueError as error:
        # The container answers no more than this; where the fault is goes to the log.
        row, fault = error.args
        print(f"400 {REFUSAL.decode()}: row {row}: {fault}", file=sys.stderr, flush=True)
        return Reply(400, REFUSAL, "text/plain")
    return Reply(200, answer, media)


def serve(root: Path, port: int) -> int:
    """Serve the model in `root/model` until SIGTERM; returns the exit code."""
    parameters = Reply(200, json.dumps(EXECUTION_PARAMETERS).encode(), formats.JSON)
    try:
        model_http.serve(port, partial(invoke, artifact.read(root / "model")), lambda: parameters)
    except (ContainerError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
