"""The pipeline's stack, as a table of contents."""

from typing import Any

from aws_cdk import CfnOutput, Fn, RemovalPolicy, Stack
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from cdk.api.prediction_api import PredictionApi
from cdk.data import DataStore
from cdk.executions import Finish, Lease
from cdk.functions import LOG_DAYS
from cdk.jobs import Jobs
from cdk.live_endpoint import LiveEndpoint
from cdk.network import Network
from cdk.observability import Observability, add_budget
from cdk.permissions import allow
from cdk.regions import BUDGET, has_type
from cdk.state_machine import Parts, deploy_machine, drift_machine, retrain_machine, score_machine
from cdk.triggers import Triggers
from pipeline.config import Settings
from pipeline.states.endpoint import golden_rows


class PipelineStack(Stack):
    """Data, the serving API, and the workflow that retrains what it serves."""

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, description=f"Retrains and serves {settings.project.name}", **kwargs)
        self.node.set_context(LOG_DAYS, settings.stack.log_days)
        project = settings.project.name

        kept, removal = settings.stack, RemovalPolicy.RETAIN if settings.stack.keep_data else RemovalPolicy.DESTROY
        expiry = {
            "data-capture/": kept.capture_days,
            "ground-truth/": kept.capture_days,
            "rows/": kept.rows_days,
            "preprocessed/": kept.cache_days,
            **dict.fromkeys((settings.data.prefix, "score/", "scored/"), kept.upload_days),
        }
        data = DataStore(self, "Data", removal, expiry)
        topic = sns.Topic(self, "Outcomes", master_key=data.key, enforce_ssl=True)
        if settings.stack.email:
            topic.add_subscription(subscriptions.EmailSubscription(settings.stack.email))
        serving = PredictionApi(self, settings, data)
        peers = settings.training.instance_count > 1
        network = Network(self, logs=data.logs, peers=peers) if settings.network.vpc else None
        jobs = Jobs(self, settings, data, network)
        about = f"Every model that a run of {project} trained"
        registry = sagemaker.CfnModelPackageGroup(
            self, "ModelRegistry", model_package_group_name=project, model_package_group_description=about
        )
        # Its name is fixed: a group that outlives the stack would stop the next one.
        registry.apply_removal_policy(RemovalPolicy.DESTROY)
        lease = Lease(self, project, data)
        live = LiveEndpoint(self, settings)
        if not settings.endpoint.serverless:  # only a deployment to instances looks at alarms
            jobs.allow(allow("cloudwatch:DescribeAlarms", *live.alarms))
        finish = Finish(self, settings, data, topic, lease)
        parts = Parts(settings, data, topic, serving, jobs, lease, live, finish)
        deploy = deploy_machine(self, parts)
        retrain = retrain_machine(self, parts, registry, deploy)
        triggers = Triggers(self, parts, retrain)
        score = score_machine(self, parts, triggers.dead_letters) if settings.score.enabled else None
        finish.watch([retrain, deploy, *([score] if score else [])], triggers.dead_letters)
        finish.check_live(golden_rows(settings), serving.function, deploy, triggers.dead_letters)
        drift = drift_machine(self, parts, triggers.dead_letters)
        if settings.stack.monthly_budget and has_type(self.region, BUDGET):
            add_budget(self, settings.stack.monthly_budget, project, topic, data)
        Observability(self, parts, triggers, retrain=retrain, drift=drift)
        outputs = {
            "StateMachine": retrain.state_machine_arn,
            "DeployMachine": deploy.state_machine_arn,
            "DriftMachine": drift.state_machine_arn,
            **({"ScoreMachine": score.state_machine_arn} if score else {}),
            "Lease": lease.table.table_name,
            "DataBucket": data.bucket.bucket_name,
            "Endpoint": project,
            "ModelPackageGroup": registry.ref,
            "ApiUrl": serving.api.deployment_stage.url_for_path("/"),
            "TriggerFunction": triggers.function.function_name,
            "TriggerQueue": triggers.queue.queue_url,
            "DeadLetterQueue": triggers.dead_letters.queue_url,
            "Topic": topic.topic_arn,
            **({"ApiKey": serving.key_id} if serving.key_id else {}),
            **({"Vpc": network.vpc.vpc_id} if network else {}),
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)

    @property
    def availability_zones(self) -> list[str]:
        """The region's first two, as CloudFormation knows them: CDK would ask the account while it synthesises."""
        return [Fn.select(number, Fn.get_azs()) for number in range(2)]
