"""The errors of the service, with AWS's names and messages (the codes are those of the API models)."""

from typing import Any

MODELED_ERRORS = ("ConflictException", "ResourceInUse", "ResourceLimitExceeded", "ResourceNotFound")


class ServiceError(Exception):
    """A refusal with AWS's error code and wording; `members` are further members of the error's shape."""

    code: str
    status = 400

    def __init_subclass__(cls) -> None:
        cls.code = cls.__name__

    def __init__(self, message: str, **members: Any) -> None:
        super().__init__(message)
        self.message = message
        self.members = members


class ValidationException(ServiceError):
    """The request breaks a rule of the API model, or names something that is not there."""


class SerializationException(ServiceError):
    """The request's JSON has a value of another type than the API model says."""


class AccessDeniedException(ServiceError):
    """IAM does not allow the caller this operation."""


class UnknownOperationException(ServiceError):
    """SageMaker may have this operation; the local one does not."""


class ConflictException(ServiceError):
    """Something else still depends on the resource."""


class ResourceInUse(ServiceError):
    """A job of this name exists already."""


class ResourceLimitExceeded(ServiceError):
    """An account limit; the local one has small ones."""


class ValidationError(ServiceError):
    """The runtime's own: no such endpoint or variant, or a body too large."""


class ThrottlingException(ServiceError):
    """Common to all of AWS's APIs: a serverless endpoint works on as many requests as it may."""


class ServiceUnavailable(ServiceError):
    """The runtime's own: no instance of the endpoint can take the request now."""

    status = 503


class ModelError(ServiceError):
    """The runtime's own: the container answered with an error."""

    status = 424


class JobError(Exception):
    """A job or a container failed; the text becomes FailureReason."""
