"""Messages of several topics that belong to the same image."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from typing import TypeVar

_T = TypeVar("_T")
WAITING = 16  # moments: half a second at 30 Hz, more than a node needs for an image


def join(
    messages: Iterable[tuple[str, Hashable, _T]], leading: str, roles: frozenset[str]
) -> Iterator[dict[str, _T]]:
    """Put together what has the same key.

    Args:
        messages: role, key and value, about in the order of time.
        leading: the role that every result has; results come in its order.
        roles: what else is waited for; a result lacks what has not come while
            :data:`WAITING` later ones came.

    Returns:
        Values by role.
    """
    pending: dict[Hashable, dict[str, _T]] = {}
    queue: deque[Hashable] = deque()
    for role, key, value in messages:
        parts = pending.setdefault(key, {})
        if role == leading and role not in parts:
            queue.append(key)
        parts.setdefault(role, value)
        while queue and (len(queue) > WAITING or roles <= pending[queue[0]].keys()):
            yield pending.pop(queue.popleft())
        _forget(pending, leading)
    for key in queue:
        yield pending[key]


def _forget(pending: dict[Hashable, dict[str, _T]], leading: str) -> None:
    """Drop the oldest that nobody leads, beyond a few."""
    idle = [key for key, parts in pending.items() if leading not in parts]
    for key in idle[:-WAITING]:
        del pending[key]
