"""Resources as the API shows them: documents with a name, an ARN, tags and times, kept per kind."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from local_aws.sagemaker.api.errors import ResourceInUse, ServiceError, ValidationException


def path(noun: str) -> str:
    """The resource part of an ARN: `processing-job` of ProcessingJob."""
    return re.sub("(?<!^)(?=[A-Z])", "-", noun).lower()


@dataclass(frozen=True)
class Kind:
    """A kind of resource.

    `listed` is the list's member in the answer of its List operation, `missing` and `taken` are AWS's wordings when
    there is none or already one of a name, `order` is its List operation's default SortOrder.
    """

    noun: str
    listed: str
    missing: str
    taken: str
    taken_error: type[ServiceError] = ValidationException
    order: str = "Descending"


def _job(noun: str, missing: str, order: str, name: str = "Job name", job: str = "a job") -> Kind:
    taken = f"{name} must be unique within an AWS account and region, and {job} with this name already exists ({{arn}})"
    return Kind(noun, f"{noun}Summaries", missing, taken, ResourceInUse, order)


def _hosted(noun: str, words: str) -> Kind:
    missing, taken = f'Could not find {words} "{{arn}}".', f'Cannot create already existing {words} "{{arn}}".'
    return Kind(noun, f"{noun}s", missing, taken)


def _package(noun: str, words: str) -> Kind:
    taken = f"{words} already exists: {{arn}}"
    return Kind(noun, f"{noun}SummaryList", f"{noun} {{arn}} does not exist.", taken, order="Ascending")


PROCESSING = _job("ProcessingJob", "Could not find requested job with name: {name}", "Ascending")
TRAINING = _job("TrainingJob", "Requested resource not found.", "Ascending", "Training job names", "a training job")
TRANSFORM = _job("TransformJob", "Could not find requested job with name: {name}", "Descending")
_TUNING_TAKEN = "A hyperparameter tuning job with the name, {name}, already exists. Choose a different name."
TUNING = Kind(
    "HyperParameterTuningJob",
    "HyperParameterTuningJobSummaries",
    "Amazon SageMaker can't find a tuning job with the name {name}.",
    _TUNING_TAKEN,
    ResourceInUse,
)
MODEL = _hosted("Model", "model")
ENDPOINT_CONFIG = _hosted("EndpointConfig", "endpoint configuration")
ENDPOINT = _hosted("Endpoint", "endpoint")
MODEL_PACKAGE_GROUP = _package("ModelPackageGroup", "Model Package Group")
MODEL_PACKAGE = _package("ModelPackage", "ModelPackage")


Kept = dict[str, Any]
"""What is kept of a resource over a restart, as JSON has it, with times."""


class Record:
    """One resource; `document` has the members that its Describe operation shows."""

    def __init__(self, kind: Kind, arn: str, document: dict[str, Any], tags: dict[str, str]) -> None:
        now = datetime.now(UTC)
        self.kind = kind
        self.arn, self.name = arn, str(document[f"{kind.noun}Name"])
        self.tags = tags
        self.lock = threading.RLock()
        times = {"CreationTime": now, "LastModifiedTime": now}
        self._document = {**document, f"{kind.noun}Arn": arn, **times}

    @property
    def status(self) -> str:
        """Its status."""
        return str(self._document.get(f"{self.kind.noun}Status", ""))

    def describe(self) -> dict[str, Any]:
        """A copy of the document."""
        with self.lock:
            return dict(self._document)

    def keep(self) -> Kept:
        """What is kept of it over a restart. It takes no lock: its caller is a copy of the process, without threads."""
        return {"name": self.name, "document": dict(self._document), "tags": dict(self.tags)}

    def recall(self, kept: Kept) -> None:
        """Be the one that was kept."""
        self.name, self._document = kept["name"], kept["document"]

    def update(self, **members: Any) -> None:
        """Change the document at once; None takes a member away."""
        with self.lock:
            self._document.update(members, LastModifiedTime=datetime.now(UTC))


def plain(kind: Kind, arn: str, kept: Kept) -> Record:
    """A resource that was kept, and is nothing but its document."""
    return Record(kind, arn, kept["document"], kept["tags"])


def tags_of(request: dict[str, Any]) -> dict[str, str]:
    """A request's tags by their keys."""
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}


