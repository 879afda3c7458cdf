"""ministack's IAM: its evaluator decides for our services too, and each decision is recorded.

ministack does not check KMS keys. S3, DynamoDB and SNS use a key in their caller's name, so each call on a
resource that a stack encrypts with a customer's key needs an action of KMS, too.
"""

import json
import os
import re
import runpy
from contextlib import suppress
from contextvars import ContextVar
from functools import cache, lru_cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from local_aws.iam import Access, Credentials, Need
from local_aws.ministack_adapter import inner, wrap

ACTIONS, EVALUATOR = "ministack.core.iam_actions", "ministack.core.iam_evaluator"
RESPONSES = "ministack.core.responses"
MANAGED = "arn:aws:iam::aws:policy"
ATTACHING = ("AttachRolePolicy", "AttachUserPolicy", "AttachGroupPolicy")
IAM, STS = "ministack.services.iam", "ministack.services.sts"
KEYS = {
    "s3:GetObject": ("kms:Decrypt",),
    "s3:PutObject": ("kms:GenerateDataKey",),
    "sns:Publish": ("kms:GenerateDataKey", "kms:Decrypt"),
    **{f"dynamodb:{call}Item": ("kms:Decrypt",) for call in ("Get", "Put", "Update", "Delete")},
}
"""What a call on an encrypted resource asks of KMS (each service's developer guide, "Encryption at rest")."""
ENCRYPTED = ("AWS::S3::Bucket", "AWS::SNS::Topic", "AWS::DynamoDB::Table")
_namespace: ContextVar[str] = ContextVar("namespace", default="")
"""That of the metrics in this request, which ministack does not read."""
_keys: dict[str, str] = {}
"""The key's ARN by bucket name, topic ARN or table name."""


def access(home: Path) -> Access:
    """IAM for our services; the decisions go to IAM_DECISIONS, or to `<home>/iam.jsonl`."""
    return Access(_refused, trusts, _register, Path(os.environ.get("IAM_DECISIONS") or home / "iam.jsonl"))


def keys() -> dict[str, str]:
    """The key's ARN by the name of what it encrypts."""
    return _keys


def install(recording: Access, stack_types: dict[str, dict[str, Any]]) -> None:
    """Record every decision, and ask for keys; `stack_types` are CloudFormation's handlers by type."""
    parsed = lru_cache(1024)(inner(EVALUATOR, "parse_policy_document"))
    wrap(EVALUATOR, {"enforce": partial(_enforce, recording), "parse_policy_document": partial(_parse, parsed)})
    wrap(ACTIONS, {"extract_resource_arn": _resource_arns, "access_denied_response": _denial})
    wrap(IAM, {"_lookup_policy": _policy, "attach_managed_policy": _attach})
    calls = inner(IAM, "_IAM_HANDLERS")
    calls |= {name: partial(_attach_call, calls[name]) for name in ATTACHING}
    for kind in ENCRYPTED:
        handlers = stack_types[kind]
        handlers["create"] = partial(_note_key, handlers["create"], 1)
        handlers["update"] = partial(_note_key, handlers["update"], 2)


def _note_key(original: Any, place: int, *arguments: Any) -> Any:
    made = original(*arguments)
    found = re.search(r'"KMSMasterKeyId": "(arn:[^"]+)"', json.dumps(arguments[place]), re.IGNORECASE)
    _keys[made[0]] = found[1] if found else ""
    return made


@cache
def _managed() -> dict[str, str]:
    """The documents of AWS's managed policies by ARN, as moto has copied them; importing moto.iam would take 1 s."""
    source = files("moto") / "iam/aws_managed_policies.py"
    policies = json.loads(runpy.run_path(str(source))["aws_managed_policies_data"])
    return {f"{MANAGED}{entry['Path']}{name}": json.dumps(entry["Document"]) for name, entry in policies.items()}


def _policy(original: Any, arn: str) -> Any:
    """A managed policy; ministack has a few of AWS's only."""
    found = original(arn)
    if found is None and arn.startswith(MANAGED) and arn in _managed():
        name = arn.removeprefix(f"{MANAGED}/")
        found = inner(IAM, "_aws_managed_policies")[arn] = inner(IAM, "_make_aws_managed_record")(name, _managed()[arn])
    return found


def _attach(original: Any, entity: Any, arn: str) -> None:
    if arn and inner(IAM, "_lookup_policy")(arn) is None:  # ministack makes [""] of an empty list parameter
        raise ValueError(f"Policy {arn} does not exist or is not attachable.")
    original(entity, arn)


