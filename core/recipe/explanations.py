"""What each key of a recipe means, for a reader who has never trained a model.

The comments of recipe.toml, the tooltips of the form and the hints of messages are these texts.
"""

from __future__ import annotations

EXPLANATIONS: dict[str, str] = {
    "model": "Id of the pretrained model to start from, as `graftwork models` lists it.",
    "strategy": (
        "What is trained. feature-extraction: a new classifier (the head) on the unchanged "
        "features of the pretrained model; partial: the last layers as well; full: all layers; "
        "scratch: all layers, from random weights."
    ),
    "max_epochs": (
        "Largest number of epochs (passes over the training images); training may end sooner. "
        "Empty: 40 for a head on cached features, 10 for fine-tuning, 30 from scratch."
    ),
    "patience": (
        "Early stopping: training ends after so many epochs in a row without a better result on "
        "the held-out check."
    ),
    "monitor": (
        "Fine-tuning: the figure on the held-out check that decides which epoch is kept and when "
        "training stops early. Ties are decided by the loss. A head on cached features goes by "
        "its loss."
    ),
    "selection_folds": (
        "The training images are cut into so many parts (folds). Parts held out from the training "
        "are the check that chooses the regularisation and the epoch; with 5 folds, a fifth of "
        "the images."
    ),
    "l2": (
        "Strength of the L2 penalty, which keeps the weights of the head small so that it does "
        "not learn the training images by heart. Empty: chosen on the held-out check."
    ),
    "processes": (
        "Processes that train together on this machine, each on its own GPU (or its share of the "
        "CPU cores). 0: one for each GPU. Several machines: torchrun."
    ),
    "seed": (
        "Start of the random numbers: the same seed gives the same splits and the same training."
    ),
    "deterministic": (
        "Use only algorithms that give the same bits each time; slower on a GPU. On the CPU, runs "
        "repeat themselves without it."
    ),
    "device": "Where to compute.",
    "precision": "Number format of the frozen backbone.",
    "embed_batch_size": (
        "Images per forward pass of the frozen backbone, when features are computed. Empty: what "
        "suits the device."
    ),
    "layer_groups": (
        "Partial fine-tuning: how many of the backbone's last layer groups train together with "
        "the head."
    ),
    "gradual": (
        "Fine-tuning: train the head alone first, then unfreeze the layer groups that train one "
        "after the other, the last first."
    ),
    "open_every": "Epochs before the next layer group is unfrozen, with gradual unfreezing.",
    "open_at": (
        "Fine-tuning: the epochs in which layer groups are unfrozen, the last group's first (4, "
        "7: the head alone for three epochs, the last group from the 4th, the one before from the "
        "7th), or group = epoch for each. Groups it does not name stay frozen. Empty: as "
        "`gradual` says."
    ),
    "dropout": (
        "Fine-tuning: share of the features set to zero at random before the head in each step, "
        "against overfitting; usual: 0.2 to 0.5. 0: off."
    ),
    "learning_rate": (
        "Fine-tuning: how far each step changes the weights: the highest learning rate of the "
        "head. Usual: 1e-5 to 1e-3; 0.1 destroys what the backbone knows."
    ),
    "layer_decay": (
        "Fine-tuning: the learning rate of each layer group is that of the next later one times "
        "this, so that early, general layers change least (0.1: a tenth, 1: all alike). From "
        "scratch all learn alike."
    ),
    "late_rate": (
        "Fine-tuning: one learning rate for the later half of the backbone's layer groups; usual: "
        "a tenth of the head's. Empty: by `layer_decay`."
    ),
    "early_rate": (
        "Fine-tuning: one learning rate for the earlier half of the backbone's layer groups; "
        "usual: a hundredth of the head's. Empty: by `layer_decay`."
    ),
    "optimizer": (
        "Fine-tuning: the algorithm that turns gradients into changes of the weights. adamw and "
        "adam suit most; sgd wants learning rates some ten times higher, lion some five times "
        "lower, lamb is for large batches."
    ),
    "momentum": "Fine-tuning: share of the last step that sgd and rmsprop add to the next one.",
    "nesterov": "Fine-tuning: sgd computes its momentum one step ahead (Nesterov).",
    "weight_decay": (
        "Fine-tuning: each step shrinks the weights by this share of the learning rate, against "
        "overfitting; biases and norm layers are left out."
    ),
    "schedule": (
        "Fine-tuning: how the learning rates fall. step: times `step_factor` every `step_epochs`; "
        "plateau: times `step_factor` when the loss on the held-out check has not improved for "
        "`step_epochs`; one-cycle: up in 30 % of the steps and down again; constant: not at all."
    ),
    "step_epochs": "Fine-tuning: epochs between two drops of the schedules step and plateau.",
    "step_factor": (
        "Fine-tuning: what the schedules step and plateau multiply the learning rates by (0.1: a "
        "tenth)."
    ),
    "warmup": (
        "Fine-tuning: share of the steps in which the learning rates rise from zero before the "
        "schedule begins; one-cycle has a rise of its own."
    ),
    "clip_norm": (
        "Fine-tuning: gradients with a larger norm are scaled down to it, so that single steps do "
        "not ruin the model; usual: 1. Empty: never."
    ),
    "ema_decay": (
        "Fine-tuning: validate and keep an exponential moving average (EMA) of the weights, which "
        "keeps up to this share of itself at each step and is steadier than the weights of a "
        "single one. 0: off."
    ),
    "batch_size": (
        "Fine-tuning: images per forward and backward pass. auto: as many as memory and dataset "
        "allow, found by a trial."
    ),
    "accumulate": (
        "Fine-tuning: the gradients of so many batches are added up before the optimizer makes "
        "one step: the effect of a larger batch in the memory of a small one."
    ),
    "loss": (
        "Fine-tuning: what training minimises. focal: images that are already answered well count "
        "less (Lin et al. 2017), for rare classes."
    ),
    "focal_gamma": (
        "Fine-tuning: how much less the focal loss counts well-answered images; 0 is the "
        "cross-entropy."
    ),
    "teacher": (
        "Fine-tuning: a model whose answers are learned from beside the labels (knowledge "
        "distillation): a model id, run:NAME, the folder of a run, or file:PATH. A run must know "
        "the same classes; other models first get a head for them. Empty: no teacher."
    ),
    "distill_temperature": (
        "Fine-tuning with a teacher: the logits of both models are divided by it before they are "
        "compared; higher shows more of how the teacher weighs the wrong classes. Usual: 2 to 8."
    ),
    "distill_weight": (
        "Fine-tuning with a teacher: weight of the teacher's answers in the loss; the labels have "
        "the rest. 0: the teacher is not used."
    ),
    "label_smoothing": (
        "Fine-tuning: share of each label that is spread over all classes, so that the model does "
        "not become overconfident; usual: 0.1."
    ),
    "class_weights": (
        "Fine-tuning: weight of an image in the loss by its class. balanced: the rarer the class, "
        "the more; or class = factor, 1 for those not named."
    ),
    "sampling": (
        "Fine-tuning: natural: each training image once an epoch; balanced: each class equally "
        "often, images of rare classes repeated with new augmentation each time."
    ),
    "augmentation": (
        "Fine-tuning: random changes to the training images, so that the model sees each one "
        "differently in every epoch. light: crops of 60 % or more, flips, slight changes of "
        "brightness and contrast; strong: crops of 8 % or more, as ImageNet models are trained. "
        "The keys below set each change by itself."
    ),
    "crop_area": (
        "Fine-tuning: smallest share of the image's area that a random crop shows. Empty: as the "
        "augmentation above."
    ),
    "flip_horizontal": (
        "Fine-tuning: probability that left and right are swapped. 0 where they differ in "
        "meaning, as in writing. Empty: as the augmentation above."
    ),
    "flip_vertical": (
        "Fine-tuning: probability that top and bottom are swapped, for images taken from above or "
        "through a microscope. Empty: as the augmentation above."
    ),
    "rotation": (
        "Fine-tuning: images are rotated by up to so many degrees to either side. Empty: as the "
        "augmentation above."
    ),
    "brightness": (
        "Fine-tuning: brightness changes by up to this share. Empty: as the augmentation above."
    ),
    "contrast": (
        "Fine-tuning: contrast changes by up to this share. Empty: as the augmentation above."
    ),
    "saturation": (
        "Fine-tuning: saturation of the colours changes by up to this share. Empty: as the "
        "augmentation above."
    ),
    "hue": (
        "Fine-tuning: hue shifts along the colour circle by up to this share of it. Empty: as the "
        "augmentation above."
    ),
    "auto_augment": (
        "Fine-tuning: further operations chosen at random for each image, out of 14. rand: "
        "RandAugment, two of the strength of `rand_magnitude`; trivial: TrivialAugment, one of "
        "any strength."
    ),
    "rand_magnitude": "Fine-tuning: strength of RandAugment's operations, 0 to 30.",
    "erasing": "Fine-tuning: probability that a rectangle of 2 to 33 % of the image is erased.",
    "mixup": (
        "Fine-tuning: alpha of mixup: images and labels of a batch are blended in pairs by shares "
        "of Beta(alpha, alpha); usual: 0.2. 0: off."
    ),
    "cutmix": (
        "Fine-tuning: alpha of CutMix: a rectangle of each image and its share of the label come "
        "from another image of the batch, sizes by Beta(alpha, alpha); usual: 1. 0: off."
    ),
    "pixel_memory_gb": (
        "Fine-tuning: most memory for decoded images, in GB. Empty: four tenths of what is free."
    ),
    "pixel_disk_gb": (
        "Fine-tuning: most disk space for decoded images that do not fit in memory, in GB, until "
        "the run ends. Empty: half of what is free in the cache folder."
    ),
    "loading": (
        "Fine-tuning: what decodes images that fit neither in memory nor on the disk. auto: "
        "processes where they prove faster than threads."
    ),
    "tasks": (
        "Further label columns of a table to train at the same time (multi-task), one head each: "
        "all, none, or their names. The label itself chooses the epoch."
    ),
    "task_weights": (
        "Fine-tuning: weight of each task in the loss, NAME = factor; the label is called label. "
        "1 for those not named. Heads on cached features are fitted one by one."
    ),
    "layer_rates": (
        "Fine-tuning: by a layer's dotted name, a factor on its learning rate. 0 keeps it frozen, "
        "more than 0 trains it whatever the strategy says; the longest name that fits a weight "
        "decides."
    ),
}
