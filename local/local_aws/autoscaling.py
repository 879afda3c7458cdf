"""Application Auto Scaling of SageMaker's variants: scalable targets and policies are kept, but nothing is scaled."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import botocore.session

from local_aws.iam import Need
from local_aws.sagemaker.api import errors, shapes
from local_aws.sagemaker.api.service import Request, Response, SageMaker, access_key, parse, refuse

NAMESPACE, DIMENSION = "sagemaker", "sagemaker:variant:DesiredInstanceCount"
LINKED = "sagemaker.application-autoscaling.amazonaws.com"
ROLE = f"role/aws-service-role/{LINKED}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
Document = dict[str, Any]


class ObjectNotFoundException(errors.ServiceError):
    """There is no such scalable target."""


def needs(operation: str, request: Document, arn: Callable[[str, str], str]) -> Iterator[Need]:
    """What a caller must be allowed: the operation, and what AWS tries in the caller's name ("Permissions validation").

    AWS asks for the service-linked role when it makes it, once; here it is asked each time.
    """
    if operation.startswith("Describe"):
        yield Need(f"application-autoscaling:{operation}", "*")
        return
    members = {"service-namespace": "ServiceNamespace", "scalable-dimension": "ScalableDimension"}
    context = {f"application-autoscaling:{key}": request.get(member, "") for key, member in members.items()}
    yield Need(f"application-autoscaling:{operation}", arn("application-autoscaling", "scalable-target/1"), context)
    if operation not in ("RegisterScalableTarget", "PutScalingPolicy"):
        return
    live = arn("sagemaker", f"endpoint/{'/'.join(request.get('ResourceId', '').lower().split('/')[1:2])}")
    for action in ("DescribeEndpoint", "UpdateEndpointWeightsAndCapacities"):
        yield Need(f"sagemaker:{action}", live)
    for action in ("DeleteAlarms", "DescribeAlarms", "PutMetricAlarm"):
        yield Need(f"cloudwatch:{action}", "*")
    linked = f"arn:aws:iam::{live.split(':')[4]}:{ROLE}"
    yield Need("iam:CreateServiceLinkedRole", linked, {"iam:AWSServiceName": LINKED})


class Autoscaling:
    """The service, for the variants of `sagemaker`'s endpoints."""

    def __init__(self, sagemaker: SageMaker) -> None:
        self._sagemaker = sagemaker
        self._arn = partial(sagemaker.host.arn, "application-autoscaling")
        self._model = botocore.session.get_session().get_service_model("application-autoscaling")
        self._targets = sagemaker.scalable_targets
        self._policies: dict[tuple[str, str], Document] = {}
        self._operations: dict[str, Callable[[Document], Document]] = {
            "RegisterScalableTarget": self._register,
            "DescribeScalableTargets": lambda request: {"ScalableTargets": _chosen(self._targets.values(), request)},
            "DeregisterScalableTarget": self._deregister,
            "PutScalingPolicy": self._put_policy,
            "DescribeScalingPolicies": lambda request: {"ScalingPolicies": _chosen(self._policies.values(), request)},
        }

    async def answer(self, request: Request) -> Response:
        """Answer a request to application-autoscaling."""
        name = request.headers.get("x-amz-target", "").partition(".")[2]
        try:
            document = parse(request.body)
            self._check(access_key(request.headers), name, document)
            answer = shapes.wire(self._model.operation_model(name).output_shape, self._operations[name](document))
        except errors.ServiceError as error:
            return refuse(error, wrapped=True)
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode()

    def keep(self) -> Document:
        """What is kept over a restart."""
        return {"targets": dict(self._targets), "policies": list(self._policies.values())}

    def recall(self, kept: Document) -> None:
        """Know the targets and policies that were kept."""
        self._targets.update(kept["targets"])
        self._policies = {(each["ResourceId"], each["PolicyName"]): each for each in kept["policies"]}

    def reset(self) -> None:
        """Delete all targets and policies."""
        self._targets.clear()
        self._policies.clear()

    def _check(self, key: str, name: str, request: Document) -> None:
        if name not in self._operations:
            raise errors.UnknownOperationException(f"Use one of the local operations: {', '.join(self._operations)}.")
        shapes.check(self._model.operation_model(name).input_shape, request)
        if (request["ServiceNamespace"], request.get("ScalableDimension", DIMENSION)) != (NAMESPACE, DIMENSION):
            raise errors.ValidationException(f"Locally only {DIMENSION} is scalable.")
        self._sagemaker.allow(key, needs(name, request, self._sagemaker.host.arn))

    def _register(self, request: Document) -> Document:
        endpoint, name = _endpoint(request)
        variants = self._sagemaker.shelves["Endpoint"].get(endpoint).live_config.get("ProductionVariants", [])
        types = {variant["VariantName"]: variant.get("InstanceType", "") for variant in variants}
        if name not in types:
            raise errors.ValidationException(f"Could not find variant {name} of {endpoint}")
        if re.match(r"ml\.t\d", kind := types[name]):
            raise errors.ValidationException(f"The variant's instance type {kind} is burstable and cannot be scaled")
        made = {"CreationTime": datetime.now(UTC), "RoleARN": f"arn:aws:iam::{self._sagemaker.host.account}:{ROLE}"}
        target = {**made, **self._targets.get(request["ResourceId"], {}), **request}
        if not {"MinCapacity", "MaxCapacity"} <= target.keys():
            raise errors.ValidationException("MinCapacity and MaxCapacity must be given to register a scalable target")
        if target["MinCapacity"] > target["MaxCapacity"]:
            raise errors.ValidationException("Maximum capacity cannot be less than minimum capacity")
        target.setdefault("ScalableTargetARN", self._arn(f"scalable-target/{uuid.uuid4().hex}"))
        self._targets[request["ResourceId"]] = target
        return {"ScalableTargetARN": target["ScalableTargetARN"]}

    def _deregister(self, request: Document) -> Document:
        self._find(request)
        del self._targets[request["ResourceId"]]
        self._policies = {key: policy for key, policy in self._policies.items() if key[0] != request["ResourceId"]}
        return {}

    def _put_policy(self, request: Document) -> Document:
        self._find(request)
        key = request["ResourceId"], request["PolicyName"]
        arn = self._arn(f"scalingPolicy:{uuid.uuid4()}")
        made = {"CreationTime": datetime.now(UTC), "PolicyARN": arn, "Alarms": []}
        self._policies[key] = {**made, **self._policies.get(key, {}), **request}
        return {"PolicyARN": self._policies[key]["PolicyARN"], "Alarms": []}

    def _find(self, request: Document) -> None:
        if request["ResourceId"] not in self._targets:
            raise ObjectNotFoundException(
                f"No scalable target found for service namespace: {NAMESPACE}, resource ID: {request['ResourceId']}, "
                f"scalable dimension: {DIMENSION}"
            )


def _endpoint(request: Document) -> tuple[str, str]:
    """The endpoint's and the variant's name in a ResourceId."""
    found = re.fullmatch(r"endpoint/([^/]+)/variant/([^/]+)", request.get("ResourceId", ""))
    if found is None:
        raise errors.ValidationException("Unsupported resource ID: write it as endpoint/NAME/variant/VARIANT")
    return found[1], found[2]


def _chosen(documents: Any, request: Document) -> list[Document]:
    """Those of the resource IDs, all when none is named; no pages."""
    one = [request["ResourceId"]] if "ResourceId" in request else None
    wanted = request.get("ResourceIds") or one
    return [document for document in list(documents) if wanted is None or document["ResourceId"] in wanted]
