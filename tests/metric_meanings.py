"""The metrics of a table that METRICS of their domain leaves without a meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multigan.core.metric_info import find_metric, metric_infos


def undescribed(domain: str, rows: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The names without an entry, for the rows of an evaluation."""
    infos = metric_infos(domain)
    return {name for row in rows.values() for name in row if find_metric(infos, name) is None}
