"""Each kind and each depth has a plain sentence."""

from __future__ import annotations

from typing import get_args

import pytest

from core.models.layers.explain import explain_depth, explain_kind
from helpers import run_python


def test_every_kind_is_explained_in_sentences_of_its_own():
    from core.models.layers.details import Kind

    texts = [explain_kind(kind) for kind in get_args(Kind)]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert text.endswith(".")
        assert 40 < len(text) < 300


@pytest.mark.parametrize(
    ("kind", "type", "says"),
    [
        ("conv", "Conv2d depthwise", "each channel has a small filter"),
        ("conv", "Conv2d", "slides small filters"),
        ("block", "SqueezeExcite", "factor between 0 and 1"),
        ("block", "SEModule", "factor between 0 and 1"),
        ("block", "SequentialSeparable", "A group of layers"),
        ("embedding", "PatchEmbed", "Cuts the picture into patches"),
        ("dropout", "DropPath", "Stochastic depth"),
        ("dropout", "StochasticDepth", "Stochastic depth"),
        ("dropout", "Dropout", "random numbers to zero"),
        ("other", "Identity", "holds the place"),
        ("block", "Mlp", "Two fully connected layers"),
        ("head", "DropoutLinear", "one score for each class"),
    ],
)
def test_special_layers_have_a_text_of_their_own(kind, type, says):
    assert says in explain_kind(kind, type)


def test_the_depth_goes_from_edges_to_objects_and_the_head_transfers_least():
    words = [explain_depth(position, False) for position in (0.0, 0.3, 0.7, 1.0)]
    for text, seen in zip(words, ("edges", "textures", "parts", "whole objects"), strict=True):
        assert seen in text
    assert "transfers least" in explain_depth(1.0, True)
    assert explain_depth(1.3, False) == words[-1]


def test_the_words_come_without_torch():
    run_python("import sys; import core.models.layers.explain; assert 'torch' not in sys.modules")
