"""The model registry: model package groups, and the versions in them."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from local_aws.sagemaker.api.errors import ConflictException, ValidationException
from local_aws.sagemaker.api.records import MODEL_PACKAGE, MODEL_PACKAGE_GROUP, Record, Shelf, plain

COMPLETED: dict[str, list[Any]] = {"ValidationStatuses": [], "ImageScanStatuses": []}
CARD = {
    "model_overview",
    "intended_uses",
    "business_details",
    "training_details",
    "evaluation_details",
    "additional_information",
}
"""The sections of a package's model card (its JSON schema)."""
CHANGEABLE = (
    "ModelApprovalStatus",
    "ModelPackageRegistrationType",
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelLifeCycle",
)


class Registry:
    """Model package groups and model packages; `arn` makes an ARN of a service and a resource part."""

    def __init__(self, arn: Callable[[str, str], str]) -> None:
        self._groups: Shelf[Record] = Shelf(MODEL_PACKAGE_GROUP, arn)
        self._packages: Shelf[Record] = Shelf(MODEL_PACKAGE, arn)
        self._by_token: dict[str, str] = {}
        self.shelves: dict[str, Shelf[Any]] = {shelf.kind.noun: shelf for shelf in (self._groups, self._packages)}
        self.operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateModelPackageGroup": self._create_group,
            "DeleteModelPackageGroup": self._delete_group,
            "CreateModelPackage": self._create,
            "ListModelPackages": self._list,
            "UpdateModelPackage": self._update,
            "DeleteModelPackage": self._delete,
        }

    def keep(self) -> dict[str, Any]:
        """What is kept over a restart, beside the shelves."""
        return {"tokens": dict(self._by_token)}

    def recall(self, kept: dict[str, Any]) -> None:
        """Know the groups and packages that were kept, and the tokens that they were made with."""
        for shelf in (self._groups, self._packages):
            shelf.recall(kept[shelf.kind.noun], partial(plain, shelf.kind))
        self._by_token.update(kept["tokens"])

    def containers(self, package: str) -> list[dict[str, Any]]:
        """The containers that a model of this package (an ARN, or `<group>/<version>`) runs.

        Raises ValidationException: no such package.
        """
        document = self._packages.find(package).describe()
        return list(document.get("InferenceSpecification", {}).get("Containers", []))

    def _versions(self, group: Record) -> list[Record]:
        return [each for each in self._packages.all() if each.describe()["ModelPackageGroupName"] == group.name]

    def _create_group(self, request: dict[str, Any]) -> dict[str, Any]:
        document = {**request, "ModelPackageGroupStatus": "Completed", "CreatedBy": {}, "LastVersion": 0}
        return {"ModelPackageGroupArn": self._groups.create(document, partial(Record, MODEL_PACKAGE_GROUP)).arn}

    def _delete_group(self, request: dict[str, Any]) -> dict[str, Any]:
        group = self._groups.named(request)
        if self._versions(group):
            raise ConflictException("Model Package Group cannot be deleted as it still contains Model Packages.")
        self._groups.remove(group.name)
        return {}

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        if "ModelPackageName" in request or "ModelPackageGroupName" not in request:
            raise ValidationException("A local model package is a version in a group: give a ModelPackageGroupName.")
        if request.get("Tags"):
            raise ValidationException("A versioned model package cannot have tags: tag its group.")
        _check_card(request.get("ModelCard"))
        token = request.get("ClientToken")
        if token in self._by_token:
            return {"ModelPackageArn": self._by_token[token]}
        group = self._groups.named(request)
        with group.lock:
            version = group.describe()["LastVersion"] + 1  # numbers are not used again
            document = {
                "ModelApprovalStatus": "PendingManualApproval",
                **{name: value for name, value in request.items() if name != "ClientToken"},
                "ModelPackageName": group.name,
                "ModelPackageGroupName": group.name,
                "ModelPackageVersion": version,
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": COMPLETED,
                "CreatedBy": {},
            }
            name = f"{group.name}/{version}"  # as in its ARN
            package = self._packages.add(name, lambda arn: Record(MODEL_PACKAGE, arn, document, {}))
            group.update(LastVersion=version)
        if token:
            self._by_token[token] = package.arn
        return {"ModelPackageArn": package.arn}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        group = self._groups.named(request).name if "ModelPackageGroupName" in request else None
        kind = request.get("ModelPackageType", "Versioned" if group else "Unversioned")
        status = request.get("ModelApprovalStatus")
        page = self._packages.page(
            request,
            lambda package: (
                kind != "Unversioned"
                and group in (None, package["ModelPackageGroupName"])
                and status in (None, package["ModelApprovalStatus"])
            ),
        )
        # AWS names a version by its ARN alone here.
        listed = [{**package, "ModelPackageName": None} for package in page["ModelPackageSummaryList"]]
        return {**page, "ModelPackageSummaryList": listed}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        package = self._packages.find(request["ModelPackageArn"])
        _check_card(request.get("ModelCard"))
        with package.lock:
            document = package.describe()
            member = "CustomerMetadataProperties"
            metadata = {**document.get(member, {}), **request.get(member, {})}
            for key in request.get("CustomerMetadataPropertiesToRemove", ()):
                metadata.pop(key, None)
            card = {**document.get("ModelCard", {}), **request.get("ModelCard", {})}
            further = request.get("AdditionalInferenceSpecificationsToAdd", [])
            package.update(
                **{name: request[name] for name in CHANGEABLE if name in request},
                ModelCard=card or None,
                CustomerMetadataProperties=metadata or None,
                AdditionalInferenceSpecifications=[*(document.get("AdditionalInferenceSpecifications") or []), *further]
                or None,
                LastModifiedBy={},
            )
        return {"ModelPackageArn": package.arn}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        self._packages.remove(self._packages.named(request).name)
        return {}


def _check_card(card: dict[str, Any] | None) -> None:
    """Raise ValidationException if the content of a model card is no JSON object of its sections."""
    if not card or "ModelCardContent" not in card:
        return
    try:
        content = json.loads(card["ModelCardContent"])
    except ValueError:
        content = None
    if not isinstance(content, dict) or not content.keys() <= CARD:
        raise ValidationException("ModelCardContent: does not match the model card JSON schema.")