def _attach_call(original: Any, request: Any) -> Any:
    try:
        return original(request)
    except ValueError as error:
        return inner(IAM, "_error")(404, "NoSuchEntity", str(error))


def _parse(parsed: Any, original: Any, document: Any) -> Any:
    """The statements of a policy; ministack parses each of a caller's policies again for each call."""
    return parsed(document) if isinstance(document, str) else original(document)


def _enforce(  # noqa: PLR0917 the evaluator's own order
    made: Access,
    original: Any,
    key: str,
    action: str,
    service: str,
    region: str,
    resource_arn: str = "*",
    service_context: dict[str, Any] | None = None,
) -> Any:
    if action == "cloudwatch:PutMetricData" and not service_context:
        service_context = {"cloudwatch:namespace": _namespace.get()}
    principal = inner(EVALUATOR, "resolve_principal")(key or "", inner(RESPONSES, "get_account_id")())
    role = getattr(principal, "arn", "").partition(":assumed-role/")[2].partition("/")[0]
    # Only of alarms are there several, one a line; a key of S3 may have any sign in it.
    several = resource_arn.split("\n") if action.startswith("cloudwatch:") else [resource_arn]
    asked = [(action, service, resource, service_context) for resource in several]
    if getattr(principal, "policies", None) is not None:
        asked += _of_keys(action, service, region, resource_arn)
    for each in asked:
        denied = original(key, each[0], each[1], region, resource_arn=each[2], service_context=each[3])
        if role:
            made.record(role, each[0], each[2], denied is None)
        if denied is not None:
            return denied
    return None


def _denial(original: Any, service: str, action: str, principal: str, request: str, **more: Any) -> Any:
    """A refusal; AWS names the resource, ministack only for some services."""
    resource = more.get("resource_arn", "*")
    if not more.get("message") and not more.get("error_code") and resource != "*":
        words = inner(ACTIONS, "identity_denial_message")
        more["message"] = words(action, principal, resource, more.get("explicit_deny", False))
    return original(service, action, principal, request, **more)


def _resource_arns(original: Any, service: str, *request: Any) -> str:
    """The ARN of what a request is for; of the alarms that DescribeAlarms names, which ministack does not read, all."""
    *_, body, query, region, account = request
    if service == "monitoring":
        asked = {key: values[0] for key, values in query.items()}
        with suppress(ValueError):
            asked |= json.loads(body)
        _namespace.set(asked.get("Namespace", ""))
        listed = [value for key, value in sorted(asked.items()) if key.startswith("AlarmNames.member.")]
        if names := listed or asked.get("AlarmNames"):
            return "\n".join(f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}" for name in names)
    return str(original(service, *request))


def _of_keys(action: str, service: str, region: str, resource: str) -> list[tuple[str, str, str, dict[str, str]]]:
    name = resource.rpartition(":")[2].removeprefix("table/").partition("/")[0]
    key = _keys.get(name) or _keys.get(resource)
    context = {"kms:ViaService": f"{service}.{region}.amazonaws.com"}
    return [(needed, "kms", key, context) for needed in KEYS.get(action, ())] if key else []


def _refused(key: str, need: Need) -> str | None:
    service = need.action.partition(":")[0]
    region = str(inner(RESPONSES, "get_region")())
    inner(EVALUATOR, "pin_request_origin")("127.0.0.1", True)
    denied = inner(EVALUATOR, "enforce")(key, need.action, service, region, need.resource, dict(need.context))
    return None if denied is None else str(getattr(denied, "principal_arn", "") or denied)


def trusts(role: str, service: str) -> bool:
    """Whether a role, by its ARN, exists and lets the service assume it."""
    document = (inner(IAM, "_roles").get(role.rpartition("/")[2]) or {}).get("AssumeRolePolicyDocument", "{}")
    statements = (json.loads(document) if isinstance(document, str) else document).get("Statement", [])
    allowed = [entry["Principal"] for entry in _list(statements) if entry["Effect"] == "Allow"]
    return any(service in _list(principal.get("Service", [])) for principal in allowed if isinstance(principal, dict))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _register(role: str, credentials: Credentials) -> None:
    name = role.rpartition("/")[2]
    session = {
        "Arn": f"arn:aws:sts::{inner(RESPONSES, 'get_account_id')()}:assumed-role/{name}/local",
        "UserId": f"{name}:local",
        "SecretAccessKey": credentials.secret,
        "SessionToken": credentials.token,
    }
    inner(STS, "register_session")(credentials.key, session)
