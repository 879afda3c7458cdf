"""Abandoned: what a run could not do itself because it was aborted, ran out of time or failed outside of its states.

An EventBridge rule hands each execution that ended so to a state machine of its own. A run that failed the usual way
has freed its lease and told; then there is nothing left to do.
"""

from pipeline.asl import Catch, Choice, ChoiceRule, Intrinsic, State, Succeed
from pipeline.states.lease import TAKEN, free
from pipeline.states.tell import NEXT, run_page, tell

EXECUTION = "$.detail.executionArn"


def abandoned(project: str, console: str) -> list[State]:
    """FreeLeaseOfDead, and TellAborted unless the run has told by itself."""
    done = Succeed("Done")
    message = {
        "outcome": "aborted",
        "why": Intrinsic("States.Format('the execution ended as {}', $.detail.status)"),
        "next": NEXT["aborted"],
        "execution": Intrinsic(EXECUTION),
        "started_by": Intrinsic("$.detail.input"),
        "links": {"run": run_page(console, EXECUTION)},
    }
    told = tell("TellAborted", project, message, then=done)
    by_itself = Choice("ToldByItself")
    by_itself.add_choice(ChoiceRule.StringEquals("$.detail.status", "FAILED"), done)
    by_itself.default_choice(told)
    freed = free("FreeLeaseOfDead", told, owner=Intrinsic(EXECUTION))
    freed.catches.insert(0, Catch(error_equals=[TAKEN], result_path="$.lease", next_step=by_itself))
    return [freed, told, done]
