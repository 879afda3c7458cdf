"""Whether the challenger may go live, and why: the same rule as the workflow's QualityGate, in words."""

from __future__ import annotations

from typing import Any

from bootstrap import Estimate
from job_settings import GateSettings


def decide(gate: GateSettings, estimates: dict[str, Estimate], compared: dict[str, Any] | None) -> dict[str, Any]:
    """Return {"accepted", "reason"}: every bound of the gate, then "not worse than the champion by more than margin".

    The second is a non-inferiority test: the interval of the paired difference must end above minus the margin.
    """
    broken = [
        f"{name} {estimates[name].value:.4g} is below {bound:g}"
        for name, bound in gate.minimum.items()
        if estimates[name].value < bound
    ] + [
        f"{name} {estimates[name].value:.4g} is above {bound:g}"
        for name, bound in gate.maximum.items()
        if estimates[name].value > bound
    ]
    if compared is not None and compared["interval"][0] < -gate.margin:
        broken.append(
            f"{compared['metric']} {compared['challenger']:.4g} may be worse than the champion's"
            f" {compared['champion']:.4g} by more than {gate.margin:g}: the difference lies between"
            f" {compared['interval'][0]:.4g} and {compared['interval'][1]:.4g} at {gate.confidence:g}"
        )
    if broken:
        return {"accepted": False, "reason": "; ".join(broken)}
    against = f" and is not worse than the champion by {compared['metric']}" if compared else "; there is no champion"
    return {"accepted": True, "reason": f"keeps every bound of the gate{against}"}
