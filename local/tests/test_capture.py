"""Data capture: the requests and responses of endpoints, as files in S3."""

import base64
import json
import re
from typing import Any

import pytest

from .aws import Aws, unique, until

pytestmark = pytest.mark.cloud
KEY = re.compile(r"^\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.jsonl$")


def capturing(aws: Aws, percentage: int = 100, **members: Any) -> str:
    """An endpoint in service that captures."""
    config = {
        "EnableCapture": True,
        "InitialSamplingPercentage": percentage,
        "DestinationS3Uri": f"s3://{aws.bucket}/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        **members,
    }
    return aws.serve(unique("captured"), aws.model("m"), DataCaptureConfig=config)


def captured(aws: Aws, endpoint: str) -> list[dict[str, Any]]:
    """All records, after the endpoint's deletion."""
    aws.delete(endpoint)
    folder = f"capture/{endpoint}/AllTraffic/"
    keys = aws.keys(folder)
    assert all(KEY.match(key) for key in keys)
    return [json.loads(line) for key in keys for line in aws.read(folder + key).splitlines()]


def test_a_record_has_the_request_the_response_and_the_callers_id(aws: Aws) -> None:
    endpoint = capturing(aws, CaptureContentTypeHeader={"CsvContentTypes": ["text/csv"]})
    aws.invoke(endpoint, "1\n2", Accept="text/csv", InferenceId="row-7")
    until(lambda: aws.keys(f"capture/{endpoint}/"))  # files appear while the endpoint serves
    assert aws.described(endpoint)["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{aws.bucket}/capture",
        "KmsKeyId": "",
    }
    (record,) = captured(aws, endpoint)
    event = record.pop("eventMetadata")
    csv = {"observedContentType": "text/csv", "encoding": "CSV"}
    assert record == {
        "captureData": {
            "endpointInput": {**csv, "mode": "INPUT", "data": "1\n2"},
            "endpointOutput": {**csv, "mode": "OUTPUT", "data": "m:1\nm:2"},
        },
        "eventVersion": "0",
    }
    assert event.keys() == {"eventId", "inferenceId", "inferenceTime"}
    assert event["inferenceId"] == "row-7"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["inferenceTime"])


def test_a_content_type_that_is_not_listed_is_in_base64(aws: Aws) -> None:
    endpoint = capturing(aws, CaptureContentTypeHeader={"JsonContentTypes": ["application/json"]})
    aws.invoke(endpoint, "1", Accept="application/json")
    (record,) = captured(aws, endpoint)
    sides = record["captureData"]
    assert {side: (sides[side]["data"], sides[side]["encoding"]) for side in sides} == {
        "endpointInput": (base64.b64encode(b"1").decode(), "BASE64"),
        "endpointOutput": ("m:1", "JSON"),
    }
    assert "inferenceId" not in record["eventMetadata"]


def test_sampling_takes_exactly_its_percentage_evenly(aws: Aws) -> None:
    endpoint = capturing(aws, 20, CaptureContentTypeHeader={"CsvContentTypes": ["text/csv"]})
    for number in range(50):
        aws.invoke(endpoint, str(number))
    taken = [record["captureData"]["endpointInput"]["data"] for record in captured(aws, endpoint)]
    assert taken == [str(number) for number in range(4, 50, 5)]


def test_only_the_configured_side_of_successful_requests_is_captured(aws: Aws) -> None:
    endpoint = capturing(aws, CaptureOptions=[{"CaptureMode": "Output"}])
    with pytest.raises(aws.runtime.exceptions.ModelError):
        aws.invoke(endpoint, "bad")
    aws.invoke(endpoint, "1")
    (record,) = captured(aws, endpoint)
    assert list(record["captureData"]) == ["endpointOutput"]


def test_a_missing_bucket_fails_no_request(aws: Aws) -> None:
    endpoint = capturing(aws, DestinationS3Uri="s3://no-such-bucket/capture")
    assert [aws.invoke(endpoint, "1") for _ in range(3)] == ["m:1"] * 3
    assert captured(aws, endpoint) == []
