"""The local AWS that the tests of this folder share, with one further image: `stub`."""

from collections.abc import Iterator

import pytest
from local_aws.cloud import Cloud, running

from .aws import Aws, images


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests that share a local AWS: one xdist worker runs all of a module, on its local AWS."""
    if "cloud" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.cloud)
        if item.config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group(f"local-{item.path.parent.name}-{item.path.stem}"))


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A local AWS whose model servers get 15 s to start, on a busy machine too, and whose jobs get 1 s to stop."""
    folder = tmp_path_factory.mktemp("cloud")
    waits = {"SAGEMAKER_STARTUP_SECONDS": "15", "SAGEMAKER_GRACE_SECONDS": "1", "SFN_WAIT_SCALE": "0.1"}
    waits["SAGEMAKER_SERVERLESS_IDLE_SECONDS"] = "3"
    with running(home=folder / "home", environment={"SAGEMAKER_IMAGES": str(images(folder)), **waits}) as started:
        yield started


@pytest.fixture(scope="session")
def aws(cloud: Cloud) -> Aws:
    return Aws(cloud)
