"""Arrays as requests and responses, with the names of AWS's toolkits sagemaker-containers and sagemaker-inference."""

import csv
import io
import json
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from local_aws.model_http import Reply

JSON, CSV, NPY, ANY = "application/json", "text/csv", "application/x-npy", "*/*"
UTF8_TYPES = [JSON, CSV]


class UnsupportedFormatError(Exception):
    """There is no decoder or encoder for a content type."""

    def __init__(self, content_type: str) -> None:
        super().__init__(
            f"Content type {content_type} is not supported by this framework. Implement input_fn to deserialize the "
            "request data or output_fn to serialize the response."
        )


def decode(data: Any, content_type: str) -> NDArray[Any]:
    """The array of JSON, CSV or NPY. A single row or column of CSV has one dimension, as in AWS's image.

    Raises UnsupportedFormatError, or ValueError or csv.Error for bad data.
    """
    match content_type:
        case "application/json":
            return np.array(json.loads(data))
        case "text/csv":
            rows = np.array(list(csv.reader(io.StringIO(data), strict=True))).squeeze()
            with suppress(ValueError):
                rows = rows.astype(np.float64)
            return rows
        case "application/x-npy":
            return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
    raise UnsupportedFormatError(content_type)


def encode(array: Any, content_type: str) -> str | bytes:
    """An array as JSON, CSV or NPY. Raises UnsupportedFormatError."""
    match content_type:
        case "application/json":
            return json.dumps(array, default=lambda value: value.tolist())
        case "text/csv":
            text, rows = io.StringIO(), np.array(array)
            csv.writer(text, lineterminator="\n").writerows(rows.reshape(-1, 1) if rows.ndim == 1 else rows)
            return text.getvalue()
        case "application/x-npy":
            file = io.BytesIO()
            np.save(file, array)
            return file.getvalue()
    raise UnsupportedFormatError(content_type)


def response(
    response: str | bytes = b"", accept: str = "", status: int = 200, headers: None = None, mimetype: str = JSON
) -> Reply:
    """The response of a script; text has a charset, as Flask sends it."""
    body = response.encode() if isinstance(response, str) else response
    return Reply(status, body, f"{mimetype}; charset=utf-8" if mimetype.startswith("text/") else mimetype)


Response = response
