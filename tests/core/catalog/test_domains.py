"""Backbones for domains other than photographs."""

from __future__ import annotations

import pytest

from core.catalog.domains import DomainBackbone, domain_backbones, domain_names, examples
from core.errors import ModelError
from core.models.resolve import resolve_model
from helpers import run_python


@pytest.mark.parametrize("backbone", domain_backbones(), ids=lambda backbone: backbone.id)
def test_a_backbone_has_a_licence_a_source_and_an_id_that_resolves(backbone: DomainBackbone):
    card = resolve_model(backbone.id)
    assert card.id == backbone.id
    assert backbone.license
    assert backbone.source == f"https://huggingface.co/{card.weights.removeprefix('hf-hub:')}"
    assert backbone.pretraining
    assert backbone.why.endswith(".")
    if card.source == "timm":
        assert (card.license, card.input_size) == (backbone.license, backbone.input_size)


def test_a_licence_that_forbids_commerce_says_so():
    for backbone in domain_backbones():
        forbids = "-nc" in backbone.license or "non-commercial" in backbone.license
        assert backbone.is_non_commercial == forbids


def test_a_domain_narrows_the_list_and_an_unknown_one_names_those_there_are():
    assert {"medical", "aerial", "microscopy", "biology"} <= set(domain_names())
    assert all("medical" in backbone.domains for backbone in domain_backbones("Medical"))
    with pytest.raises(ModelError, match="astronomy") as caught:
        domain_backbones("astronomy")
    assert "medical" in caught.value.hint


def test_the_examples_name_a_model_and_its_licence_for_each_general_domain():
    said = examples()
    assert "hf-hub:Snarcy/RadioDino-s16 (cc-by-4.0)" in said
    assert "aerial" in said


def test_the_list_is_read_without_torch():
    run_python(
        "import sys; from core.catalog.domains import domain_backbones; domain_backbones(); "
        "assert not {'torch', 'timm'} & set(sys.modules)"
    )


def test_advice_for_a_far_domain_names_weights_made_for_one():
    from core.advice.advise import _on_domain_weights

    (said,) = _on_domain_weights("different")
    assert "hf-hub:Snarcy/RadioDino-s16 (cc-by-4.0)" in said
    assert _on_domain_weights("similar") == _on_domain_weights("somewhat") == ()
