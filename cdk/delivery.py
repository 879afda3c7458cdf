"""Delivery, an app of its own: pull requests are tested; a push goes to dev, is retrained, approved, goes to prod."""

import re
from typing import Any, cast

import aws_cdk
from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_codepipeline as codepipeline
from aws_cdk import aws_codepipeline_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk import app
from cdk.data import DataStore
from cdk.functions import log_group
from cdk.permissions import allow, arn
from pipeline.config import Settings

IMAGE = codebuild.LinuxBuildImage.STANDARD_7_0
"""It has the runtimes of the buildspecs. It runs unprivileged: no build needs Docker."""
CLONING = r"[^/]+/((PullRequests|Test|Deploy\w+)/Role|Pipeline/Source/Source/CodePipelineActionRole)"
"""The paths of the roles that read the repository through the connection."""
CONNECTIONS = ("codeconnections", "codestar-connections")
CONNECTION_ACTIONS = ("UseConnection", "GetConnection", "GetConnectionToken")
TRUSTED = {
    "RequiresCommentApproval": "ALL_PULL_REQUESTS",
    "ApproverRoles": ["GITHUB_WRITE", "GITHUB_MAINTAIN", "GITHUB_ADMIN"],
}
"""A pull request's build runs its code beside the connection's token: those who may write to the repository start it,
by their own pull request or by a comment on another's (CodeBuild User Guide, "Pull request comment approval")."""
BOOTSTRAP = ("deploy", "file-publishing", "lookup")
"""The bootstrap roles that the CDK CLI assumes to deploy (CDK Developer Guide, "Bootstrapping")."""


class DeliveryStack(Stack):
    """The delivery pipeline from the repository to production."""

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, description=f"Delivers {settings.project.name}", **kwargs)
        store = DataStore(self, "Artifacts", RemovalPolicy.DESTROY)
        self._key = store.key
        delivery = settings.delivery
        owner, _, repository = delivery.repository.partition("/")

        created, updated = codebuild.EventAction.PULL_REQUEST_CREATED, codebuild.EventAction.PULL_REQUEST_UPDATED
        events = codebuild.FilterGroup.in_event_of(created, updated).and_base_branch_is(delivery.branch)
        pull_requests = codebuild.Source.git_hub(
            owner=owner, repo=repository, webhook=True, webhook_filters=[events], fetch_submodules=False
        )
        tester = codebuild.Project(self, "PullRequests", source=pull_requests, **self._build("PullRequests"))
        code = codepipeline.Artifact("Code")
        source = actions.CodeStarConnectionsSourceAction(
            action_name="Source",
            connection_arn=delivery.connection,
            owner=owner,
            repo=repository,
            branch=delivery.branch,
            output=code,
            code_build_clone_output=True,
        )
        test = codebuild.PipelineProject(self, "Test", **self._build("Test"))
        start = actions.StateMachineInput.literal({"reason": "delivery", "commit": source.variables.commit_id})
        machine = sfn.StateMachine.from_state_machine_name(self, "Machine", f"{settings.project.name}-retrain")
        run = actions.StepFunctionInvokeAction(action_name="Retrain", state_machine=machine, state_machine_input=start)
        stages: dict[str, codepipeline.IAction] = {
            "Source": source,
            "Test": actions.CodeBuildAction(action_name="Test", project=test, input=code),
            "Dev": self._deployment("dev", code),
            "Retrain": run,
            "Approve": actions.ManualApprovalAction(action_name="Approve", additional_information="Deploy to prod?"),
            "Prod": self._deployment("prod", code),
        }
        codepipeline.Pipeline(
            self,
            "Pipeline",
            pipeline_name=settings.project.name,
            pipeline_type=codepipeline.PipelineType.V2,
            execution_mode=codepipeline.ExecutionMode.QUEUED,
            artifact_bucket=store.bucket,
            stages=[codepipeline.StageProps(stage_name=name, actions=[action]) for name, action in stages.items()],
        )
        project = cast("codebuild.CfnProject", tester.node.default_child)
        project.add_property_override("Source.Auth", {"Type": "CODECONNECTIONS", "Resource": delivery.connection})
        project.add_property_override("Triggers.PullRequestBuildPolicy", TRUSTED)
        # CodeBuild uses the connection in the project's role when it creates the project and its webhook.
        project.add_resource_dependency(cast("iam.CfnPolicy", self._share(delivery.connection).node.default_child))

    def _share(self, connection: str) -> iam.Policy:
        """Let the role of each build, and of the source, use the connection; CDK's own grant has one old action.

        An ARN of either service name takes only the actions of its own (Developer Tools Console User Guide).
        """
        forms = [re.sub("code(star-)?connections", name, connection, count=1) for name in CONNECTIONS]
        actions = " ".join(f"{name}:{action}" for name in CONNECTIONS for action in CONNECTION_ACTIONS)
        roles = [each for each in self.node.find_all() if isinstance(each, iam.Role)]
        cloning = [role for role in roles if re.fullmatch(CLONING, role.node.path)]
        return iam.Policy(self, "Connection", statements=[allow(actions, *forms)], roles=cloning)

    def _build(self, name: str) -> dict[str, Any]:
        """Return the arguments that all builds share."""
        log = codebuild.CloudWatchLoggingOptions(log_group=log_group(self, f"{name}Log"))
        return {
            # Cached on the build's host, not in the bucket: a pull request must not change what a deployment reads.
            "cache": codebuild.Cache.local(codebuild.LocalCacheMode.CUSTOM),
            "encryption_key": self._key,
            "environment": codebuild.BuildEnvironment(build_image=IMAGE, compute_type=codebuild.ComputeType.MEDIUM),
            "timeout": Duration.hours(1),
            "queued_timeout": Duration.hours(2),
            "logging": codebuild.LoggingOptions(cloud_watch=log),
        }

    def _deployment(self, stage: str, code: codepipeline.Artifact) -> actions.CodeBuildAction:
        """Return `make deploy` of a stage; its only permission is to assume the bootstrap roles."""
        runtimes = {"python": "3.12", "nodejs": "22"}
        phases = {
            "install": {"runtime-versions": runtimes, "commands": ["make install"]},
            "build": {"commands": [f"make deploy STAGE={stage} APPROVAL=never"]},
        }
        name = f"Deploy{stage.title()}"
        spec = codebuild.BuildSpec.from_object({"version": "0.2", "phases": phases})
        project = codebuild.PipelineProject(self, name, build_spec=spec, **self._build(name))
        roles = [f"cdk-hnb659fds-{role}-role-{self.account}-{self.region}" for role in BOOTSTRAP]
        project.add_to_role_policy(allow("sts:AssumeRole", *(arn(self, "iam:role", role, region="") for role in roles)))
        return actions.CodeBuildAction(action_name="Deploy", project=project, input=code)


def build(settings: Settings, **arguments: Any) -> aws_cdk.App:
    """Return the app, not synthesised yet; raises ValueError when `[delivery]` is incomplete."""
    if not settings.delivery.connection or not settings.delivery.repository:
        raise ValueError("pipeline.toml, [delivery]: set repository and connection (see docs/deploy.md)")
    return app.build(settings, **arguments, stack=DeliveryStack, suffix="-delivery")


if __name__ == "__main__":
    app.synthesise(build, "dev")
