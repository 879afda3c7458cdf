"""The model server of a user's script, with the image's defaults for what it does not define.

Source: sagemaker-scikit-learn-container, `serving.py`.
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from local_aws import model_http
from local_aws.model_http import Reply
from local_aws.scikit_learn import content, script

INTERNAL = b"<!doctype html>\n<title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>\n"


class Script:
    """The functions of a user's module, and its model. Raises ScriptError for a module that the image refuses."""

    def __init__(self, module: Any, model_folder: Path) -> None:
        transform, names = getattr(module, "transform_fn", None), ("input_fn", "predict_fn", "output_fn")
        if transform and any(hasattr(module, name) for name in names):
            raise script.ScriptError("give either transform_fn, or input_fn, predict_fn and output_fn")
        if not hasattr(module, "model_fn"):
            raise script.ScriptError("Please provide a model_fn implementation.")
        self._transform = transform or self._default_transform
        self._input, self._predict, self._output = (
            getattr(module, name, globals()[f"default_{name}"]) for name in names
        )
        self._accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", content.JSON)
        self._model = module.model_fn(str(model_folder))

    def invoke(self, body: bytes, content_type: str | None, accept: str | None) -> Reply:
        """Answer a request."""
        media = content_type or content.JSON
        wanted = self._accept if accept in (None, "", content.ANY) else accept
        data = body.decode(errors="replace") if media in content.UTF8_TYPES else body
        try:
            return reply(self._transform(self._model, data, media, wanted))
        except Exception:
            traceback.print_exc()
            return content.response(INTERNAL, status=500, mimetype="text/html")

    def _default_transform(self, model: Any, data: str | bytes, media: str, accept: str) -> Any:
        try:
            decoded = self._input(data, media)
        except content.UnsupportedFormatError as error:
            return _unsupported(error, 415)
        prediction = self._predict(decoded, model)
        try:
            return self._output(prediction, accept)
        except content.UnsupportedFormatError as error:
            return _unsupported(error, 406)


def default_input_fn(data: str | bytes, content_type: str) -> Any:
    """The array of a request; numbers of JSON and CSV are float32."""
    array = content.decode(data, content_type)
    return array.astype(np.float32) if content_type in content.UTF8_TYPES else array


def default_predict_fn(data: Any, model: Any) -> Any:
    """The model's predictions."""
    return model.predict(data)


def default_output_fn(prediction: Any, accept: str) -> Reply:
    """An array in the format that the caller accepts."""
    return content.response(content.encode(prediction, accept), mimetype=accept)


def reply(result: Any) -> Reply:
    """What a script returned: a response, a body with its content type, or a body alone, which Flask sends as HTML."""
    match result:
        case Reply():
            return result
        case str() | bytes():
            return content.response(result, mimetype="text/html")
        case dict() | list():
            return content.response(json.dumps(result))
        case (str() | bytes() as body, str(media)):
            return content.response(body, mimetype=media)
    return Reply(result.status_code, result.get_data(), result.content_type)  # of Flask or Werkzeug


def serve(root: Path, port: int) -> int:
    """Serve the model in `root/model` until SIGTERM; returns the exit code."""
    code, program = root / "code", os.environ.get("SAGEMAKER_PROGRAM", "")
    os.environ.setdefault("SM_MODEL_DIR", str(root / "model"))
    try:
        if not program:
            raise script.ScriptError("SAGEMAKER_PROGRAM does not name the script")
        script.prepare(code, os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", str(code)))
        module = importlib.import_module(program.removesuffix(".py").replace("/", "."))
        own = Script(module, root / "model")
    except script.ScriptError as error:
        print(error, file=sys.stderr)
        return 1
    parameters = getattr(module, "execution_parameters_fn", None)
    model_http.serve(port, own.invoke, parameters and (lambda: reply(parameters())))
    return 0


def _unsupported(error: Exception, status: int) -> Reply:
    detail = {"error": type(error).__name__, "error-message": str(error), "stack-trace": traceback.format_exc()}
    return content.response(json.dumps(detail), status=status)
