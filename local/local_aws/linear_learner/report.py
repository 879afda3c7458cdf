"""The log lines of a training job, as the container prints them: SageMaker reads its metrics from them."""

import json
import time
from collections.abc import Iterable, Mapping

from local_aws.linear_learner.common import Doubles
from local_aws.linear_learner.measures import Metric


class Report:
    """Prints to standard output; `host` is this instance's name, `algo-1`."""

    def __init__(self, host: str) -> None:
        self._host = host

    def info(self, text: str) -> None:
        """One line with time, level and thread."""
        self._print([text])

    def epoch(self, number: int, losses: Mapping[str, Doubles], name: str, started: float, done: int) -> None:
        """The losses of all models by channel, model 0's once more as quality metric, and the progress in percent."""
        span = {"StartTime": started, "EndTime": time.time()}
        dimensions = {"Algorithm": "Linear Learner", "Host": self._host, "Operation": "training", "epoch": number}
        lines = []
        for channel, values in losses.items():
            for model, value in enumerate(values.tolist()):
                metrics = {f"{channel}_{name}": {"count": 1, "max": value, "sum": value, "min": value}}
                content = {"Metrics": metrics, **span, "Dimensions": {**dimensions, "model": model}}
                lines.append("#metrics " + json.dumps(content))
        print("\n".join(lines))
        self.quality(number, losses, name)
        self._print([f"#progress_metric: host={self._host}, completed {done} % of epochs"])

    def quality(self, epoch: int, losses: Mapping[str, Doubles], name: str) -> None:
        """Model 0's loss by channel, as quality metric of an epoch."""
        quality = f"#quality_metric: host={self._host}, epoch={epoch}"
        self._print([f"{quality}, {channel} {name} <loss>={values[0]:.12g}" for channel, values in losses.items()])

    def criterion(self, epoch: int, name: str, value: float, improved: bool) -> None:
        """The criterion of early stopping, and whether it improved."""
        line = f"#early_stopping_criteria_metric: host={self._host}, epoch={epoch}, criteria={name}, value={value:.12g}"
        self._print([line, *([f"Epoch {epoch}: Loss improved. Updating best model"] if improved else [])])

    def throughput(self, rows_per_second: float) -> None:
        """Rows of the train channel a second, over all epochs."""
        self._print([f"#throughput_metric: host={self._host}, train throughput={rows_per_second:.12g} records/second"])

    def final(self, channel: str, metrics: Iterable[Metric]) -> None:
        """The chosen model's metrics on a channel."""
        metrics = list(metrics)
        self._print([f"#{channel}_score ({self._host}) : ('{metric.name}', {metric.value})" for metric in metrics])
        lines = [f"{channel} {metric.name} <{metric.kind}>={metric.value:.12g}" for metric in metrics]
        self._print([f"#quality_metric: host={self._host}, {line}" for line in lines])

    def _print(self, lines: list[str]) -> None:
        stamp = time.strftime("%m/%d/%Y %H:%M:%S")
        print("\n".join(f"[{stamp} INFO 139974215026496] {line}" for line in lines), flush=True)
