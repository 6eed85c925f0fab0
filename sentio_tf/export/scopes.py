"""Which Keras layer an operator of the graph comes from: the converter keeps it in the names of its outputs.

A name is `predict_1/mobilevit_xxs_1/stem_conv_1/convolution`; of fused operators there are several, with a
semicolon between them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from ..errors import ModelError
from ..runtime.flatbuffer import Operator, Structure, Subgraph

# Of what the converter fused, the piece that holds the weights.
WEIGHTED = re.compile(r"/(convolution|depthwise|MatMul|Tensordot)[^/;]*(/|$)")


def names_of(graph: Subgraph, operator: Operator) -> str:
    """Names of all outputs of an operator, joined as ai-edge-quantizer joins them."""
    return "".join(f"{graph.tensors[i].name};" for i in operator.outputs)


def within(scope: str, names: Sequence[str] | None = None) -> str:
    """Regular expression for tensors of the network `scope`, of all its layers or of those that fit `names`."""
    network = rf"(^|[/;]){re.escape(scope)}(_\d+)?/"
    return network if names is None else rf"{network}({'|'.join(names)})(_\d+)?/"


def layers_of(names: str, scope: str) -> list[str]:
    """Layers of the network `scope` that an operator stands for, the one with the weights first; none outside it."""
    # Converting, Keras calls every layer once more and counts that: stem_conv becomes stem_conv_1.
    pattern = re.compile(rf"(?:^|[/;]){re.escape(scope)}(?:_\d+)?/([^/;]+?)(?:_\d+)?/")
    pieces = sorted(names.split(";"), key=lambda piece: WEIGHTED.search(piece) is None)
    found = [match.group(1) for piece in pieces if (match := pattern.search(piece))]
    return list(dict.fromkeys(found))


def layers(structure: Structure, scope: str) -> list[str]:
    """Names of the layers of the network `scope` that the graph still knows, in the order in which they run."""
    texts = [names_of(graph, op) for graph in structure.subgraphs for op in graph.operators]
    return list(dict.fromkeys(name for text in texts for name in layers_of(text, scope)))


def chosen(known: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The patterns, checked: each is a name among `known`, or a regular expression for one or more.

    Raises: ModelError for one that fits none, with the nearest name.
    """
    for pattern in patterns:
        try:
            fits = any(re.fullmatch(pattern, name) for name in known)
        except re.error as error:
            raise ModelError(f"float layer {pattern!r}: expected a name or a regular expression ({error})") from None
        if not fits:
            near = difflib.get_close_matches(pattern, known, 1, cutoff=0.3)
            hint = f"did you mean {near[0]}?" if near else f"the graph has {', '.join(known[:8])} ..."
            raise ModelError(f"expected float layers of the network, received {pattern!r}, which is none; {hint}")
    return list(patterns)


def missing(reason: str) -> list[tuple[str, str]]:
    """Operators that TFLite's builtins lack, each with its layer, from the text of the converter's error."""
    pattern = r'fused\["(\w+):", "([^"@]+)@[^"]*"\][^\n]*?\'tf\.\1\' op is neither a custom op nor a flex op'
    return list(dict.fromkeys((op, _layer_of_path(path)) for op, path in re.findall(pattern, reason)))


def _layer_of_path(path: str) -> str:
    """predict_1/mobilevit_xxs_1/stem_1/Erf -> stem; predict_1/front_end_1/Erf -> front_end."""
    parts = [re.sub(r"_\d+$", "", part) for part in path.split("/")[:-1]]
    return (parts[2:] or parts[1:] or parts or ["?"])[0]
