"""A local AWS whose model servers may take their time, as importing scikit-learn does on a busy machine."""

from collections.abc import Iterator

import pytest
from local_aws.cloud import Cloud, running

from ..aws import Aws, images


@pytest.fixture(scope="package")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("scikit")
    with running(home=folder / "home", environment={"SAGEMAKER_IMAGES": str(images(folder))}) as started:
        yield started


@pytest.fixture(scope="package")
def aws(cloud: Cloud) -> Aws:
    return Aws(cloud)
