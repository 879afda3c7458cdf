"""IAM: permissions of SageMaker's callers, of jobs' roles, of machines' roles, and of keys."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .aws import ARN, EVERYTHING, ROLE, Aws, but, channel, policy, refused, unique

VPC = {"SecurityGroupIds": ["sg-0123456789abcdef0"], "Subnets": ["subnet-0", "subnet-1"]}
LIST_MODELS = "arn:aws:states:::aws-sdk:sagemaker:listModels"


def train_as(aws: Aws, *statements: dict[str, Any], **members: Any) -> dict[str, Any]:
    """The description of a training job in a new role with these permissions."""
    return aws.trained(RoleArn=aws.role(unique("role"), ["sagemaker"], *statements), label="x", **members)


def test_a_caller_needs_the_operation_and_the_permission_to_pass_the_role(aws: Aws) -> None:
    request = aws.training_request(label="x")
    job = f"{ARN}:training-job/{request['TrainingJobName']}"
    for action, resource in {"sagemaker:CreateTrainingJob": job, "iam:PassRole": ROLE}.items():
        code, message = refused(aws.user("sagemaker", but(action)).create_training_job, **request)
        assert code == "AccessDeniedException"
        assert f"is not authorized to perform: {action} on resource: {resource} because" in message
    aws.user("sagemaker", EVERYTHING).create_training_job(**request)


def test_a_wrong_signature_is_refused(aws: Aws) -> None:
    client = aws.client("sagemaker", (aws.user_keys(EVERYTHING)[0], "not the secret"))
    assert refused(client.list_models)[0] in ("InvalidSignatureException", "SignatureDoesNotMatch")


def test_a_role_that_does_not_trust_the_service_is_refused(aws: Aws) -> None:
    _, message = refused(aws.train, RoleArn=aws.role(unique("role"), ["lambda"], EVERYTHING))
    assert "allows principal 'sagemaker.amazonaws.com' to assume the role" in message
    role = aws.role(unique("role"), ["sagemaker"], EVERYTHING)
    assert "allows principal 'states.amazonaws.com'" in aws.run(LIST_MODELS, {}, role)[2]


@pytest.mark.parametrize(
    "action", ["s3:PutObject", "s3:GetObject", "s3:ListBucket", "ecr:BatchGetImage", "logs:PutLogEvents"]
)
def test_a_job_has_its_roles_permissions(aws: Aws, action: str) -> None:
    uri = aws.put(f"{unique('in')}/a.csv", "1,2")
    job = train_as(aws, but(action), InputDataConfig=[channel("train", uri)])
    assert job["TrainingJobStatus"] == "Failed"
    assert ("AccessDenied" if action.startswith("s3") else action) in job["FailureReason"]


def test_a_role_has_its_log_group_by_the_streams_in_it(aws: Aws) -> None:
    group = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/TrainingJobs"
    actions = [f"logs:{name}" for name in ("CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents")]
    for resource, status in ((f"{group}:*", "Completed"), (group, "Failed")):
        own = {**EVERYTHING, "Action": actions, "Resource": resource}
        assert train_as(aws, but(*actions), own)["TrainingJobStatus"] == status


@pytest.mark.parametrize("action", ["ec2:CreateNetworkInterface", "ec2:DescribeVpcs"])
def test_a_job_in_a_vpc_needs_network_interfaces(aws: Aws, action: str) -> None:
    outside, inside = train_as(aws, but(action)), train_as(aws, but(action), VpcConfig=VPC)
    assert (outside["TrainingJobStatus"], outside.get("VpcConfig")) == ("Completed", None)
    assert (inside["TrainingJobStatus"], inside["VpcConfig"]) == ("Failed", VPC)
    assert f"is not authorized to perform: {action} on resource" in inside["FailureReason"]


def test_a_condition_can_limit_interfaces_to_the_subnets(aws: Aws) -> None:
    subnets = [f"arn:aws:ec2:us-east-1:123456789012:subnet/{name}" for name in VPC["Subnets"]]
    permission = "NetworkInterfacePermission"
    actions = [f"ec2:{action}" for action in (f"Create{permission}", f"Delete{permission}", "DeleteNetworkInterface")]
    for allowed, status in ((subnets, "Completed"), (subnets[:1], "Failed")):
        own = {**EVERYTHING, "Action": actions, "Condition": {"ArnEquals": {"ec2:Subnet": allowed}}}
        assert train_as(aws, but(*actions), own, VpcConfig=VPC)["TrainingJobStatus"] == status


def test_an_encrypted_object_needs_its_key_too(aws: Aws) -> None:
    key, bucket = aws.client("kms").create_key()["KeyMetadata"]["Arn"], unique("bucket")
    rule = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    properties = {"BucketName": bucket, "BucketEncryption": {"ServerSideEncryptionConfiguration": [rule]}}
    aws.stack(bucket, {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties}})
    item: dict[str, Any] = {"Bucket": bucket, "Key": "k"}
    whole = aws.user("s3", EVERYTHING)
    whole.put_object(**item, Body=b"v")
    assert whole.get_object(**item)["Body"].read() == b"v"
    reader, writer = aws.user("s3", but("kms:GenerateDataKey")), aws.user("s3", but("kms:Decrypt"))
    reader.get_object(**item)
    writer.put_object(**item, Body=b"w")
    assert refused(writer.get_object, **item)[0] == refused(reader.put_object, **item)[0] == "AccessDenied"


def test_a_permission_for_a_folder_is_one_for_names_with_spaces(aws: Aws) -> None:
    key = f"{unique('folder')}/my fish.csv"
    aws.put(key, "1,2")
    folder = f"arn:aws:s3:::{aws.bucket}/{key.partition('/')[0]}/*"
    reader = aws.user("s3", {**EVERYTHING, "Action": "s3:GetObject", "Resource": folder})
    assert reader.get_object(Bucket=aws.bucket, Key=key)["Body"].read() == b"1,2"


def test_an_object_encrypted_without_a_key_has_the_accounts_own(aws: Aws) -> None:
    for call, size in ((aws.s3.put_object, {"Body": b"v"}), (aws.s3.create_multipart_upload, {})):
        made = call(Bucket=aws.bucket, Key=unique("k"), ServerSideEncryption="aws:kms", **size)
        assert made["ServerSideEncryption"] == "aws:kms"
        assert made["SSEKMSKeyId"].startswith("arn:aws:kms:us-east-1:123456789012:key/")


def test_a_policy_of_aws_grants_what_it_grants(aws: Aws) -> None:
    iam, name, managed = aws.client("iam"), unique("role"), "arn:aws:iam::aws:policy"
    role = aws.role(name, ["sagemaker"])
    iam.attach_role_policy(RoleName=name, PolicyArn=f"{managed}/AmazonSageMakerFullAccess")
    job = {"RoleArn": role, "OutputDataConfig": {"S3OutputPath": f"s3://{aws.bucket}/sagemaker"}}
    assert aws.trained(label="x", **job)["TrainingJobStatus"] == "Completed"
    # The policy lists any bucket and reads only objects with SageMaker in their names.
    for key, status in (("managed/sagemaker.csv", "Completed"), ("managed/a.csv", "Failed")):
        data = [channel("train", aws.put(key, "1,2"))]
        assert aws.trained(label="x", **job, InputDataConfig=data)["TrainingJobStatus"] == status
    unknown = f"{managed}/AmazonSageMakerFulAccess"
    expected = ("NoSuchEntity", f"Policy {unknown} does not exist or is not attachable.")
    assert refused(iam.attach_role_policy, RoleName=name, PolicyArn=unknown) == expected
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert [entry["PolicyName"] for entry in attached] == ["AmazonSageMakerFullAccess"]


def test_a_stack_with_an_unknown_policy_fails(aws: Aws) -> None:
    unknown = "arn:aws:iam::aws:policy/AmazonSageMakerFulAccess"
    properties = {"AssumeRolePolicyDocument": {"Statement": []}, "ManagedPolicyArns": [unknown]}
    stack = aws.stack(unique("stack"), {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"


def test_a_bucket_for_tls_only_denies_requests_by_plain_http(aws: Aws) -> None:
    bucket = unique("bucket")
    aws.s3.create_bucket(Bucket=bucket)
    plain = {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    objects = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": objects, **plain}
    aws.s3.put_bucket_policy(Bucket=bucket, Policy=policy(deny))
    client = aws.user("s3", EVERYTHING)
    client.put_object(Bucket=bucket, Key="k", Body=b"v")
    http = ("x-forwarded-proto", "http")
    client.meta.events.register("before-sign.s3", lambda request, **_: request.headers.add_header(*http))
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_object(Bucket=bucket, Key="k", Body=b"v")


def test_decisions_are_recorded(aws: Aws) -> None:
    name = unique("role")
    aws.run(LIST_MODELS, {}, aws.role(name, ["states"], but("sagemaker:ListModels")))
    lines = [json.loads(line) for line in (aws.cloud.home / "iam.jsonl").read_text().splitlines()]
    expected = {"role": name, "action": "sagemaker:ListModels", "resource": "*", "allowed": False}
    assert [line for line in lines if line["role"] == name] == [expected]
