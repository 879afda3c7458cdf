"""The functions of Step Functions that replace ministack's."""

from collections.abc import Callable
from functools import partial
from typing import Any

from local_aws.sagemaker.api.service import SageMaker
from local_aws.step_functions import interpreter
from local_aws.step_functions.definitions import definition_problem
from local_aws.step_functions.executions import Executions
from local_aws.step_functions.single_state import run_state
from local_aws.step_functions.tasks import Tasks


class Engine(Executions):
    """Executions, and the check of a definition and the test of one state, on moto's interpreter.

    `add_functions` gives an expression of JSONata AWS's own. `more` are the arguments of Executions. The interpreter
    calls the service, and its tasks wait for executions. Raises AdapterError: moto is another version.
    """

    check_definition = staticmethod(definition_problem)

    def __init__(self, service: SageMaker, add_functions: Callable[[Any], None], *more: Any) -> None:
        super().__init__(*more)
        self.test_state = partial(run_state, service.host)
        tasks = Tasks(service, self.when_ended)
        interpreter.install({**interpreter.changes(service.host.wait_scale, add_functions), **tasks.changes()})
