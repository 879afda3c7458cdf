"""Check the machine, the account and the stack; each check that fails has a fix."""

import os
import platform
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops.account import Account, NotDeployed, OpsError
from ops.bootstrap import log_role
from ops.output import Exit, Result, command
from ops.status import alarms, changed_settings, endpoint
from pipeline.config import Settings

CDK = Path(__file__).parents[1] / "node_modules" / ".bin" / "cdk"
NODE_SINCE = 20
"""The oldest version of Node that the CDK CLI runs on and the Node project maintains."""
LAMBDA_KEEPS = 100
"""Concurrent executions that AWS Lambda never lets functions reserve (Lambda quotas)."""
BOOTSTRAP_SINCE = 6
"""The oldest bootstrap stack for new-style assets (CDK Developer Guide, "Bootstrap template version history")."""


@command
def doctor(account: Account) -> Result:
    """Check the machine, the account and the stack; each check is ok or has a fix. Exit code: 1 when one has a fix."""
    checks, lines = [], []
    for name, (check, remedy) in CHECKS.items():
        fix = ""
        try:
            found = check(account)
        except (OpsError, BotoCoreError, ClientError) as error:
            found, fix = " ".join(str(error).split()), remedy
            if name in OPTIONAL and _refused(error):
                found, fix = f"not checked: {found}", ""
        checks.append({"name": name, "found": found, "fix": fix})
        lines += [f"FIX {name:<12}{found}", f"    {'':<12}{fix}"] if fix else [f"ok  {name:<12}{found}"]
    return Result(checks, lines, Exit.FAILED if any(each["fix"] for each in checks) else Exit.OK)


def _refused(error: Exception) -> bool:
    """Whether the credentials may not make a call."""
    return isinstance(error, ClientError) and "AccessDenied" in error.response["Error"]["Code"]


def _require(passed: object, found: str, problem: str) -> str:
    if not passed:
        raise OpsError(problem)
    return found


def _python(_: Account) -> str:
    version = platform.python_version()
    return _require(version.startswith(("3.11.", "3.12.")), version, f"this project does not support Python {version}")


