"""The faults of docs/failures.md, from cases.toml: what goes wrong, and how the run must end."""

import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deployments.world import LEAST, ROWS, World, data, relabelled

OLD, NEW = "the old model", "the new model"
ALWAYS = "every request answered right"


@dataclass(frozen=True)
class Case:
    """One fault.

    Args:
        name: The test's.
        what: The fault, in words.
        faults: What is injected into the local SageMaker, all of which must strike: on, fault, times and name.
        outcome: The notification's: accepted, rejected, rolled back, failed, aborted.
        cause: Words that the cause must have.
        after: What the endpoint serves in the end.
        share: At most this share of a consumer's requests may go wrong.
        asked: Whether a consumer posts all the while; not where the request that goes wrong must be the smoke test's.
        package: The approval status of the run's package, empty when there is none.
        consumers: How many consumers post.
        least: At least so many of their answers come while the endpoint is being updated.
        bake: Seconds for which the last stage of the update bakes, in place of the settings'.
        quick: Whether each `make test` has it; it has some of the others in turn.
        relabelled: The label of every nth row of the data is swapped; 0 for none.
        letter: Whether a number of the data is a letter.
        data_deleted: Whether the data is deleted while the run is under way.
        aborted_in: The state in which the execution is aborted.
        deadline: Whether the deployment gives up as soon as it sees that the endpoint is being changed.
        later: The outcome of the smoke test that is made when the new model has come live without its deployment.
    """

    name: str
    what: str
    faults: tuple[dict[str, Any], ...] = ()
    outcome: str = "failed"
    cause: tuple[str, ...] = ()
    after: str = OLD
    share: float = 0.0
    asked: bool = True
    package: str = ""
    consumers: int = 1
    least: int = LEAST
    bake: int = 0
    quick: bool = False
    relabelled: int = 0
    letter: bool = False
    data_deleted: bool = False
    aborted_in: str = ""
    deadline: bool = False
    later: str = ""

    @property
    def strikes(self) -> Counter[tuple[str, str]]:
        """How often each fault must strike, by its `on` and its `fault`."""
        return Counter((each["on"], each["fault"]) for each in self.faults for _ in range(each.get("times", 1)))

    def body(self) -> bytes:
        """The data that is uploaded."""
        if self.letter:
            return data([*ROWS[:4], ROWS[4].replace(ROWS[4].split(",")[3], "x"), *ROWS[5:]])
        return relabelled(self.relabelled) if self.relabelled else data()

    def change(self, definition: Any) -> None:
        """What is changed in the deploy machine."""
        if self.bake:
            policy = definition["States"]["UpdateEndpoint"]["Parameters"]["DeploymentConfig"]["BlueGreenUpdatePolicy"]
            policy["TerminationWaitInSeconds"] = self.bake
            policy["MaximumExecutionTimeoutInSeconds"] = 2 * self.bake
        if self.deadline:
            definition["States"]["WaitForEndpoint"]["Retry"][0]["MaxAttempts"] = 0

    def disturb(self, world: World, execution: str) -> None:
        """What is done to the running execution."""
        if self.data_deleted:
            world.in_state(execution, "Preprocess")
            world.deployed.clear()
        if self.aborted_in:
            world.in_state(execution, self.aborted_in)
            world.stop(execution)


_TABLES = tomllib.loads(Path(__file__).with_name("cases.toml").read_text(encoding="utf-8"))
CASES = [Case(**case) for case in _TABLES["case"]]
WHAT = {case.name: case.what for case in CASES} | _TABLES["others"]
