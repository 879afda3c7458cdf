"""The pipeline's stack, as a table of contents."""

from typing import Any

from aws_cdk import CfnOutput, Fn, RemovalPolicy, Stack
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk.region_info import RegionInfo
from constructs import Construct

from cdk.data import DataStore
from cdk.drift import Drift
from cdk.ending import Ending
from cdk.money import Budget
from cdk.network import Network
from cdk.observability import Observability
from cdk.promotion import Promotion
from cdk.retraining import Retraining
from cdk.serving import Serving
from cdk.triggers import Triggers
from pipeline.config import Settings


class PipelineStack(Stack):
    """Data, the serving API, and the workflow that retrains what it serves."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, description=f"Retrains and serves {settings.project.name}", **kwargs)
        endpoint_name = settings.project.name

        keep = RemovalPolicy.RETAIN if settings.stack.keep_data else RemovalPolicy.DESTROY
        data = DataStore(self, "Data", removal=keep)
        topic = sns.Topic(self, "Outcomes", master_key=data.key, enforce_ssl=True)
        if settings.stack.email:
            topic.add_subscription(subscriptions.EmailSubscription(settings.stack.email))
        serving = Serving(self, "Serving", settings=settings, endpoint_name=endpoint_name)
        network = None
        if settings.network.vpc:
            network = Network(self, "Network", logs=data.logs, peers=settings.training.instance_count > 1)
        promotion = Promotion(self, "Promotion", project=settings.project.name, endpoint_name=endpoint_name)
        retraining = Retraining(
            self,
            "Retraining",
            settings=settings,
            data=data,
            topic=topic,
            predict=serving.function,
            promotion=promotion,
            network=network,
            endpoint_name=endpoint_name,
        )

        triggers = Triggers(
            self,
            "Triggers",
            settings=settings,
            data=data,
            machine=retraining.machine,
            lease=retraining.lease,
            endpoint_name=endpoint_name,
        )

        Ending(
            self,
            "Ending",
            settings=settings,
            data=data,
            topic=topic,
            machine=retraining.machine,
            lease=retraining.lease,
            dead_letters=triggers.dead_letters,
            endpoint_name=endpoint_name,
        )
        if settings.stack.monthly_budget and RegionInfo.get(self.region).partition == "aws":
            dollars = settings.stack.monthly_budget
            Budget(self, "Budget", dollars=dollars, name=settings.project.name, topic=topic, key=data.key)
        drift = Drift(
            self,
            "Drift",
            settings=settings,
            data=data,
            retraining=retraining,
            dead_letters=triggers.dead_letters,
            endpoint_name=endpoint_name,
        )
        Observability(
            self,
            "Observability",
            settings=settings,
            topic=topic,
            serving=serving,
            promotion=promotion,
            retraining=retraining,
            triggers=triggers,
            drift=drift,
        )
        for node in self.node.find_all():
            if isinstance(node, logs.CfnLogGroup):
                node.retention_in_days = settings.stack.log_days

        outputs = {
            "DriftMachine": drift.machine.state_machine_arn,
            "Lease": retraining.lease.table_name,
            "DataBucket": data.bucket.bucket_name,
            "StateMachine": retraining.machine.state_machine_arn,
            "Endpoint": endpoint_name,
            "ModelPackageGroup": promotion.packages.ref,
            "ApiUrl": serving.api.deployment_stage.url_for_path("/"),
            "Retrain": triggers.function.function_name,
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
