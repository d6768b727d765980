"""Champions: the release in service, its predecessors, and what happened."""

from infra.champions.records import Champion, Event, Metrics, RegistryState
from infra.champions.registry import Registry

__all__ = ["Champion", "Event", "Metrics", "Registry", "RegistryState"]
