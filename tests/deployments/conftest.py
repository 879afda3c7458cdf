"""Two more pipelines beside the shipped one: a canary that is released without asking, and one that asks."""

from collections.abc import Iterator

import pytest
from local_aws.cloud import Cloud

from tests.conftest import Deployed, bootstrap, deploy, recorded
from tests.deployments.world import World, settings_file, subscribed


@pytest.fixture(scope="session")
def bootstrapped() -> Iterator[Cloud]:
    """A local AWS without the shipped stack: those who wait for its runs need not wait for the others'."""
    with recorded("bootstrapped") as cloud:
        bootstrap(cloud)
        yield cloud


@pytest.fixture(scope="session")
def shipped(live: Deployed) -> World:
    """The pipeline as its settings are shipped, after its first accepted run."""
    return subscribed(live)


@pytest.fixture(scope="session")
def guarded(bootstrapped: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A canary of 10 %, after its first accepted run."""
    config = settings_file(tmp_path_factory.mktemp("guarded"), "guarded", "keep = 3")
    with pytest.MonkeyPatch.context() as patched:
        made = subscribed(deploy(bootstrapped, config, patched, bootstrapped=True))
        run = made.run()
        assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
        yield made


@pytest.fixture(scope="session")
def asking(bootstrapped: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Manual approval, and data that waits for its marker; nothing has run yet."""
    release = 'approval = "manual"\napproval_hours = 1'
    config = settings_file(tmp_path_factory.mktemp("asking"), "asking", release, marker='marker = "_SUCCESS"')
    with pytest.MonkeyPatch.context() as patched:
        yield subscribed(deploy(bootstrapped, config, patched, bootstrapped=True))
