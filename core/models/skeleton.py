"""Models as their libraries make them: real with random numbers, or without any (meta tensors).

A skeleton has every module, shape and parameter count but no storage, so that a model of a
billion parameters costs milliseconds. Nothing here loads weights or changes a head.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from core.catalog import catalog
from core.catalog.added import FileCard
from core.catalog.card import ModelCard
from core.errors import ModelError
from core.models.weights import torch_hub

_FACTORIES = frozenset(
    getattr(torch, name) for name in ("empty", "zeros", "ones", "rand", "randn", "full")
)


_ATEN = torch.ops.aten
_INITIALISERS = frozenset(
    (
        _ATEN.uniform_.default,
        _ATEN.normal_.default,
        _ATEN.erfinv_.default,
        _ATEN.mul_.Tensor,
        _ATEN.add_.Tensor,
        _ATEN.clamp_.default,
        _ATEN.fill_.Scalar,
        _ATEN.zero_.default,
    )
)


class _EmptyOnMeta(TorchFunctionMode):
    """Creates parameters on the meta device and leaves arithmetic on the CPU.

    torchvision's RegNets compute their widths with tensors and read them back, which cannot be
    done under `torch.device("meta")`.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _FACTORIES and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


class _Untouched(TorchDispatchMode):
    """Skips initialisers on meta tensors: they take half of the time of making a ViT."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in _INITIALISERS and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def library_module(card: ModelCard, *, meta: bool) -> nn.Module:
    """Build the card's model with its own number of classes and no weights, in eval mode.

    `meta`: on meta tensors, else on the CPU with random numbers; a model of a torch.hub repository
    is on the CPU either way.
    Raises: ModelError where the installed library does not have the model.
    """
    # A repository's code is not made for meta tensors.
    if not meta or card.source == "hub":
        return _create(card).eval()
    with collecting_later():
        try:
            with torch.device("meta"), _Untouched():
                return _create(card).eval()
        except (NotImplementedError, RuntimeError, TypeError):
            # "Cannot copy out of meta tensor" and its kin: it reads numbers while it is built.
            with _EmptyOnMeta():
                module = _create(card)
            return module.to("meta").eval()


@contextmanager
def collecting_later() -> Iterator[None]:
    """Switch garbage collection off inside the block.

    Thousands of new objects make Python walk all that torch and timm hold in memory: 0.2 s,
    twice what the layer tree of a small model costs (measured). Little of it is garbage.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def base_of(card: ModelCard) -> ModelCard:
    """The catalog card whose library builds the model: for a file the card of its architecture.

    Raises: ModelError where the catalog has it no more.
    """
    return catalog.load().resolve(card.base) if isinstance(card, FileCard) else card


def _create(card: ModelCard) -> nn.Module:
    if card.source == "hub":
        return torch_hub.module_of(card, pretrained=False)
    own, card = card, base_of(card)
    other = own.num_classes != card.num_classes
    if card.source == "torchvision":
        # It has no model without a classifier: a file without one gets a new head, or none is used.
        return _create_torchvision(card, num_classes=own.num_classes if other else None)
    name = card.arch if not card.tag else f"{card.arch}.{card.tag}"
    kwargs: dict[str, Any] = {"num_classes": own.num_classes} if other else {}
    try:
        return timm.create_model(name, pretrained=False, **kwargs)
    except RuntimeError as error:
        if "Unknown model" in str(error) or "Invalid pretrained tag" in str(error):
            raise ModelError(
                f"The installed timm {timm.__version__} has no model {name}.",
                "Update timm, or choose another model.",
            ) from error
        raise


def _create_torchvision(card: ModelCard, *, num_classes: int | None = None) -> nn.Module:
    # What torchvision itself sets when it is given weights, beside the number of classes.
    kwargs: dict[str, Any] = {"num_classes": num_classes} if num_classes else {}
    if card.arch in ("googlenet", "inception_v3"):
        kwargs |= {"init_weights": False, "transform_input": True}
    if card.arch == "googlenet":
        # The published weights come without the auxiliary heads (torchvision drops them).
        kwargs["aux_logits"] = False
    if card.arch.startswith("vit_") and card.input_size:
        kwargs["image_size"] = card.input_size[0]
    try:
        module: nn.Module = torchvision.models.get_model(card.arch, weights=None, **kwargs)
    except ValueError as error:
        raise ModelError(
            f"The installed torchvision {torchvision.__version__} has no model {card.arch}.",
            "Update torchvision, or choose another model.",
        ) from error
    return module


def load(module: nn.Module, state: Mapping[str, Tensor], *, strict: bool = True) -> None:
    """Load a state dict whose names and shapes are known to fit `module`.

    MNASNet refuses a state without the number of its form, which no plain file carries.
    """
    present = OrderedDict(state)
    present._metadata = module.state_dict()._metadata  # type: ignore[attr-defined]
    module.load_state_dict(present, strict=strict)


def example_input(card: ModelCard, module: nn.Module, *, batch: int = 1) -> Tensor:
    """Zeros [batch, 3, height, width] on the device of `module`, at the size of the card."""
    height, width = card.input_size or example_size(module)
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    return torch.zeros(batch, 3, height, width, device=device)


def example_size(module: nn.Module) -> tuple[int, int]:
    """Height and width that the module's own description names, else 224 px."""
    config = getattr(module, "pretrained_cfg", None) or {}
    _, height, width = config.get("input_size", (3, 224, 224))
    return height, width


@contextmanager
def tracing(module: nn.Module) -> Iterator[None]:
    """Set eval mode and record gradients inside the block (the head is found by them)."""
    was_training = module.training
    module.eval()
    try:
        with torch.enable_grad():
            yield
    finally:
        module.train(was_training)


_SHAPE_KEEPING = frozenset(
    (_ATEN.gelu.default, _ATEN.silu.default, _ATEN.hardswish.default, _ATEN._safe_softmax.default)
)
_NORMS = frozenset(
    (
        _ATEN.native_batch_norm.default,
        _ATEN.native_layer_norm.default,
        _ATEN.native_group_norm.default,
    )
)
"""Give what they are given, in shape. torch works that out in Python, at a millisecond each: half
the time of a pass over meta tensors (measured). They have no multiply-adds to count."""


class MacCounter(TorchDispatchMode):
    """Counts multiply-adds of what runs under it, by torch's own formulas.

    torch counts two operations a multiply-add. Lighter than `FlopCounterMode`, which follows
    every module: a layer tree has its own hooks.
    """

    def __init__(self) -> None:
        super().__init__()
        self._flops = 0

    @property
    def macs(self) -> int:
        """Multiply-adds counted so far."""
        return self._flops // 2

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in _SHAPE_KEEPING and args[0].is_meta:
            return torch.empty_like(args[0])
        if func in _NORMS and args[0].is_meta:
            nothing = args[0].new_empty(0)
            return torch.empty_like(args[0]), nothing, nothing
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self._flops += formula(*args, **(kwargs or {}), out_val=out)
        return out


def count_macs(card: ModelCard, module: nn.Module) -> int:
    """Count the multiply-adds of one image of the card's size."""
    counter = MacCounter()
    with tracing(module), counter:
        module(example_input(card, module))
    return counter.macs


def count_params(module: nn.Module) -> int:
    """Count all parameters, shared tensors once."""
    return sum(parameter.numel() for parameter in module.parameters())
