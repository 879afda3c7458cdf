"""Is everything in place to deploy and to run: each check is fine, or names what to do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from ops import status
from ops.account import Account, OpsError

ROOT = Path(__file__).parent.parent
NODE_SINCE = 20
"""The CDK CLI runs on the Node versions that Node's own project still keeps."""
BOOTSTRAP_SINCE = 6
"""Of the bootstrap stack, for assets in the new style (CDK Developer Guide, "Bootstrap template version history")."""


@dataclass(frozen=True)
class Check:
    """`fix` is what to do about it; empty when the check is fine."""

    name: str
    found: str
    fix: str = ""


class Unwell(OpsError):
    """A check could not be made; the message is the finding."""


def doctor(account: Account) -> list[Check]:
    """Every check, in the order in which what they check is needed; none stops the others."""
    checks: list[tuple[str, Callable[[Account], str], str]] = [
        ("Python", _python, "install Python 3.11 or 3.12 and run `make install`"),
        ("Node", _node, "run `make install`: it brings Node as a Python package"),
        ("CDK", _cdk, "run `make install`"),
        ("credentials", _credentials, 'run `aws configure` or `aws sso login`; locally: eval "$(make -s env)"'),
        ("region", _region, "set AWS_DEFAULT_REGION, or `aws configure set region REGION`"),
        ("quotas", _quotas, "ask for more: AWS console, Service Quotas, Amazon SageMaker"),
        ("bootstrap", _bootstrap, "run `node_modules/.bin/cdk bootstrap` (locally `make up` does it)"),
        ("stack", _stack, "run `make deploy`, or `make up` for the local AWS"),
        ("settings", _settings, "run `make deploy` (locally `make up`): the stack was deployed with other settings"),
        ("endpoint", _endpoint, "`python -m ops upload FILE` starts a run; `ops logs` says why one failed"),
        ("alarms", _alarms, "docs/runbook.md says what each alarm means and what to do"),
    ]
    return [_checked(name, look, fix, account) for name, look, fix in checks]


def _checked(name: str, look: Callable[[Account], str], fix: str, account: Account) -> Check:
    try:
        return Check(name, look(account))
    except (OpsError, BotoCoreError, ClientError) as error:
        return Check(name, " ".join(str(error).split()), fix)


def _python(account: Account) -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] not in ((3, 11), (3, 12)):
        raise Unwell(f"Python {version} is not one that this project is made for")
    return version


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _node(account: Account) -> str:
    program = shutil.which("node", path=_path())
    if program is None:
        raise Unwell("node is not on the PATH")
    version = _version(program)
    if int(version.removeprefix("v").split(".")[0]) < NODE_SINCE:
        raise Unwell(f"Node {version} is older than {NODE_SINCE}")
    return version


def _cdk(account: Account) -> str:
    program = ROOT / "node_modules" / ".bin" / "cdk"
    if not program.exists():
        raise Unwell(f"{program.relative_to(ROOT)} is not there")
    return _version(str(program))


def _version(program: str) -> str:
    environment = {**os.environ, "PATH": _path()}
    try:
        answered = subprocess.run(
            [program, "--version"], env=environment, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unwell(f"{program} does not run: {error}") from error
    return answered.stdout.strip()


def _credentials(account: Account) -> str:
    if account.session.get_credentials() is None:
        raise Unwell("no credentials found")
    return str(account.session.client("sts").get_caller_identity()["Arn"])


def _region(account: Account) -> str:
    if not account.session.region_name:
        raise Unwell("no region is set")
    return account.session.region_name


def _quotas(account: Account) -> str:
    """Instances of each type that the settings ask for; an account that may not list its quotas is not unwell."""
    settings = account.settings
    wanted = {
        f"{settings.endpoint.instance_type} for endpoint usage": max(
            settings.endpoint.instance_count, settings.endpoint.max_instances
        ),
        f"{settings.training.instance_type} for training job usage": settings.training.instance_count,
        f"{settings.processing.instance_type} for processing job usage": settings.processing.instance_count,
        f"{settings.transform.instance_type} for transform job usage": settings.transform.instance_count,
    }
    client = account.session.client("service-quotas")
    try:
        pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
        listed = {quota["QuotaName"]: quota["Value"] for page in pages for quota in page["Quotas"]}
    except ClientError:
        return "not listed by this account"
    short = [f"{name}: {listed[name]:g}" for name, count in wanted.items() if listed.get(name, count) < count]
    if short:
        raise Unwell(f"too few instances: {'; '.join(short)}")
    return "enough instances for every job and the endpoint"


def _bootstrap(account: Account) -> str:
    name = "/cdk-bootstrap/hnb659fds/version"
    version = account.session.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    if int(version) < BOOTSTRAP_SINCE:
        raise Unwell(f"version {version} is older than {BOOTSTRAP_SINCE}")
    return f"version {version}"


def _stack(account: Account) -> str:
    machine = account.states.describe_state_machine(stateMachineArn=account.outputs["StateMachine"])
    return f"{account.settings.project.name}, {machine['status'].lower()}, {len(account.outputs)} outputs"


def _settings(account: Account) -> str:
    function = account.outputs["Retrain"]
    client = account.session.client("lambda")
    variables = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    if variables.get("SETTINGS_HASH") != account.settings.hash:
        raise Unwell(
            f"the stack has settings {variables.get('SETTINGS_HASH', '')[:8]}, here {account.settings.hash[:8]}"
        )
    return f"as deployed, commit {variables.get('COMMIT', 'unknown')[:12]}"


def _endpoint(account: Account) -> str:
    live = status.endpoint(account)
    if live["status"] != "InService":
        raise Unwell(f"{live['name']}: {live['status']} {live['problem']}".strip())
    return f"{live['name']}: {live['config']}"


def _alarms(account: Account) -> str:
    ringing = status.ringing(account)
    if ringing:
        raise Unwell("; ".join(f"{alarm['name']}: {alarm['reason']}" for alarm in ringing))
    return "none rings"
