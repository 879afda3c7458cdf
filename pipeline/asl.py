"""The Data Science SDK's states, and the Amazon States Language fields that the SDK leaves out.

Every module that builds a state imports the SDK's names from here. The SDK sets the root logger to ERROR when it is
imported, and warns of its own age; this module reverts the first and hides the second.
"""

import logging
import os
import warnings
from typing import Any

_level = logging.getLogger().level
os.environ.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    logging.getLogger("sagemaker.config").setLevel(logging.WARNING)
    from sagemaker import image_uris
    from stepfunctions.inputs import Placeholder
    from stepfunctions.steps import ProcessingStep, TrainingStep, TransformStep
    from stepfunctions.steps.choice_rule import ChoiceRule
    from stepfunctions.steps.states import (
        Catch,
        Chain,
        Choice,
        Fail,
        Graph,
        Parallel,
        Pass,
        Retry,
        State,
        Succeed,
        Task,
    )
logging.getLogger().setLevel(_level)

# Transient errors. The optimised integrations wrap what they do not model in the first name; the aws-sdk ones, named
# after the Java SDK's classes, in the second. Lambda's are from its "Error handling" example.
TRANSIENT = [
    "SageMaker.AmazonSageMakerException",
    "SageMaker.SageMakerException",
    "SageMaker.ResourceLimitExceededException",
    "ThrottlingException",
    "DynamoDB.ThrottlingException",
    "Lambda.TooManyRequestsException",
    "Lambda.ServiceException",
    "S3.SdkClientException",
]


class Intrinsic(Placeholder):  # type: ignore[misc]  # the SDK has no types
    """A JSONPath or intrinsic function that the SDK renders as it stands, under a key that ends in `.$`."""

    def __init__(self, expression: str) -> None:
        super().__init__()
        self.expression = expression

    def to_jsonpath(self) -> str:
        """Return the expression itself."""
        return self.expression


def format_(template: str, *arguments: str) -> Intrinsic:
    """Return `States.Format` of a template and JSONPaths."""
    return Intrinsic(f"States.Format('{template}', {', '.join(arguments)})")


def with_fields(state: State, **fields: Any) -> State:
    """Return the state with fields that the SDK does not know, such as `error_path`; None leaves a field out."""
    state.fields |= {name: value for name, value in fields.items() if value is not None}
    return state


def retry(error: str | list[str], *, seconds: int, attempts: int, rate: float = 2.0) -> Retry:
    """Return a Retry after `seconds`, and then after `rate` times the wait before."""
    errors = [error] if isinstance(error, str) else error
    return Retry(error_equals=errors, interval_seconds=seconds, max_attempts=attempts, backoff_rate=rate)


def never_retry(error: str) -> Retry:
    """Return the Retry that excludes an error from those after it."""
    return Retry(error_equals=[error], max_attempts=0)


def retried(task: State) -> State:
    """Return the task with a Retry for transient errors; each attempt of a job has a name of its own."""
    task.add_retry(retry(TRANSIENT, seconds=5, attempts=5))
    return task


def caught(state: State, then: State, error_path: str = "$.error") -> State:
    """Return the state with a Catch that gives any error to `then` as {Error, Cause} at `error_path`."""
    state.add_catch(Catch(error_equals=["States.ALL"], result_path=error_path, next_step=then))
    return state


def caught_as(state: State, errors: list[str], then: State) -> State:
    """Return the state with a Catch for these errors before the Catches that it has."""
    state.catches.insert(0, Catch(error_equals=errors, result_path="$.error", next_step=then))
    return state


def choice(state_id: str, rule: ChoiceRule, then: State, otherwise: State | None = None) -> Choice:
    """Return a Choice that goes to `then` by the rule, else to `otherwise`, or to the next state."""
    state = Choice(state_id)
    state.add_choice(rule, then)
    if otherwise is not None:
        state.default_choice(otherwise)
    return state