def _node(_: Account) -> str:
    version = _version(_require(shutil.which("node", path=_path()), "node", "node is not on the PATH"))
    major = int(version.removeprefix("v").split(".")[0])
    return _require(major >= NODE_SINCE, version, f"Node {version} is older than {NODE_SINCE}")


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _version(program: str) -> str:
    command_line, environment = [program, "--version"], {**os.environ, "PATH": _path()}
    try:
        done = subprocess.run(command_line, env=environment, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise OpsError(f"{program} does not run: {error}") from error
    return done.stdout.strip()


def _credentials(account: Account) -> str:
    _require(account.session.get_credentials(), "", "no credentials found")
    return str(account.session.client("sts").get_caller_identity()["Arn"])


def _region(account: Account) -> str:
    return _require(account.session.region_name, str(account.session.region_name), "no region is set")


def _quotas(account: Account) -> str:
    """Compare the instances that the settings need with the quotas; passes when the account may not list its quotas."""
    client: Any = account.session.client("service-quotas")
    listed: dict[str, float] = {}
    try:
        # The second has only those that were ever changed or requested (Service Quotas API, ListServiceQuotas).
        for operation in ("list_aws_default_service_quotas", "list_service_quotas"):
            quotas = client.get_paginator(operation).paginate(ServiceCode="sagemaker").search("Quotas[]")
            listed |= {quota["QuotaName"]: quota["Value"] for quota in quotas}
    except ClientError:
        return "not checked: these credentials may not list them"
    short = [
        f"{name}: {listed.get(name, 0):g} of {count}"
        for name, count in instances(account.settings).items()
        if listed.get(name, 0) < count
    ]
    return _require(not short, "enough for every job and the endpoint", f"too few instances: {'; '.join(short)}")


def instances(settings: Settings) -> dict[str, int]:
    """Return the instances that a stage needs at the same time, by the quota's name."""
    size, scoring, training, batch = settings.endpoint, settings.transform, settings.training, settings.score
    most = max(size.instance_count, size.max_instances)
    # A spot job without capacity is trained on demand.
    kinds = ("spot training", "training") if training.spot else ("training",)
    parallel = min(settings.tuning.parallel, settings.tuning.jobs) or 1
    needed = Counter(
        {
            # A drift check waits for no run.
            f"{settings.processing.instance_type} for processing job usage": settings.processing.instance_count + 1,
            **{f"{training.instance_type} for {kind} job usage": parallel * training.instance_count for kind in kinds},
            # Challenger and champion are scored in parallel; an update of the endpoint runs both fleets.
            f"{scoring.instance_type} for transform job usage": 2 * scoring.instance_count,
            **({} if size.serverless else {f"{size.instance_type} for endpoint usage": 2 * most}),
        }
    )
    if batch.enabled:  # nor does a scoring
        needed[f"{batch.instance_type} for processing job usage"] += 1
        needed[f"{batch.instance_type} for transform job usage"] += batch.instance_count
    return dict(needed)


def _concurrency(account: Account) -> str:
    """Compare Lambda's unreserved concurrency with the reservation that a first deployment makes."""
    limit = account.session.client("lambda").get_account_settings()["AccountLimit"]
    unreserved, wanted = limit["UnreservedConcurrentExecutions"], account.settings.api.concurrency
    with suppress(NotDeployed):
        wanted = 0 if account.outputs else wanted  # reserved already
    problem = f"{unreserved} unreserved: [api] concurrency needs {wanted} and AWS keeps {LAMBDA_KEEPS}"
    return _require(not wanted or unreserved >= wanted + LAMBDA_KEEPS, f"{unreserved} unreserved", problem)


def _bootstrap(account: Account) -> str:
    name = "/cdk-bootstrap/hnb659fds/version"
    version = account.session.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    problem = f"version {version} is older than {BOOTSTRAP_SINCE}"
    return _require(int(version) >= BOOTSTRAP_SINCE, f"version {version}", problem)


def _api_logs(account: Account) -> str:
    role = log_role(account)
    return _require(role, role, "API Gateway has no role to write logs: a deployment would fail")


def _stack(account: Account) -> str:
    for machine in account.machines:
        account.states.describe_state_machine(stateMachineArn=machine)
    return f"{account.settings.project.name}, {len(account.outputs)} outputs"


def _settings(account: Account) -> str:
    function, wanted = account.outputs["TriggerFunction"], account.settings.hash
    described = account.session.client("lambda").get_function_configuration(FunctionName=function)
    variables = described["Environment"]["Variables"]
    deployed = variables.get("SETTINGS_HASH", "")
    found = f"as deployed, commit {variables.get('COMMIT', 'unknown')[:12]}"
    return _require(deployed == wanted, found, f"the stack has settings {deployed[:8]}, here {wanted[:8]}")


def _endpoint(account: Account) -> str:
    live = endpoint(account)
    problem = f"{live.name}: {live.status} {live.problem}".strip()
    return _require(live.status == "InService", f"{live.name}: {live.config}", problem)


def _signature(account: Account) -> str:
    live = endpoint(account)
    if not live.config:
        return "no model has been deployed yet"
    changed = changed_settings(account, live)
    _require(live.signature, "", "the live model has no signature, so the deployed settings' is assumed")
    return _require(not changed, f"{live.signature}, as in the settings", changed)


def _notifications(account: Account) -> str:
    """Ask for a confirmed subscription; the local AWS sends no emails."""
    sns = account.session.client("sns")
    attributes = sns.get_topic_attributes(TopicArn=account.outputs["Topic"])["Attributes"]
    confirmed, pending = (int(attributes[f"Subscriptions{state}"]) for state in ("Confirmed", "Pending"))
    problem = f"nobody receives notifications: no confirmed subscription, {pending} pending"
    return _require(confirmed or account.local, f"{confirmed} confirmed subscription(s)", problem)


def _alarms(account: Account) -> str:
    found = [f"{alarm['name']}: {alarm['reason']}" for alarm in alarms(account)]
    return _require(not found, "no alarm is in the state ALARM", "; ".join(found))


CHECKS: dict[str, tuple[Callable[[Account], str], str]] = {
    "Python": (_python, "install Python 3.11 or 3.12 and run `make install`"),
    "Node": (_node, "run `make install`: it brings Node as a Python package"),
    "CDK": (lambda _: _version(str(CDK)), "run `make install`"),
    "credentials": (_credentials, 'run `aws configure` or `aws sso login`; locally: eval "$(make -s env)"'),
    "region": (_region, "set AWS_DEFAULT_REGION, or run `aws configure set region REGION`"),
    "quotas": (_quotas, "raise the quota: AWS console, Service Quotas, Amazon SageMaker"),
    "concurrency": (_concurrency, "raise the quota: AWS console, Service Quotas, AWS Lambda, Concurrent executions"),
    "bootstrap": (_bootstrap, "run `make bootstrap` (locally `make up` does it)"),
    "API logs": (_api_logs, "run `make bootstrap` (locally `make up` does it)"),
    "stack": (_stack, "run `make deploy`, or `make up` for the local AWS"),
    "settings": (_settings, "run `make deploy` (locally `make up`): the stack was deployed with other settings"),
    "endpoint": (_endpoint, "`ops upload FILE` starts a run; `ops logs` shows why a run failed"),
    "signature": (_signature, "run `ops retrain`, or deploy the settings of the live model again"),
    "receivers": (
        _notifications,
        "confirm the email from AWS; without one set [stack] email and run `make deploy`, or `aws sns subscribe`",
    ),
    "alarms": (_alarms, "read docs/runbook.md: it has a section per alarm"),
}
"""Every check with its fix, in the order in which they depend on each other; all are made."""
OPTIONAL = ("quotas", "concurrency", "bootstrap", "API logs")
"""Checks of the account, which a user who may not deploy need not be allowed."""
