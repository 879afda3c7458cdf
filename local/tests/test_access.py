"""IAM is enforced: callers of SageMaker, jobs in their roles, state machines in theirs, keys in their callers' names."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from .aws import EVERYTHING, ROLE, Aws, policy, refused, unique
from .test_states import NESTED, SYNC, execute, machine, outcome

pytestmark = pytest.mark.cloud
ACCOUNT = "arn:aws:iam::123456789012"


def but(*actions: str) -> dict[str, Any]:
    """Everything but these actions."""
    return {"Effect": "Allow", "NotAction": list(actions), "Resource": "*"}


def user(aws: Aws, service: str, *statements: dict[str, Any]) -> Any:
    """A client of a service for a new user who may do what the statements say."""
    iam, name = aws.client("iam"), unique("user")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")
    return session.client(service, endpoint_url=aws.cloud.endpoint_url)  # type: ignore[call-overload]


def test_a_caller_needs_the_operation_and_may_not_pass_any_role(aws: Aws) -> None:
    request = aws.training_request(label="x")
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{request['TrainingJobName']}"
    for client, action, resource in (
        (user(aws, "sagemaker", but("sagemaker:CreateTrainingJob")), "sagemaker:CreateTrainingJob", arn),
        (user(aws, "sagemaker", but("iam:PassRole")), "iam:PassRole", ROLE),
    ):
        code, message = refused(client.create_training_job, **request)
        assert code == "AccessDeniedException"
        assert f"is not authorized to perform: {action} on resource: {resource} because" in message
    user(aws, "sagemaker", EVERYTHING).create_training_job(**request)


def test_a_wrong_signature_is_refused(aws: Aws) -> None:
    iam, name = aws.client("iam"), unique("user")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(EVERYTHING))
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    client = boto3.client(
        "sagemaker",
        "us-east-1",
        endpoint_url=aws.cloud.endpoint_url,
        aws_access_key_id=key,
        aws_secret_access_key="not the secret",
    )
    with pytest.raises(ClientError, match=r"InvalidSignatureException|SignatureDoesNotMatch"):
        client.list_models()


def test_a_role_that_does_not_trust_sagemaker_is_refused(aws: Aws) -> None:
    request = aws.training_request() | {"RoleArn": aws.role(unique("role"), ["lambda"], EVERYTHING)}
    with pytest.raises(ClientError, match=r"allows principal 'sagemaker\.amazonaws\.com' to assume the role"):
        aws.sagemaker.create_training_job(**request)


@pytest.mark.parametrize(
    "action", ["s3:PutObject", "s3:GetObject", "s3:ListBucket", "ecr:BatchGetImage", "logs:PutLogEvents"]
)
def test_a_job_has_what_its_role_has(aws: Aws, action: str) -> None:
    channel = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": aws.put(f"{unique('in')}/a.csv", "1,2")}}
    request = aws.training_request() | {
        "RoleArn": aws.role(unique("role"), ["sagemaker"], but(action)),
        "InputDataConfig": [{"ChannelName": "train", "DataSource": channel}],
    }
    aws.sagemaker.create_training_job(**request)
    job = aws.wait("training", request["TrainingJobName"])
    assert job["TrainingJobStatus"] == "Failed"
    denied = "AccessDenied" if action.startswith("s3") else action
    assert denied in job["FailureReason"]


VPC = {"SecurityGroupIds": ["sg-0123456789abcdef0"], "Subnets": ["subnet-0", "subnet-1"]}


@pytest.mark.parametrize("action", ["ec2:CreateNetworkInterface", "ec2:DescribeVpcs"])
def test_a_job_in_a_vpc_needs_network_interfaces(aws: Aws, action: str) -> None:
    for vpc, status in (({}, "Completed"), ({"VpcConfig": VPC}, "Failed")):
        request = aws.training_request(label="x") | vpc
        request["RoleArn"] = aws.role(unique("role"), ["sagemaker"], but(action))
        aws.sagemaker.create_training_job(**request)
        job = aws.wait("training", request["TrainingJobName"])
        assert (job["TrainingJobStatus"], job.get("VpcConfig")) == (status, vpc.get("VpcConfig")), job
    assert f"is not authorized to perform: {action} on resource" in job["FailureReason"]


def test_interfaces_may_be_bound_to_the_subnets(aws: Aws) -> None:
    arn = f"arn:aws:ec2:us-east-1:{ACCOUNT[-12:]}:subnet"
    bound = [
        f"ec2:{action}"
        for action in ("CreateNetworkInterfacePermission", "DeleteNetworkInterface", "DeleteNetworkInterfacePermission")
    ]
    for subnets, status in (([f"{arn}/subnet-0", f"{arn}/subnet-1"], "Completed"), ([f"{arn}/subnet-0"], "Failed")):
        own = {**EVERYTHING, "Action": bound, "Condition": {"ArnEquals": {"ec2:Subnet": subnets}}}
        request = aws.training_request(label="x") | {"VpcConfig": VPC}
        request["RoleArn"] = aws.role(unique("role"), ["sagemaker"], but(*bound), own)
        aws.sagemaker.create_training_job(**request)
        assert aws.wait("training", request["TrainingJobName"])["TrainingJobStatus"] == status


def test_an_encrypted_object_needs_its_key_too(aws: Aws) -> None:
    key, bucket = aws.client("kms").create_key()["KeyMetadata"]["Arn"], unique("bucket")
    rule = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    properties = {"BucketName": bucket, "BucketEncryption": {"ServerSideEncryptionConfiguration": [rule]}}
    template = {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties}}}
    stacks = aws.client("cloudformation")
    stacks.create_stack(StackName=bucket, TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(StackName=bucket, WaiterConfig={"Delay": 1})
    whole = user(aws, "s3", EVERYTHING)
    whole.put_object(Bucket=bucket, Key="k", Body=b"v")
    assert whole.get_object(Bucket=bucket, Key="k")["Body"].read() == b"v"
    reader, writer = user(aws, "s3", but("kms:GenerateDataKey")), user(aws, "s3", but("kms:Decrypt"))
    reader.get_object(Bucket=bucket, Key="k")
    writer.put_object(Bucket=bucket, Key="k", Body=b"w")
    with pytest.raises(ClientError, match="AccessDenied"):
        writer.get_object(Bucket=bucket, Key="k")
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.put_object(Bucket=bucket, Key="k", Body=b"w")


def test_a_bucket_for_tls_only_denies_what_came_by_plain_http(aws: Aws) -> None:
    bucket = unique("bucket")
    aws.s3.create_bucket(Bucket=bucket)
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    aws.s3.put_bucket_policy(Bucket=bucket, Policy=policy(deny))
    client = user(aws, "s3", EVERYTHING)
    client.put_object(Bucket=bucket, Key="k", Body=b"v")
    client.meta.events.register(
        "before-sign.s3", lambda request, **_: request.headers.add_header("x-forwarded-proto", "http")
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_object(Bucket=bucket, Key="k", Body=b"v")


@pytest.mark.parametrize(
    "action",
    [
        "sagemaker:CreateTrainingJob",
        "sagemaker:AddTags",
        "sagemaker:DescribeTrainingJob",
        "events:PutRule",
        "iam:PassRole",
        "states:StartExecution",
        "states:DescribeExecution",
        "states:StopExecution",
        "events:PutTargets",
        "events:DescribeRule",
    ],
)
def test_a_sync_task_needs_all_that_step_functions_documents(aws: Aws, action: str) -> None:
    role = aws.role(unique("role"), ["states"], but(action))
    if action.startswith(("states", "events")):
        child = machine(aws, Done={"Type": "Pass", "End": True})
        task, expected = (
            {"Resource": NESTED, "Parameters": {"StateMachineArn": child}},
            "StepFunctions.AWSStepFunctions",
        )
    else:
        task, expected = {"Resource": SYNC, "Parameters": aws.training_request()}, "SageMaker.AmazonSageMaker"
    status, error, cause = outcome(aws, execute(aws, task, role=role))
    assert (status, error) == ("FAILED", f"{expected}Exception")
    assert f"is not authorized to perform: {action} on resource" in cause


FUNCTION = {"FunctionName": "none", "Payload": {}}
EVENT = {"Source": "x", "DetailType": "x", "Detail": {}}
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:a:b"


@pytest.mark.parametrize(
    ("resource", "parameters", "expected"),
    [
        ("lambda:invoke", FUNCTION, "lambda:InvokeFunction Lambda.AWSLambda"),
        ("lambda:invoke.waitForTaskToken", FUNCTION, "lambda:InvokeFunction Lambda.AWSLambda"),
        ("sns:publish", {"TopicArn": "arn:aws:sns:::none", "Message": "arn:x"}, "sns:Publish SNS.AmazonSNS"),
        ("events:putEvents", {"Entries": [EVENT]}, "events:PutEvents EventBridge.AmazonEventBridge"),
        ("dynamodb:getItem", {"TableName": "none", "Key": {}}, "dynamodb:GetItem DynamoDB.AmazonDynamoDB"),
        ("aws-sdk:s3:getObject", {"Bucket": "things", "Key": "none"}, "s3:GetObject S3.S3"),
        ("aws-sdk:sfn:describeExecution", {"ExecutionArn": EXECUTION}, "states:DescribeExecution Sfn.Sfn"),
        (
            "aws-sdk:sagemaker:describeEndpoint",
            {"EndpointName": "none"},
            "sagemaker:DescribeEndpoint SageMaker.SageMaker",
        ),
    ],
)
def test_a_task_needs_what_it_calls(aws: Aws, resource: str, parameters: dict[str, Any], expected: str) -> None:
    action, error = expected.split()
    task = {"Resource": f"arn:aws:states:::{resource}", "Parameters": parameters}
    status, found, cause = outcome(aws, execute(aws, task, role=aws.role(unique("role"), ["states"], but(action))))
    assert (status, found) == ("FAILED", f"{error}Exception")
    assert f"is not authorized to perform: {action} on resource" in cause


def test_a_role_that_does_not_trust_step_functions_runs_nothing(aws: Aws) -> None:
    role = aws.role(unique("role"), ["sagemaker"], EVERYTHING)
    task = {"Resource": "arn:aws:states:::aws-sdk:sagemaker:listModels", "Parameters": {}}
    assert "allows principal 'states.amazonaws.com'" in outcome(aws, execute(aws, task, role=role))[2]


def test_decisions_are_kept(aws: Aws) -> None:
    name = unique("role")
    role = aws.role(name, ["states"], but("sagemaker:ListModels"))
    task = {"Resource": "arn:aws:states:::aws-sdk:sagemaker:listModels", "Parameters": {}}
    outcome(aws, execute(aws, task, role=role))
    lines = [json.loads(line) for line in (aws.cloud.home / "iam.jsonl").read_text().splitlines()]
    expected = {"role": name, "action": "sagemaker:ListModels", "resource": "*", "allowed": False}
    assert [line for line in lines if line["role"] == name] == [expected]
