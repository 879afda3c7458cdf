"""Data capture: an endpoint's requests and answers as JSON lines in S3, written in the background."""

import base64
import json
import logging
import threading
import uuid
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_aws.sagemaker.jobs.logs import BatchWriter
from local_aws.sagemaker.s3 import split

GATHER_SECONDS = 1.0
MAX_BATCH = 1000  # records of a file
SIDES = {"Input": ("Input",), "Output": ("Output",), "InputAndOutput": ("Input", "Output")}

log = logging.getLogger(__name__)
Target = tuple[Any, str]
"""A client of S3, in the role that writes, and the URI of a folder."""
Message = tuple[bytes, str]
"""A body and its Content-Type."""


class CaptureWriter(BatchWriter[tuple[Target, datetime, dict[str, Any]]]):
    """One thread that writes the captured records of all endpoints."""

    def __init__(self) -> None:
        super().__init__("capture", GATHER_SECONDS, MAX_BATCH)

    def write_all(self, entries: list[tuple[Target, datetime, dict[str, Any]]]) -> None:
        """Write one file per target."""
        batches: defaultdict[Target, list[tuple[datetime, str]]] = defaultdict(list)
        for target, at, record in entries:
            batches[target].append((at, json.dumps(record)))
        for (client, folder), lines in batches.items():
            try:
                first = lines[0][0]
                name = f"{first:%Y/%m/%d/%H/%M-%S}-{first.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
                bucket, key = split(f"{folder}/{name}")
                body = "".join(f"{line}\n" for _, line in lines).encode()
                client.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/jsonlines")
            except (BotoCoreError, ClientError):  # AWS, too, loses what it cannot write, and says so in a log alone
                log.exception("data capture of %s", folder)


class Capture:
    """The data capture of one fleet; `client` is of S3, in the role of the endpoint's model."""

    def __init__(self, writer: CaptureWriter, client: Any, endpoint: str, config: dict[str, Any]) -> None:
        self._writer = writer
        self._client = client
        self._folder = f"{config['DestinationS3Uri'].rstrip('/')}/{endpoint}"
        self._sides = {side for option in config["CaptureOptions"] for side in SIDES[option["CaptureMode"]]}
        types = config.get("CaptureContentTypeHeader", {})
        self._encodings = dict.fromkeys(types.get("CsvContentTypes", ()), "CSV")
        self._encodings |= dict.fromkeys(types.get("JsonContentTypes", ()), "JSON")
        self._lock = threading.Lock()
        self._share = config["InitialSamplingPercentage"] / 100
        self._credit = 0.0

    def take(self, variant: str, inference_id: str, request: Message, answer: Message) -> None:
        """Keep this one, if its turn has come: of 100 in a row exactly as many as the sampling percentage says."""
        with self._lock:
            self._credit += self._share
            if self._credit < 1 - 1e-9:
                return
            self._credit -= 1
        now = datetime.now(UTC)
        captured = {}
        if "Input" in self._sides:
            captured["endpointInput"] = self._side("INPUT", *request)
        if "Output" in self._sides:
            captured["endpointOutput"] = self._side("OUTPUT", *answer)
        given = {"inferenceId": inference_id} if inference_id else {}
        event = {"eventId": str(uuid.uuid4()), **given, "inferenceTime": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
        record = {"captureData": captured, "eventMetadata": event, "eventVersion": "0"}
        self._writer.put(((self._client, f"{self._folder}/{variant}"), now, record))

    def _side(self, mode: str, body: bytes, content_type: str) -> dict[str, str]:
        encoding = self._encodings.get(content_type.partition(";")[0].strip(), "BASE64")
        data = base64.b64encode(body).decode() if encoding == "BASE64" else body.decode("utf-8", "replace")
        return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}
