import numpy as np

from pipeline.jobs.shared.documents import distribution


def test_values_with_few_steps_have_no_empty_bins():
    found = distribution(np.array([0.0] * 90 + [1.0] * 10))
    assert (found["count"], found["bins"]) == (100, {"edges": [0.0], "counts": [90, 10]})
