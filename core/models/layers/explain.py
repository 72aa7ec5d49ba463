"""What a kind of layer does and what a depth of the network sees, in plain sentences.

Texts only: no torch, so that the window may show them at once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.models.layers.details import Kind

_KINDS: dict[str, str] = {
    "conv": (
        "A convolution slides small filters over the picture or over earlier maps. Each filter "
        "answers to one local pattern and gives one map of where it found it."
    ),
    "pool": (
        "Pooling sums up neighbouring places by their mean or maximum. Maps become smaller, and a "
        "small shift of the picture matters less."
    ),
    "norm": (
        "Normalisation brings numbers to a common scale, so that the layers after it train "
        "steadily. A learned factor and offset for each channel follow."
    ),
    "activation": (
        "A fixed curve applied to every number, for example “negative becomes zero”. Without "
        "it a stack of layers would be no more than one layer."
    ),
    "linear": (
        "A fully connected layer: each output is a weighted sum of all inputs. It mixes channels "
        "and looks at no neighbouring places."
    ),
    "block": (
        "A group of layers that belong together. Most networks repeat one block many times; open "
        "it to see what is inside."
    ),
    "head": (
        "The classifier: it turns the features of the backbone into one score for each class. For "
        "new classes it is made new and must be trained."
    ),
    "attention": (
        "Attention lets each place of the picture gather information from all the others, or from "
        "those in its window. How much it takes from each is worked out from the content."
    ),
    "embedding": (
        "Numbers that are learned as they stand and added to the data, such as where in the "
        "picture a patch lies or the token that gathers the answer."
    ),
    "dropout": (
        "In training it sets random numbers to zero, so that the network does not lean on a few "
        "of them. When the model is used it does nothing."
    ),
    "other": (
        "A layer that changes the form of the data or passes it on, or one of this architecture's "
        "own. Most of these have no numbers to train."
    ),
}

_DEPTHWISE = (
    "A depthwise convolution: each channel has a small filter of its own and channels are not "
    "mixed. It costs a fraction of a full convolution; a 1×1 convolution beside it does the mixing."
)
_SPECIAL: tuple[tuple[str, str], ...] = (
    # A pattern on the name of the class, and what is said in place of the kind's text.
    (r"depthwise|dwconv|convdw|conv_dw", _DEPTHWISE),
    (
        r"squeeze.?excit|^se(module|layer|block)?$|effectivese|^ese|gather.?excite",
        "Squeeze-and-excitation: each channel is summed up over the whole picture, and from the "
        "sums a factor between 0 and 1 is worked out for each channel. What matters for this "
        "picture is let through, the rest is turned down.",
    ),
    (
        r"patch.?embed|patchify",
        "Cuts the picture into patches and turns each into a vector (a token), mostly by one "
        "convolution whose stride is the patch size. From here on the network works on tokens.",
    ),
    (
        r"patch.?merg|downsample",
        "Joins neighbouring places: half as many in each direction, with more channels each.",
    ),
    (
        r"drop.?path|stochastic.?depth",
        "Stochastic depth: in training it leaves out whole blocks at random, so that a deep "
        "network trains like many shallower ones. When the model is used it does nothing.",
    ),
    (
        r"layer.?scale",
        "A learned factor for each channel, very small at first, so that a deep network starts "
        "calmly: a block begins by changing almost nothing.",
    ),
    (r"^identity$", "Passes on what it is given. It holds the place of a layer left out here."),
    (r"^flatten$", "Lays maps out as one long vector for the layers after it. Nothing is learned."),
    (
        r"pos.?embed|pos.?bias|relpos|rotary",
        "Tells the network where in the picture each token lies: attention alone would not know.",
    ),
    (
        r"^mlp$|convmlp|^ffn|feedforward|glumlp|swiglu",
        "Two fully connected layers with an activation between them, used on each place for "
        "itself. Attention moves information between places; this works on what has arrived.",
    ),
)


def explain_kind(kind: Kind, type: str = "") -> str:
    """One or two sentences on what a layer of this kind does.

    `type` is the name of its class (`Conv2d`, `SqueezeExcite`); for some there is a text of its
    own. A convolution's `LayerNode.detail` says “depthwise”: it may be given after the class.
    """
    if kind == "head":
        return _KINDS["head"]
    for pattern, text in _SPECIAL:
        if any(re.search(pattern, word, re.IGNORECASE) for word in type.split()):
            return text
    return _KINDS.get(kind, _KINDS["other"])


_DEPTHS: tuple[tuple[float, str], ...] = (
    # The upper end of a part of the network, 0 … 1, and what is said of it.
    (
        0.2,
        "Early in the network: edges, colours and their gradients. Nearly every kind of picture "
        "has these, so such layers serve almost any task as they are and are the last to train.",
    ),
    (
        0.5,
        "In the lower middle: textures, corners and simple shapes, made of the edges before. They "
        "serve about nine kinds of pictures in ten; training them pays with many images only.",
    ),
    (
        0.8,
        "In the upper middle: parts of objects, such as an eye or a wheel. They serve pictures "
        "like those of the pretraining well and others less; train them when the last layers "
        "alone are not enough.",
    ),
    (
        1.0,
        "Late in the network: whole objects and scenes as the pretraining knew them. This is the "
        "part most bound to the old task, so after the head it is the first worth training.",
    ),
)


def explain_depth(position: float, is_head: bool) -> str:
    """What layers at this depth see, and how well that transfers to other pictures.

    `position`: 0 at the first layer, 1 at the last before the head; by parameters, layers or
    groups, as the caller counts. The borders are rules of thumb, not measured.
    """
    if is_head:
        return (
            "At the end: the decision between the classes of the pretraining. Of all layers this "
            "transfers least; new classes need a new one, and it always trains."
        )
    return next((text for end, text in _DEPTHS if position <= end), _DEPTHS[-1][1])
