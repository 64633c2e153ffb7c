"""How learning proceeds: the rate and the weight of the auxiliary loss over the course of a run."""

import math

#: Steps until the full rate; AdamW's first estimates of variance are poor.
WARM_UP_STEPS = 400
#: A short run warms up within this share of its time instead.
WARM_UP_SHARE = 0.1


def learning_rate(peak: float, step: int, progress: float) -> float:
    """Linear warm-up to `peak`, then half a cosine down to nothing.

    Args:
        peak: the highest rate.
        step: steps made so far.
        progress: share of the run's time that has gone, 0 to 1.
    """
    warmth = min(1.0, max((step + 1) / WARM_UP_STEPS, progress / WARM_UP_SHARE))
    return peak * warmth * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def ctc_weight(progress: float) -> float:
    """Weight of the CTC loss beside the cross-entropy.

    High at first: until the encoder tells words apart there is nothing for the decoder's attention to
    align to. Lower later, when the decoder's own text is what counts.
    """
    return 0.5 if progress < 0.5 else 0.2
