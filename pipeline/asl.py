"""The Data Science SDK's states, with the Amazon States Language fields that the SDK leaves out.

Everything that builds a state imports it from here. The SDK sets the root logger to ERROR when it is imported and warns
of its own age; both are put right once, in this file.
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
    from stepfunctions.steps import sagemaker as sagemaker_steps
    from stepfunctions.steps import states
    from stepfunctions.steps.choice_rule import ChoiceRule
    from stepfunctions.steps.states import Catch, Chain, Choice, Graph, Parallel, Pass, Retry, State, Succeed
logging.getLogger().setLevel(_level)

__all__ = [
    "Catch",
    "Chain",
    "Choice",
    "ChoiceRule",
    "Fail",
    "Graph",
    "Intrinsic",
    "Parallel",
    "Pass",
    "ProcessingStep",
    "Retry",
    "State",
    "Succeed",
    "Task",
    "TrainingStep",
    "TransformStep",
    "caught",
    "format_",
    "image_uris",
    "retried",
]

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
        """The expression itself."""
        return self.expression


def format_(template: str, *arguments: str) -> Intrinsic:
    """`States.Format` of a template and JSONPaths."""
    return Intrinsic(f"States.Format('{template}', {', '.join(arguments)})")


class _Selecting:
    """Adds `ResultSelector`, which keeps the run's state small; the SDK has no field for it."""

    def __init__(self, *args: Any, result_selector: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.result_selector = result_selector
        super().__init__(*args, **kwargs)

    def to_dict(self) -> dict[str, Any]:
        rendered: dict[str, Any] = super().to_dict()  # type: ignore[misc]
        if self.result_selector is not None:
            rendered["ResultSelector"] = self._replace_placeholders(self.result_selector)  # type: ignore[attr-defined]
        return rendered


class Task(_Selecting, states.Task):  # type: ignore[misc]
    """Any call; used where the SDK has no step or drops what it is given."""


class ProcessingStep(_Selecting, sagemaker_steps.ProcessingStep):  # type: ignore[misc]
    """A processing job, waited for."""


class TrainingStep(_Selecting, sagemaker_steps.TrainingStep):  # type: ignore[misc]
    """A training job, waited for."""


class TransformStep(_Selecting, sagemaker_steps.TransformStep):  # type: ignore[misc]
    """A batch transform job, waited for."""


class Fail(states.Fail):  # type: ignore[misc]
    """A Fail state that takes its error and cause from the state's input (`ErrorPath`, `CausePath`)."""

    def __init__(self, state_id: str, *, error_path: str, cause_path: str) -> None:
        super().__init__(state_id)
        self.paths = {"ErrorPath": error_path, "CausePath": cause_path}

    def to_dict(self) -> dict[str, Any]:
        """The rendered state."""
        return {**super().to_dict(), **self.paths}


def retried(task: State) -> State:
    """The task with a Retry for transient errors; each attempt of a job has a name of its own."""
    task.add_retry(Retry(error_equals=TRANSIENT, interval_seconds=5, max_attempts=5, backoff_rate=2.0))
    return task


def caught(state: State, on_error: State, error_path: str = "$.error") -> State:
    """The state with a Catch that hands any error to `on_error` as {Error, Cause} at `error_path`."""
    state.add_catch(Catch(error_equals=["States.ALL"], result_path=error_path, next_step=on_error))
    return state
