"""What the service answers when it refuses, named and worded as AWS does (the codes are those of the API models)."""

from typing import Any

MODELED_ERRORS = ("ConflictException", "ResourceInUse", "ResourceLimitExceeded", "ResourceNotFound")


class ServiceError(Exception):
    """A refusal with AWS's error code.

    Args:
        message: AWS's wording, where it is known.
        members: Further members of the error's shape.
    """

    code = "InternalFailure"
    status = 400

    def __init__(self, message: str, **members: Any) -> None:
        super().__init__(message)
        self.message = message
        self.members = members


class ValidationException(ServiceError):
    """The request breaks a rule of the API model, or names something that is not there."""

    code = "ValidationException"


class SerializationException(ServiceError):
    """The request's JSON has a value of another type than the API model says."""

    code = "SerializationException"


class AccessDeniedException(ServiceError):
    """IAM does not allow the caller this operation."""

    code = "AccessDeniedException"


class UnknownOperation(ServiceError):
    """SageMaker may have this operation; the local one does not."""

    code = "UnknownOperationException"


class ConflictException(ServiceError):
    """Something else still depends on the resource."""

    code = "ConflictException"


class ResourceInUse(ServiceError):
    """A job of this name exists already."""

    code = "ResourceInUse"


class ResourceLimitExceeded(ServiceError):
    """An account limit; the local one has small ones."""

    code = "ResourceLimitExceeded"


class ValidationError(ServiceError):
    """The runtime's own: no such endpoint or variant, or a body too large."""

    code = "ValidationError"


class ServiceUnavailable(ServiceError):
    """The runtime's own: no instance of the endpoint can take the request now."""

    code = "ServiceUnavailable"
    status = 503


class ModelError(ServiceError):
    """The runtime's own: the container answered with an error."""

    code = "ModelError"
    status = 424


class JobError(Exception):
    """A job or a container failed; the text becomes FailureReason."""
