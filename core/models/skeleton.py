"""Models as their libraries make them: real with random numbers, or without any (meta tensors).

A skeleton has every module, shape and parameter count but no storage, so that a model of a
billion parameters costs milliseconds. Nothing here loads weights or changes a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from core.errors import ModelError
from core.models.card import ModelCard

_FACTORIES = frozenset(
    getattr(torch, name) for name in ("empty", "zeros", "ones", "rand", "randn", "full")
)


class _EmptyOnMeta(TorchFunctionMode):
    """Puts the tensors that parameters are made of on meta and leaves the arithmetic on the CPU.

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


def library_module(card: ModelCard, *, meta: bool) -> nn.Module:
    """The card's model with its own number of classes and no weights, in eval mode.

    `meta`: on meta tensors, else on the CPU with random numbers.
    Raises: ModelError where the installed library does not have the model.
    """
    if not meta:
        return _create(card).eval()
    try:
        with torch.device("meta"):
            return _create(card).eval()
    except (NotImplementedError, RuntimeError, TypeError):
        # "Cannot copy out of meta tensor" and its kin: the model reads numbers while it is built.
        with _EmptyOnMeta():
            module = _create(card)
        return module.to("meta").eval()


def _create(card: ModelCard) -> nn.Module:
    if card.source == "torchvision":
        return _create_torchvision(card)
    name = card.arch if not card.tag else f"{card.arch}.{card.tag}"
    try:
        return timm.create_model(name, pretrained=False)
    except RuntimeError as error:
        if "Unknown model" in str(error) or "Invalid pretrained tag" in str(error):
            raise ModelError(
                f"The installed timm {timm.__version__} has no model {name}.",
                "Update timm, or choose another model.",
            ) from error
        raise


def _create_torchvision(card: ModelCard) -> nn.Module:
    # What torchvision itself sets when it is given weights, beside the number of classes.
    kwargs: dict[str, Any] = {}
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


def example_input(card: ModelCard, module: nn.Module, *, batch: int = 1) -> Tensor:
    """Zeros [batch, 3, height, width] on the device of `module`, at the size of the card."""
    height, width = card.input_size or _input_size(module)
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    return torch.zeros(batch, 3, height, width, device=device)


def _input_size(module: nn.Module) -> tuple[int, int]:
    config = getattr(module, "pretrained_cfg", None) or {}
    _, height, width = config.get("input_size", (3, 224, 224))
    return height, width


@contextmanager
def tracing(module: nn.Module) -> Iterator[None]:
    """A forward pass of a skeleton: eval mode, gradients recorded (the head is found by them)."""
    was_training = module.training
    module.eval()
    try:
        with torch.enable_grad():
            yield
    finally:
        module.train(was_training)


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
        return self._flops // 2

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self._flops += formula(*args, **(kwargs or {}), out_val=out)
        return out


def count_macs(card: ModelCard, module: nn.Module) -> int:
    """Multiply-adds of one image of the card's size."""
    counter = MacCounter()
    with tracing(module), counter:
        module(example_input(card, module))
    return counter.macs


def count_params(module: nn.Module) -> int:
    """All parameters, shared tensors once."""
    return sum(parameter.numel() for parameter in module.parameters())
