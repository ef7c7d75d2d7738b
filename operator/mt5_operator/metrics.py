# SPDX-License-Identifier: Apache-2.0
"""What Prometheus is told. One registry per process; names and labels are an interface."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY: Final = CollectorRegistry()
PREFIX: Final = "mt5_operator"

RECONCILES: Final = Counter(
    f"{PREFIX}_reconciles", "Reconciles by result.", ["result"], registry=REGISTRY
)
RECONCILE_SECONDS: Final = Histogram(
    f"{PREFIX}_reconcile_seconds",
    "Duration of a reconcile, in seconds.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
QUEUE_DEPTH: Final = Gauge(f"{PREFIX}_queue_depth", "Keys that wait.", registry=REGISTRY)
API_REQUESTS: Final = Counter(
    f"{PREFIX}_api_requests",
    "Requests to the API server by verb, kind and answer.",
    ["verb", "kind", "code"],
    registry=REGISTRY,
)
ACCOUNTS: Final = Gauge(
    f"{PREFIX}_accounts", "Accounts by the reason of Ready.", ["reason"], registry=REGISTRY
)
WAITING: Final = Gauge(
    f"{PREFIX}_waiting_accounts",
    "Accounts without a node by platform and priority.",
    ["platform", "priority"],
    registry=REGISTRY,
)
PLACEHOLDERS: Final = Gauge(
    f"{PREFIX}_placeholders",
    "Placeholder pods by platform: wanted, and ready, which are warm places.",
    ["platform", "state"],
    registry=REGISTRY,
)
NODES_OVER_CAP: Final = Gauge(
    f"{PREFIX}_nodes_over_cap",
    "Nodes with more accounts than the cap, which holds within a namespace.",
    ["platform"],
    registry=REGISTRY,
)
HEALING_STEPS: Final = Counter(
    f"{PREFIX}_healing_steps", "Steps of the ladder by rung.", ["step"], registry=REGISTRY
)
HEALING_QUIET: Final = Gauge(
    f"{PREFIX}_healing_quiet",
    "1 while no account is healed: the leader is new, or the API server or Redis was away.",
    registry=REGISTRY,
)
HEALING_WAITING: Final = Gauge(
    f"{PREFIX}_healing_waiting",
    "Accounts whose next step waits because too many were taken in the last minute.",
    registry=REGISTRY,
)
BROKER_OUTAGES: Final = Gauge(
    f"{PREFIX}_broker_outages",
    "Broker servers that most of their accounts cannot reach.",
    registry=REGISTRY,
)
LEFTOVERS_REMOVED: Final = Counter(
    f"{PREFIX}_leftovers_removed",
    "Objects of deleted owners that Kubernetes did not remove, by kind.",
    ["kind"],
    registry=REGISTRY,
)
ROUTERS_HURRIED: Final = Counter(
    f"{PREFIX}_routers_hurried",
    "Router pods changed so that they see new ConfigMaps at once, while Redis is away.",
    registry=REGISTRY,
)
IS_LEADER: Final = Gauge(f"{PREFIX}_is_leader", "1 while this replica leads.", registry=REGISTRY)
ROUTE_WRITES: Final = Counter(
    f"{PREFIX}_route_writes",
    "Route writes by store and result.",
    ["store", "result"],
    registry=REGISTRY,
)
ROUTE_STORE_UP: Final = Gauge(
    f"{PREFIX}_route_store_up", "1 while Redis answers.", registry=REGISTRY
)
ROUTE_STORE_FOREIGN: Final = Gauge(
    f"{PREFIX}_route_store_foreign",
    "1 while Redis holds the routes of another installation, and we write none.",
    registry=REGISTRY,
)
SIDECAR_LOOKS: Final = Counter(
    f"{PREFIX}_sidecar_looks", "Looks at sidecars by result.", ["result"], registry=REGISTRY
)
MOVES_IN_PROGRESS: Final = Gauge(
    f"{PREFIX}_moves_in_progress", "Accounts on their way to the other slot.", registry=REGISTRY
)
MOVES_WAITING: Final = Gauge(
    f"{PREFIX}_moves_waiting", "Accounts whose move waits for its turn.", registry=REGISTRY
)
UPDATES_PAUSED: Final = Gauge(
    f"{PREFIX}_updates_paused",
    "Whose updates pause after failed moves: how many namespaces' (namespace); 1 for all (fleet).",
    ["scope"],
    registry=REGISTRY,
)
MOVES: Final = Counter(
    f"{PREFIX}_moves",
    "Moves that ended, by reason and outcome.",
    ["reason", "outcome"],
    registry=REGISTRY,
)
MOVE_SECONDS: Final = Histogram(
    f"{PREFIX}_move_seconds",
    "Duration of a move that was done, in seconds.",
    buckets=(5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600),
    registry=REGISTRY,
)
MOVES_REGRETTED: Final = Counter(
    f"{PREFIX}_moves_regretted",
    "Accounts that served nobody soon after a move that was done.",
    registry=REGISTRY,
)
RESIZES: Final = Counter(
    f"{PREFIX}_resizes",
    "Changes of resources in place that ended, by outcome; who is given up moves instead.",
    ["outcome"],
    registry=REGISTRY,
)
RESIZES_WAITING: Final = Gauge(
    f"{PREFIX}_resizes_waiting",
    "Accounts that wait for the answer of their node's kubelet to the first resize there.",
    registry=REGISTRY,
)
RESIZE_SILENT_NODES: Final = Gauge(
    f"{PREFIX}_resize_silent_nodes",
    "Nodes that are asked for no resize, because their kubelet let one pass without a word.",
    registry=REGISTRY,
)
TRADE_CALLS: Final = Counter(
    f"{PREFIX}_trade_calls",
    "Calls that fence, hand over or activate a slot, by result.",
    ["call", "result"],
    registry=REGISTRY,
)
BROKER_VERDICT: Final = Gauge(
    f"{PREFIX}_broker_verdict", "Brokers by verdict.", ["verdict"], registry=REGISTRY
)
SERVERS_WITHOUT_BROKER: Final = Gauge(
    f"{PREFIX}_servers_without_broker",
    "Servers for which no broker is made, because there are too many.",
    registry=REGISTRY,
)
PLATFORM_MOVES: Final = Counter(
    f"{PREFIX}_platform_moves",
    "Accounts that were moved to another platform, by the platform they moved to.",
    ["to"],
    registry=REGISTRY,
)
FRESH_STARTS: Final = Counter(
    f"{PREFIX}_fresh_starts",
    "Pods replaced to see whether a broker refuses their platform again.",
    registry=REGISTRY,
)
INVALID_KEYS: Final = Gauge(
    f"{PREFIX}_invalid_api_keys",
    "Entries of the API key table that are skipped.",
    registry=REGISTRY,
)
WATCH_STALE: Final = Gauge(
    f"{PREFIX}_watch_stale",
    "1 while a watch of this kind is proven silent.",
    ["kind"],
    registry=REGISTRY,
)
