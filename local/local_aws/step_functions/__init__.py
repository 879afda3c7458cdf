"""Step Functions: moto's interpreter of the Amazon States Language behind ministack's API."""

import sys
from types import ModuleType, SimpleNamespace

# moto's task of AWS Batch, which does not run here, would load all of EC2: two seconds of every start.
_batch = ModuleType("moto.batch.utils")
_batch.JobStatus = SimpleNamespace(SUCCEEDED="SUCCEEDED", FAILED="FAILED")  # type: ignore[attr-defined]
sys.modules.setdefault("moto.batch.utils", _batch)
