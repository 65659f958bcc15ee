"""Every service of every node, declared once, as :mod:`vipe_ros.topics` does for topics.

python -m vipe_ros.services
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """One service of one node.

    Attributes:
        node: executable that has it.
        name: relative name, ``~/`` for one below the name of the node.
        kind: type, ``package/srv/Name``.
        what: one line for a reader.
    """

    node: str
    name: str
    kind: str
    what: str


SERVICES = (
    Service(
        "action_node", "~/teach", "vipe_msgs/srv/Teach",
        "learn an action from who is in view: for some seconds, or from START to STOP",
    ),
    Service(
        "action_node", "~/forget", "vipe_msgs/srv/Forget",
        "forget an action that was taught, or one of its examples",
    ),
    Service(
        "action_node", "~/list", "vipe_msgs/srv/ListExamples",
        "what has been taught, where from, and how close a match must be",
    ),
    Service(
        "action_node", "~/follow", "vipe_msgs/srv/Follow",
        "follow a person along a taught action or a recording; progress comes on `following`",
    ),
    Service(
        "search_node", "search", "vipe_msgs/srv/Search",
        "when was a pose like this seen: that of a person in view, an embedding, or a file",
    ),
)  # fmt: skip


def table() -> str:
    """Markdown: one row per service."""
    rows = ["| node | service | type | what |", "|---|---|---|---|"]
    for service in SERVICES:
        kind = service.kind.replace("/srv/", "/")
        rows.append(f"| `{service.node}` | `{service.name}` | {kind} | {service.what} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