def paged(documents: list[dict[str, Any]], request: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The page that a List request asks for, by MaxResults (default 10), and the NextToken when more follow.

    Raises ValidationException: a NextToken that is none.
    """
    token = request.get("NextToken", "0")
    if not token.isdecimal():
        raise ValidationException(f"Invalid NextToken: {token}")
    start = int(token)
    end = start + request.get("MaxResults", 10)
    return documents[start:end], {"NextToken": str(end)} if end < len(documents) else {}


R = TypeVar("R", bound=Record)


class Shelf(Generic[R]):
    """The resources of one kind; `arn` makes an ARN of a service and a resource part."""

    def __init__(self, kind: Kind, arn: Callable[[str, str], str]) -> None:
        self.kind = kind
        self._make_arn = arn
        self._records: dict[str, R] = {}
        self._lock = threading.Lock()

    def arn(self, name: str) -> str:
        """The ARN of a name, whether or not it exists; SageMaker writes names in small letters there."""
        return self._make_arn("sagemaker", f"{path(self.kind.noun)}/{name.lower()}")

    def create(self, request: dict[str, Any], make: Callable[[str, dict[str, Any], dict[str, str]], R]) -> R:
        """Add what `make` makes of the ARN, the request and its tags. Raises the kind's error for a taken name."""
        shown = {name: value for name, value in request.items() if name != "Tags"}
        return self.add(request[f"{self.kind.noun}Name"], lambda arn: make(arn, shown, tags_of(request)))

    def add(self, name: str, make: Callable[[str], R]) -> R:
        """Add what `make` makes of the ARN, if the name is free. Raises the kind's error otherwise."""
        with self._lock:
            if name in self._records:
                raise self.kind.taken_error(self.kind.taken.format(arn=self.arn(name), name=name))
            self._records[name] = made = make(self.arn(name))
            made.name = name
            return made

    def keep(self) -> list[Kept]:
        """What is kept of all of them over a restart."""
        return [record.keep() for record in list(self._records.values())]

    def recall(self, kept: list[Kept], make: Callable[[str, Kept], R]) -> None:
        """Add those that were kept; `make` makes one of its ARN and of what was kept of it."""
        for each in kept:
            record = self._records[each["name"]] = make(self.arn(each["name"]), each)
            record.recall(each)

    def get(self, name: str) -> R:
        """The one of this name. Raises ValidationException, worded as AWS words it for this kind."""
        record = self._records.get(name)
        if record is None:
            raise ValidationException(self.kind.missing.format(name=name, arn=self.arn(name)))
        return record

    def find(self, arn_or_name: str) -> R:
        """The one of this ARN or name. Raises ValidationException as `get` does."""
        if not arn_or_name.startswith("arn:"):
            return self.get(arn_or_name)
        for record in self.all():
            if record.arn == arn_or_name:
                return record
        raise ValidationException(self.kind.missing.format(name=arn_or_name, arn=arn_or_name))

    def named(self, request: dict[str, Any]) -> R:
        """The one that a request names. Raises ValidationException as `get` does."""
        return self.find(request[f"{self.kind.noun}Name"])

    def remove(self, name: str) -> None:
        """Forget one."""
        with self._lock:
            del self._records[name]

    def all(self) -> list[R]:
        """All of them, oldest first."""
        with self._lock:
            return list(self._records.values())

    def page(self, request: dict[str, Any], keep: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The answer of the kind's List operation: filtered, sorted, in pages of MaxResults (default 10).

        `keep` is a further filter over Describe's documents.
        """
        documents = [document for record in self.all() if keep(document := record.describe())]
        noun = self.kind.noun
        for document in documents:
            document |= {"_Name": document[f"{noun}Name"], "_Status": document.get(f"{noun}Status", "")}
        tests: dict[str, Callable[[Any, dict[str, Any]], bool]] = {
            "NameContains": lambda wanted, document: wanted.lower() in document["_Name"].lower(),
            "StatusEquals": lambda wanted, document: wanted == document["_Status"],
            "CreationTimeAfter": lambda wanted, document: document["CreationTime"].timestamp() > wanted,
            "CreationTimeBefore": lambda wanted, document: document["CreationTime"].timestamp() < wanted,
            "LastModifiedTimeAfter": lambda wanted, document: document["LastModifiedTime"].timestamp() > wanted,
            "LastModifiedTimeBefore": lambda wanted, document: document["LastModifiedTime"].timestamp() < wanted,
        }
        for name in request.keys() & tests.keys():
            documents = [document for document in documents if tests[name](request[name], document)]
        key = {"Name": "_Name", "Status": "_Status"}.get(request.get("SortBy", ""), "CreationTime")
        descending = request.get("SortOrder", self.kind.order) == "Descending"
        documents.sort(key=lambda document: (document[key], document["_Name"]), reverse=descending)
        part, more = paged(documents, request)
        return {self.kind.listed: part, **more}
