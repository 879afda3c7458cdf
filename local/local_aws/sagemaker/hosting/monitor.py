"""Endpoints' metrics in CloudWatch's namespace AWS/SageMaker, and the alarms on them.

ministack judges alarms when metrics are put, by all metrics of a name whatever their dimensions. Alarms of this
namespace are judged here instead: by the metrics of their own endpoint and variant, or of all its variants if the alarm
is of a Metrics Insights query, every 0.5 s while there is traffic, and all the time while a deployment bakes.
"""

import logging
import operator
import re
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

NAMESPACE = "AWS/SageMaker"
GATHER_SECONDS = 0.5
LOOK_AGAIN_SECONDS = 5.0  # at an alarm in ALARM without traffic, so that it comes back to OK
KEPT = 10_000  # of a metric, for the alarms
MAX_VALUES = 150  # of a MetricDatum, PutMetricData's API page
MAX_DATA = 1000  # of a request, the same page
UNITS = dict.fromkeys(("ModelLatency", "OverheadLatency", "ModelSetupTime"), "Microseconds")
OPERATORS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
MISSING = {"breaching": "ALARM", "notBreaching": "OK", "missing": "INSUFFICIENT_DATA"}  # TreatMissingData
QUERY = re.compile(
    r"SELECT (?P<function>[A-Z]+)\((?P<metric>\w+)\) "
    r'FROM SCHEMA\("AWS/SageMaker", EndpointName, VariantName\) '
    r"WHERE EndpointName = '(?P<endpoint>[\w-]+)'"
)
"""The Metrics Insights query of all variants of an endpoint; the service knows more."""
FUNCTIONS = {"AVG": "Average", "COUNT": "SampleCount", "MAX": "Maximum", "MIN": "Minimum", "SUM": "Sum"}
Series = tuple[str, str, str]  # metric, endpoint, variant

log = logging.getLogger(__name__)


