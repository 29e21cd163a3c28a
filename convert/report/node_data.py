"""What int8 costs each tensor → the node data that Model Explorer lays over the graph of a .tflite.

`pip install ai-edge-model-explorer`, open the model, then "Upload data per node". Its format: the package's user guide,
"Custom node data"; a node is found by the name of the tensor that it makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..layers import LayerError

NODE_DATA = "node-data.json"
# Per cent of a tensor's range up to which it gets a colour: eight bits alone cost 0.11.
SHADES = ((0.5, "#e8f3ec"), (1.0, "#c9e0b4"), (2.0, "#f3dc8f"), (4.0, "#eeb07a"), (100.0, "#e0857a"))


def node_data(layers: Sequence[LayerError]) -> dict[str, Any]:
    """Root mean square error of every tensor, per cent of its range."""
    return {
        "results": {layer.tensor: {"value": round(100 * layer.error, 4)} for layer in layers},
        "thresholds": [{"value": value, "bgColor": colour} for value, colour in SHADES],
    }
