"""The Data Science SDK's states, and the Amazon States Language fields that the SDK leaves out.

Every module that builds a state imports the SDKs' names from here. The SDK sets the root logger to ERROR when it is
imported, and warns of its own age; this module reverts the first and hides the second.
"""

import json
import logging
import os
import re
import warnings
from collections.abc import Sequence
from typing import Any

_level = logging.getLogger().level
os.environ.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    logging.getLogger("sagemaker.config").setLevel(logging.WARNING)
    from sagemaker import image_uris
    from sagemaker.estimator import Estimator
    from sagemaker.inputs import TrainingInput
    from sagemaker.network import NetworkConfig
    from sagemaker.processing import ProcessingInput, ProcessingOutput, Processor
    from sagemaker.session import Session
    from sagemaker.transformer import Transformer
    from sagemaker.tuner import CategoricalParameter, ContinuousParameter, HyperparameterTuner, IntegerParameter
    from stepfunctions.inputs import Placeholder
    from stepfunctions.steps import Catch, Chain, Choice, ChoiceRule, Fail, Graph, Parallel, Pass, Retry, Task
    from stepfunctions.steps import integration_resources as _resources
    from stepfunctions.steps.sagemaker import ProcessingStep, TrainingStep, TransformStep, TuningStep
    from stepfunctions.steps.states import State
logging.getLogger().setLevel(_level)
# The SDK's own function takes 0.1 s for each state: it reads botocore's endpoints again. `rendered` sets the partition.
_resources.get_aws_partition = lambda: "aws"

Definition = dict[str, Any]
"""A state machine in Amazon States Language."""

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
    """Return the state with fields that the SDK does not know, such as `error_path`."""
    state.fields |= fields
    return state


def retry(error: str | list[str], *, seconds: int, attempts: int, rate: float = 2.0) -> Retry:
    """Return a Retry after `seconds`, and then after `rate` times the wait before."""
    errors = [error] if isinstance(error, str) else error
    return Retry(error_equals=errors, interval_seconds=seconds, max_attempts=attempts, backoff_rate=rate)


def retried(task: State) -> State:
    """Return the task with a Retry for transient errors; each attempt of a job has a name of its own."""
    task.add_retry(retry(TRANSIENT, seconds=5, attempts=5))
    return task


def caught(state: State, then: State, error_path: str = "$.error", errors: Sequence[str] = ("States.ALL",)) -> State:
    """Return the state with a Catch, before those that it has, that gives {Error, Cause} to `then` at `error_path`."""
    state.catches.insert(0, Catch(error_equals=[*errors], result_path=error_path, next_step=then))
    return state


def choice(state_id: str, rule: ChoiceRule, then: State, otherwise: State | None = None) -> Choice:
    """Return a Choice that goes to `then` by the rule, else to `otherwise`, or to the next state."""
    state = Choice(state_id)
    state.add_choice(rule, then)
    state.default_choice(otherwise)
    return state


def rendered(states: list[State], comment: str, timeout_seconds: int, partition: str) -> Definition:
    """Return the machine in Amazon States Language."""
    text = Graph(Chain(states), comment=comment, timeout_seconds=timeout_seconds).to_json()
    return dict(json.loads(re.sub(r'"arn:[a-z-]+:states:::', f'"arn:{partition}:states:::', text)))