class Monitor:
    """Metrics and alarms of endpoints; `client` is of CloudWatch."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._samples: defaultdict[Series, deque[tuple[float, float]]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._unpublished: defaultdict[Series, Counter[float]] = defaultdict(Counter)
        self._since: dict[str, float] = {}
        self._arrived = threading.Event()
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    def record(
        self,
        endpoint: str,
        variant: str,
        status: int,
        model_seconds: float,
        overhead_seconds: float,
        *,
        setup_seconds: float = 0.0,
    ) -> None:
        """Count one invocation ("Monitor SageMaker AI with CloudWatch").

        `status` is the container's HTTP status, 500 when it gave none: AWS does not document how it counts those.
        `model_seconds` is the time from the request to the container until its answer, `overhead_seconds` the rest,
        of which `setup_seconds` are the start of a serverless container, if there was one.
        """
        values = {
            "Invocations": 1.0,
            "Invocation4XXErrors": float(400 <= status < 500),
            "Invocation5XXErrors": float(status >= 500),
            "InvocationModelErrors": float(not 200 <= status < 300),
            "ModelLatency": round(model_seconds * 1e6),
            "OverheadLatency": round(overhead_seconds * 1e6),
        }
        if setup_seconds:
            values["ModelSetupTime"] = round(setup_seconds * 1e6)
        now = time.time()
        with self._lock:
            for name, value in values.items():
                self._samples[name, endpoint, variant].append((now, value))
                self._unpublished[name, endpoint, variant][value] += 1
        self._arrived.set()

    def restart(self, endpoint: str) -> None:
        """A deployment begins: what came before no longer counts for this endpoint's alarms."""
        self._since[endpoint] = time.time()

    def tripped(self, names: Iterable[str]) -> str | None:
        """Why a deployment must roll back: the first of these alarms that is in ALARM or is not there, in words."""
        wanted = list(names)
        if not wanted:
            return None
        found = self._client.describe_alarms(AlarmNames=wanted, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        alarms = {alarm["AlarmName"]: alarm for alarm in found["CompositeAlarms"]}
        alarms |= {alarm["AlarmName"]: self._judge(alarm) for alarm in found["MetricAlarms"]}
        for name in wanted:
            if name not in alarms:
                return f'The CloudWatch alarm "{name}" of AutoRollbackConfiguration does not exist.'
            if alarms[name]["StateValue"] == "ALARM":
                return f'The CloudWatch alarm "{name}" went into ALARM state. {alarms[name].get("StateReason", "")}'
        return None

    def _judge(self, alarm: dict[str, Any]) -> dict[str, Any]:
        """The alarm with its current state; a new state is set in CloudWatch, too."""
        if alarm.get("Namespace") != NAMESPACE:
            return alarm
        place = {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions", [])}
        endpoint, variant = place.pop("EndpointName", ""), place.pop("VariantName", "")
        every = [""] if alarm.get("Metrics") else []
        window = alarm["Period"] * alarm["EvaluationPeriods"]
        since = max(self._since.get(endpoint, 0.0), time.time() - window)
        with self._lock:
            values = [
                value
                for (name, of, its), samples in self._samples.items()
                if (name, of) == (alarm["MetricName"], endpoint) and not place and variant in (its, *every)
                for _, value in takewhile(lambda sample: sample[0] >= since, reversed(samples))
            ]
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic", "")
        if values:
            value, threshold = _statistic(statistic, values), alarm["Threshold"]
            breaching = OPERATORS[alarm["ComparisonOperator"]](value, threshold)
            state = "ALARM" if breaching else "OK"
            reason = f"{statistic} of {alarm['MetricName']} is {value:g}, {alarm['ComparisonOperator']} {threshold:g}"
            reason = f"{'Threshold Crossed' if breaching else 'OK'}: {reason} is {str(breaching).lower()}."
        else:
            state = MISSING.get(alarm.get("TreatMissingData", "missing"), alarm["StateValue"])
            reason = f"no datapoints in the last {window} s"
        if state == alarm["StateValue"]:
            return alarm
        self._client.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=state, StateReason=reason)
        return {**alarm, "StateValue": state, "StateReason": reason}

    def _run(self) -> None:
        alarmed = False
        while True:
            self._arrived.wait(LOOK_AGAIN_SECONDS if alarmed else None)
            self._arrived.clear()
            try:
                self._publish()
                pages = self._client.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"])
                judged = [self._judge(alarm) for page in pages for alarm in page["MetricAlarms"]]
                alarmed = any(alarm["StateValue"] == "ALARM" for alarm in judged)
            except (BotoCoreError, ClientError):  # the local AWS is ending
                log.exception("metrics")
            time.sleep(GATHER_SECONDS)

    def _publish(self) -> None:
        with self._lock:
            gathered, self._unpublished = self._unpublished, defaultdict(Counter)
        now, data = datetime.now(UTC), list[dict[str, Any]]()
        for (name, endpoint, variant), counted in gathered.items():
            pairs = list(counted.items())
            dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
            head = {"MetricName": name, "Dimensions": dimensions, "Timestamp": now, "Unit": UNITS.get(name, "None")}
            for start in range(0, len(pairs), MAX_VALUES):
                values, counts = zip(*pairs[start : start + MAX_VALUES], strict=True)
                data.append({**head, "Values": list(values), "Counts": [float(count) for count in counts]})
        for start in range(0, len(data), MAX_DATA):
            self._client.put_metric_data(Namespace=NAMESPACE, MetricData=data[start : start + MAX_DATA])


def _statistic(name: str, values: list[float]) -> float:
    """Sum, Average, Minimum, Maximum, SampleCount, or a percentile such as p99 or p99.9 (nearest rank)."""
    if name.startswith("p"):
        ordered = sorted(values)
        return ordered[min(len(ordered) - 1, int(len(ordered) * float(name[1:]) / 100))]
    table: dict[str, Callable[[list[float]], float]] = {"Sum": sum, "Minimum": min, "Maximum": max, "SampleCount": len}
    return table[name](values) if name in table else sum(values) / len(values)
