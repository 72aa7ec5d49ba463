"""Scales gray pictures of more than 8 bits to 0…255 without clipping.

Pillow's own conversion clips: 16-bit pictures become white, pictures of 0…1 black.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262
_WHITE_IS_ZERO = 0
_BLOCK_ROWS = 64


def deep_gray(image: Image.Image) -> Image.Image:
    """Convert a loaded picture of Pillow's modes I;16…, I or F to RGB; `image` is not changed."""
    values = np.asarray(image)
    tags: Any = getattr(image, "tag_v2", {})
    if image.mode == "F":
        return _stretched(values)
    if image.mode == "I":
        if values.min() < 0 or values.max() > 0xFFFF:
            return _stretched(values)
        values = values.astype(np.uint16)
    stated = tags.get(_BITS_PER_SAMPLE, (16,))
    bits = stated[0] if isinstance(stated, tuple) else 16
    return _scaled(values, bits=bits, is_inverted=tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def _scaled(values: npt.NDArray[Any], *, bits: int, is_inverted: bool) -> Image.Image:
    """Scale unsigned values of up to 16 bits by their depth: `bits`, if that is 9 to 15.

    Cameras, scanners and X-ray detectors store 12 or 14 bits in 16; divided by 257 those would be
    nearly black (a 12-bit picture would use 16 of 256 levels). So the depth is the smallest of
    12, 14, 16 that holds the brightest pixel. The cost: a really dark 16-bit picture is brightened,
    by a factor of at most 16. The range of the single picture is not stretched: brightness keeps
    the same meaning for all pictures of one camera.
    """
    brightest = int(values.max())
    if not 8 < bits < 16:
        bits = next(depth for depth in (12, 14, 16) if brightest < 1 << depth)
    white = max((1 << bits) - 1, brightest)
    shade = np.rint(np.arange(white + 1) * (255.0 / white)).astype(np.uint8)
    if is_inverted:
        shade = 255 - shade
    return Image.fromarray(shade[values]).convert("RGB")


def _stretched(values: npt.NDArray[Any]) -> Image.Image:
    """Scale values without a known white: 0…1 by 255, any other range from minimum to maximum.

    NaN and infinities (no-data pixels of elevation models) become black, and so does a picture of
    one single value outside 0…1. Works block by block, because the pictures may be large.
    """
    shades = np.zeros(values.shape, dtype=np.uint8)
    blocks = [slice(row, row + _BLOCK_ROWS) for row in range(0, len(values), _BLOCK_ROWS)]
    least, most = np.inf, -np.inf
    for block in blocks:
        finite = values[block][np.isfinite(values[block])]
        if finite.size:
            least, most = min(least, float(finite.min())), max(most, float(finite.max()))
    if least >= 0.0 and most <= 1.0:
        least, most = 0.0, 1.0
    if most > least:
        for block in blocks:
            part = values[block].astype(np.float64)
            # float64, because `most - least` may overflow in float32.
            share = np.where(np.isfinite(part), (part - least) / (most - least), 0.0)
            shades[block] = np.rint(share * 255.0).astype(np.uint8)
    return Image.fromarray(shades).convert("RGB")
