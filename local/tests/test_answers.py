"""Services of ministack answer as AWS's recordings do."""

import json

import pytest

from .aws import Aws, refused, unique

EVENT = {"Source": "x", "DetailType": "x", "Detail": "{}"}


def test_an_object_is_encrypted_has_a_type_and_keeps_the_checksum_that_was_sent(aws: Aws) -> None:
    s3 = aws.client("s3", request_checksum_calculation="when_supported")
    put = s3.put_object(Bucket=aws.bucket, Key="answers/text", Body=b"text")
    found = s3.get_object(Bucket=aws.bucket, Key="answers/text", ChecksumMode="ENABLED")
    for answer in (put, found):
        told = [answer[name] for name in ("ServerSideEncryption", "ChecksumCRC32", "ChecksumType")]
        assert told == ["AES256", "O4unxw==", "FULL_OBJECT"]
    assert found["ContentType"] == "binary/octet-stream"


@pytest.mark.parametrize(("name", "value"), [("Source", ""), ("DetailType", ""), ("Detail", "[]"), ("Detail", "x")])
def test_put_events_refuses_an_entry_that_is_no_event_and_publishes_the_others(aws: Aws, name: str, value: str) -> None:
    missing = f"Parameter {name} is not valid. Reason: {name} is a required argument."
    code, message = ("MalformedDetail", "Detail is malformed.") if value else ("InvalidArgument", missing)
    error = {"ErrorCode": code, "ErrorMessage": message}
    answer = aws.client("events").put_events(Entries=[EVENT, EVENT | {name: value}, EVENT])
    first, second, third = answer["Entries"]
    assert (answer["FailedEntryCount"], second, list(first), list(third)) == (1, error, ["EventId"], ["EventId"])


def test_cloudwatch_refuses_a_dimensions_value_that_is_not_ascii_and_stores_none(aws: Aws) -> None:
    cloudwatch, name = aws.client("cloudwatch"), unique("metric")
    data = [
        {"MetricName": name, "Value": 1.0, "Dimensions": [{"Name": "Feature", "Value": value}]}
        for value in ("age", "größe")
    ]
    message = "The value for parameter MetricData.member.2.Dimensions.member.1.Value contains non-ASCII characters."
    refusal = refused(cloudwatch.put_metric_data, Namespace="own", MetricData=data)
    assert refusal == ("InvalidParameterValue", message)
    assert cloudwatch.list_metrics(Namespace="own", MetricName=name)["Metrics"] == []
    cloudwatch.put_metric_data(Namespace="own", MetricData=data[:1])
    (stored,) = cloudwatch.list_metrics(Namespace="own", MetricName=name)["Metrics"]
    assert stored["Dimensions"] == data[0]["Dimensions"]


def test_a_function_that_does_not_exist_is_named_with_its_version(aws: Aws) -> None:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:none:$LATEST"
    expected = ("ResourceNotFoundException", f"Function not found: {arn}")
    assert refused(aws.client("lambda").invoke, FunctionName="none", Payload=json.dumps({})) == expected


def test_sns_refuses_a_parameter_with_the_code_of_its_model(aws: Aws) -> None:
    sns = aws.client("sns")
    topic = sns.create_topic(Name=f"{unique('topic')}.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    message = "Invalid parameter: The MessageGroupId parameter is required for FIFO topics"
    assert refused(sns.publish, TopicArn=topic, Message="x") == ("InvalidParameter", message)
