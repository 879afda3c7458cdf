"""The pipeline's stack, as a table of contents."""

from typing import Any

from aws_cdk import CfnOutput, Fn, RemovalPolicy, Stack
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk.region_info import RegionInfo
from constructs import Construct

from cdk.api.prediction_api import PredictionApi
from cdk.budget import Budget
from cdk.data import DataStore
from cdk.deploy import Deploy
from cdk.drift import Drift
from cdk.finish import Finish
from cdk.functions import LOG_DAYS
from cdk.jobs import Jobs
from cdk.lease import Lease
from cdk.live_endpoint import LiveEndpoint
from cdk.model_registry import model_registry
from cdk.network import Network
from cdk.observability import Observability
from cdk.retrain import Retrain
from cdk.triggers import Triggers
from pipeline.config import Settings


class PipelineStack(Stack):
    """Data, the serving API, and the workflow that retrains what it serves."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, description=f"Retrains and serves {settings.project.name}", **kwargs)
        self.node.set_context(LOG_DAYS, settings.stack.log_days)
        project = endpoint_name = settings.project.name

        keep = RemovalPolicy.RETAIN if settings.stack.keep_data else RemovalPolicy.DESTROY
        data = DataStore(self, "Data", removal=keep)
        topic = sns.Topic(self, "Outcomes", master_key=data.key, enforce_ssl=True)
        if settings.stack.email:
            topic.add_subscription(subscriptions.EmailSubscription(settings.stack.email))
        serving = PredictionApi(self, "Serving", settings=settings, endpoint_name=endpoint_name)
        network = None
        if settings.network.vpc:
            network = Network(self, "Network", logs=data.logs, peers=settings.training.instance_count > 1)
        jobs = Jobs(self, "Jobs", settings=settings, data=data, network=network)
        registry = model_registry(self, "ModelRegistry", project=project)
        lease = Lease(self, "ExecutionLease", project=project, data=data, endpoint_name=endpoint_name)
        live = LiveEndpoint(self, "LiveEndpoint", project=project, endpoint_name=endpoint_name)
        finish = Finish(
            self, "Finish", settings=settings, data=data, topic=topic, lease=lease, endpoint_name=endpoint_name
        )
        deploy = Deploy(
            self,
            "Deploy",
            settings=settings,
            data=data,
            jobs=jobs,
            lease=lease,
            live=live,
            finish=finish,
            predict=serving.function,
            endpoint_name=endpoint_name,
        )
        retrain = Retrain(
            self,
            "Retrain",
            settings=settings,
            data=data,
            jobs=jobs,
            registry=registry,
            lease=lease,
            live=live,
            deploy=deploy,
            finish=finish,
        )
        triggers = Triggers(
            self,
            "Triggers",
            settings=settings,
            data=data,
            machine=retrain.machine,
            lease=lease.table,
            endpoint_name=endpoint_name,
        )
        finish.watch([retrain.machine, deploy.machine], triggers.dead_letters)
        drift = Drift(
            self,
            "Drift",
            settings=settings,
            data=data,
            jobs=jobs,
            finish=finish,
            dead_letters=triggers.dead_letters,
            endpoint_name=endpoint_name,
        )
        if settings.stack.monthly_budget and RegionInfo.get(self.region).partition == "aws":
            dollars = settings.stack.monthly_budget
            Budget(self, "Budget", dollars=dollars, name=project, topic=topic, key=data.key)
        Observability(
            self,
            "Observability",
            settings=settings,
            topic=topic,
            serving=serving,
            live=live,
            retrain=retrain,
            finish=finish,
            triggers=triggers,
            drift=drift,
        )
        outputs = {
            "StateMachine": retrain.machine.state_machine_arn,
            "DeployMachine": deploy.machine.state_machine_arn,
            "DriftMachine": drift.machine.state_machine_arn,
            "Lease": lease.table.table_name,
            "DataBucket": data.bucket.bucket_name,
            "Endpoint": endpoint_name,
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
