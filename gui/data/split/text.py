"""How a dataset is split, in words. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui.kit.words import count

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.data.splits import SplitPlan


def describe_split(dataset: DatasetIndex, plan: SplitPlan | None = None) -> str:
    """Who made the split and how large its parts are, in one line."""
    splits = dataset.split_counts()
    sizes = " / ".join(f"{images:,} {split}" for split, images in splits.items())
    if not splits:
        return "Split: none yet, no picture has a label."
    if plan is not None:
        return f"Split: drawn as you asked, {plan.in_words}: {sizes}."
    if dataset.split_origin == "folders":
        return f"Split: your own: {sizes}."
    return (
        f"Split: a fifth (or one per class) drawn by Graftwork: {sizes}, stratified, "
        "grouped by copies, seed 0."
    )


def describe_parts(dataset: DatasetIndex, plan: SplitPlan | None = None) -> str:
    """What each part is for: what learns, what chooses, what judges."""
    splits = dataset.split_counts()
    if not splits:
        return "No picture has a label yet, so none stands in a part. Label some: keys 1 to 9."
    if plan is not None:
        origin = f"You had the parts drawn: {plan.in_words}; stratified, copies kept together."
    elif dataset.split_origin == "folders":
        origin = "The parts are your own, as your folders or your table have them."
    else:
        origin = (
            "The folder has no val of its own: a fifth of each class (or one image) was drawn "
            "for it, copies kept together, the same ones every time (seed 0)."
        )
    if dataset.groups is not None:
        origin += " Images of one group stand on one side."
    parts = [
        origin,
        f"The model learns from train ({count(splits.get('train', 0), 'image')}). What has to be "
        "chosen on the way (penalty, epoch, temperature) is chosen on images held out of train, "
        "the held-out check.",
        f"The accuracy shown at the end is that of val ({count(splits.get('val', 0), 'image')}), "
        "which chose nothing.",
    ]
    if splits.get("test"):
        parts.append(
            f"Test ({count(splits['test'], 'image')}) is not touched until you ask: "
            "`graftwork evaluate --split test`."
        )
    return " ".join(parts)
