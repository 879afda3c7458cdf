"""Models, endpoint configs and endpoints: the operations on them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

from local_aws.sagemaker import images
from local_aws.sagemaker.api.errors import ResourceLimitExceeded, ValidationException
from local_aws.sagemaker.api.model_registry import Registry
from local_aws.sagemaker.api.records import ENDPOINT, ENDPOINT_CONFIG, MODEL, Kept, Record, Shelf, plain, tags_of
from local_aws.sagemaker.host import Host
from local_aws.sagemaker.hosting.endpoint import Endpoint, Route, Stage
from local_aws.sagemaker.hosting.fleet import Fleet
from local_aws.sagemaker.hosting.instance import RESOLVED
from local_aws.sagemaker.hosting.rollout import Plan, resized, retained, shift
from local_aws.sagemaker.hosting.variant import check_serverless, is_serverless

MAX_INSTANCES = 20  # of an endpoint, AWS's default quota; each container of one is a process here
MAX_CONTAINERS = 15  # of a model, CreateModel's API model
ELSEWHERE = ("ModelDataSource", "AdditionalModelDataSources", "AdditionalS3DataSource", "InferenceSpecificationName")


class Hosting:
    """Models, endpoint configs and endpoints."""

    def __init__(self, host: Host, registry: Registry, scalable_targets: dict[str, dict[str, Any]]) -> None:
        self._host = host
        self._scalable_targets = scalable_targets
        self._registry = registry
        self._models: Shelf[Record] = Shelf(MODEL, host.arn)
        self._configs: Shelf[Record] = Shelf(ENDPOINT_CONFIG, host.arn)
        self._endpoints: Shelf[Endpoint] = Shelf(ENDPOINT, host.arn)
        self.shelves: dict[str, Shelf[Any]] = {
            shelf.kind.noun: shelf for shelf in (self._models, self._configs, self._endpoints)
        }
        self.operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateModel": self._create_model,
            "DeleteModel": partial(self._delete, self._models),
            "CreateEndpointConfig": self._create_config,
            "DeleteEndpointConfig": partial(self._delete, self._configs),
            "CreateEndpoint": self._create_endpoint,
            "UpdateEndpoint": self._update_endpoint,
            "UpdateEndpointWeightsAndCapacities": self._update_weights,
            "DeleteEndpoint": self._delete_endpoint,
        }

    def recall(self, kept: dict[str, list[Kept]]) -> None:
        """Know the models, configs and endpoints that were kept; those that were being deleted are gone."""
        for shelf in (self._models, self._configs):
            shelf.recall(kept[shelf.kind.noun], partial(plain, shelf.kind))
        endpoints = [each for each in kept[ENDPOINT.noun] if each["document"]["EndpointStatus"] != "Deleting"]
        self._endpoints.recall(endpoints, self._recalled)

    def _recalled(self, arn: str, kept: Kept) -> Endpoint:
        config = {"EndpointConfigName": kept["document"]["EndpointConfigName"], **kept["config"]}
        return Endpoint(arn, kept["name"], kept["tags"], self._of_config(kept["name"], config))

    def resume(self) -> None:
        """Start the endpoints that were kept, and return once each serves or has failed."""
        if endpoints := self._endpoints.all():
            with ThreadPoolExecutor(len(endpoints)) as pool:
                for resumed in [pool.submit(endpoint.resume) for endpoint in endpoints]:
                    resumed.result()

    def close(self) -> None:
        """End every process."""
        for endpoint in self._endpoints.all():
            endpoint.kill()

    def _create_model(self, request: dict[str, Any]) -> dict[str, Any]:
        primary, several = request.get("PrimaryContainer"), request.get("Containers", [])
        if primary and several:
            raise ValidationException("Give either PrimaryContainer or Containers, not both.")
        if request.get("InferenceExecutionConfig", {}).get("Mode") == "Direct":
            raise ValidationException("InferenceExecutionConfig: Mode Direct does not run locally; use Serial.")
        containers = [each | given for given in ([primary] if primary else several) for each in self._registered(given)]
        if not 1 <= len(containers) <= MAX_CONTAINERS or not all("Image" in each for each in containers):
            raise ValidationException(
                f"A local model has 1 to {MAX_CONTAINERS} containers: each an Image and, if it wants data, a "
                "ModelDataUrl, or a ModelPackageName."
            )
        if others := sorted({name for each in containers for name in ELSEWHERE if name in each}):
            raise ValidationException(f"{', '.join(others)}: a local container's data is one archive, a ModelDataUrl.")
        if any(each.get("Mode") == "MultiModel" for each in containers):
            raise ValidationException("Mode MultiModel does not run locally; use SingleModel.")
        names = [each["ContainerHostname"] for each in containers if "ContainerHostname" in each]
        if len(containers) > 1 and names and len(set(names)) < len(containers):
            raise ValidationException("Give all containers of an inference pipeline a ContainerHostname, or none.")
        for each in containers:
            images.find(self._host.images, each["Image"], "serve")
        return self._add(self._models, {**request, RESOLVED: containers})

    def _registered(self, container: dict[str, Any]) -> list[dict[str, Any]]:
        """What a container's package says now, whatever it says or whether it is there later; one `{}` without."""
        name = container.get("ModelPackageName")
        return self._registry.containers(name) if name else [{}]

    def _create_config(self, request: dict[str, Any]) -> dict[str, Any]:
        for member in ("ShadowProductionVariants", "AsyncInferenceConfig", "ExplainerConfig"):
            if member in request:
                raise ValidationException(f"{member} does not run locally.")
        for variant in request["ProductionVariants"]:
            if "ModelName" not in variant:
                raise ValidationException(f"Variant {variant['VariantName']}: a local variant has a ModelName.")
            self._models.named(variant)
        check_serverless(request, lambda model: self._models.get(model).describe())
        instances = sum(variant.get("InitialInstanceCount", 1) for variant in request["ProductionVariants"])
        if instances > MAX_INSTANCES:
            raise ResourceLimitExceeded(
                "The account-level service limit 'Number of instances across active endpoints' is "
                f"{MAX_INSTANCES} Instances, with a request delta of {instances} Instances."
            )
        return self._add(self._configs, request)

    def _add(self, shelf: Shelf[Record], request: dict[str, Any]) -> dict[str, Any]:
        return {f"{shelf.kind.noun}Arn": shelf.create(request, partial(Record, shelf.kind)).arn}

    def _delete(self, shelf: Shelf[Record], request: dict[str, Any]) -> dict[str, Any]:
        # AWS deletes a model or a config that an endpoint uses, too; what runs goes on.
        shelf.remove(shelf.named(request).name)
        return {}

    def _create_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        fleet = self._fleet(name, request)
        endpoint = self._endpoints.add(name, lambda arn: Endpoint(arn, name, tags_of(request), fleet))
        endpoint.create()
        return {"EndpointArn": endpoint.arn}

    def _update_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._endpoints.named(request)
        deployment = request.get("DeploymentConfig")
        if deployment is None and request.get("RetainDeploymentConfig"):
            deployment = endpoint.describe().get("LastDeploymentConfig")
        fleet = self._fleet(endpoint.name, request, endpoint)
        if is_serverless(fleet.config) and not is_serverless(endpoint.live_config):
            raise ValidationException(f'Cannot update the instance-based endpoint "{endpoint.arn}" to serverless.')
        if is_serverless(fleet.config) and deployment:
            raise ValidationException("DeploymentConfig is not supported for serverless endpoints.")
        self._check_targets(endpoint, fleet.config)
        instances = min(variant.get("InitialInstanceCount", 1) for variant in fleet.config["ProductionVariants"])
        plan = Plan.of(deployment, instances)

        def bring_over(route: Route, stage: Stage, ended: Event) -> str | None:
            self._host.monitor.restart(endpoint.name)
            return shift(plan, self._host.monitor, self._host.wait_scale, ended=ended, route=route, stage=stage)

        endpoint.change(fleet, deployment, bring_over)
        return {"EndpointArn": endpoint.arn}

    def _check_targets(self, endpoint: Endpoint, config: dict[str, Any]) -> None:
        """Refuse to remove a scalable target or to change its instance type ("Update endpoints that use auto scaling").

        The guide says nothing of the first.
        """
        types = {variant["VariantName"]: variant.get("InstanceType") for variant in config["ProductionVariants"]}
        for variant in endpoint.live_config.get("ProductionVariants", []):
            target = f"endpoint/{endpoint.name}/variant/{variant['VariantName']}"
            kept = types.get(variant["VariantName"]) == variant.get("InstanceType")
            if target in self._scalable_targets and not kept:
                raise ValidationException(
                    f"An Application Auto Scaling scalable target exists for {target}: deregister it before its "
                    "variant is removed or gets another instance type."
                )

    def _update_weights(self, request: dict[str, Any]) -> dict[str, Any]:
        """What autoscaling calls; here a whole new fleet takes over, of the same config."""
        endpoint = self._endpoints.named(request)
        asked = request["DesiredWeightsAndCapacities"]
        known = {variant["VariantName"] for variant in endpoint.live_config["ProductionVariants"]}
        if unknown := [entry["VariantName"] for entry in asked if entry["VariantName"] not in known]:
            raise ValidationException(f"Could not find variant(s) {', '.join(unknown)} of {endpoint.name}")
        if is_serverless(endpoint.live_config):
            raise ValidationException("A serverless variant has no capacity that could be updated locally.")
        config = resized(endpoint.live_config, asked)
        fleet = self._of_config(endpoint.name, config)
        endpoint.change(fleet, endpoint.describe().get("LastDeploymentConfig"), lambda route, stage, ended: None)
        return {"EndpointArn": endpoint.arn}

    def _delete_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._endpoints.named(request)
        endpoint.delete(lambda: self._forget(endpoint))
        return {}

    def _forget(self, endpoint: Endpoint) -> None:
        """Its scalable targets are deregistered with it ("Delete endpoints configured for auto scaling")."""
        for target in [each for each in self._scalable_targets if each.startswith(f"endpoint/{endpoint.name}/")]:
            del self._scalable_targets[target]
        self._endpoints.remove(endpoint.name)

    def _fleet(self, endpoint: str, request: dict[str, Any], live: Endpoint | None = None) -> Fleet:
        config = self._configs.named(request).describe()
        if live is not None:
            config = retained(config, live.live_config, live.describe().get("ProductionVariants", []), request)
        return self._of_config(endpoint, config)

    def _of_config(self, endpoint: str, config: dict[str, Any]) -> Fleet:
        return Fleet(self._host, endpoint, config, lambda model: self._models.get(model).describe())
