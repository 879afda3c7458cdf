"""The prediction API: the invoke Lambda, and the REST API in front of it."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk import assembly, gateway, openapi, permissions
from cdk.functions import function, log_group
from cdk.predict_bundle import write_bundle
from pipeline.config import Settings


class Serving(Construct):
    """`POST` on the configured path, authorised by IAM, throttled and logged."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, endpoint_name: str) -> None:
        super().__init__(scope, construct_id)
        bundle = write_bundle(settings, assembly.folder(self) / "predict")
        self.function = function(
            self,
            "Predict",
            code=lambda_.Code.from_asset(str(bundle)),
            handler="predict.handler.handle",
            environment={"ENDPOINT_NAME": endpoint_name},
            # API Gateway gives up after 29 s (API Gateway quotas, integration timeout).
            timeout=Duration.seconds(29),
            allowed=permissions.predict(Stack.of(self), settings.project.name, endpoint_name),
        )
        self.api = self._api(settings)

    def _api(self, settings: Settings) -> apigateway.SpecRestApi:
        """The API, deployed from the same OpenAPI document that it serves."""
        stack = Stack.of(self)
        functions = f"arn:{stack.partition}:apigateway:{stack.region}:lambda:path/2015-03-31/functions"
        definition = gateway.deployable(
            openapi.document(settings),
            integration_uri=f"{functions}/{self.function.function_arn}/invocations",
            auth=settings.api.auth,
        )
        access = apigateway.AccessLogFormat.json_with_standard_fields
        api = apigateway.SpecRestApi(
            self,
            "Api",
            api_definition=apigateway.ApiDefinition.from_inline(definition),
            rest_api_name=settings.project.name,
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            cloud_watch_role=False,
            deploy_options=apigateway.StageOptions(
                stage_name="v1",
                throttling_rate_limit=settings.api.rate_per_second,
                throttling_burst_limit=settings.api.burst,
                access_log_destination=apigateway.LogGroupLogDestination(log_group(self, "AccessLog")),
                access_log_format=access(caller=False, http_method=True, ip=True, protocol=True, request_time=True,
                                         resource_path=True, response_length=True, status=True, user=False),
                tracing_enabled=True,
            ),
        )  # fmt: skip
        self.function.add_permission(
            "Api",
            principal=iam.ServicePrincipal("apigateway.amazonaws.com"),
            source_arn=api.arn_for_execute_api(),
        )
        return api
