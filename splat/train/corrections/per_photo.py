"""Numbers that each training photo has of its own, learned with it when its turn comes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splat.ops.adam import adam

#: Share of the first rate that the last one is; between them it falls exponentially.
LAST_RATE = 0.03
STATE = ("deviations", "mean", "exp_avgs", "exp_avg_sqs", "turns")


class PerPhoto:
    """A tensor for each photo, whose mean over the photos stays what all were at the start.

    The scene and what is between it and the photos could otherwise drift apart together, a scene twice as bright seen
    through photos half as bright. So what a photo's turn moves is its deviation; the mean of all deviations is
    taken off again where the tensor is asked for.

    Adam moves a photo in its own turn only, by moments of its own. Its rate follows from how far a number may go in
    all the turns of a run, so that short runs get there as well as long ones.

    Args:
        start: [...] what all are at the start.
        views: number of the scene's views, by whose index it is asked for.
        photos: number of them that are trained on.
        iterations: steps of the run.
        reach: how far a number may go in the run.
        most: how far in one turn, however few turns there are.

    Attributes:
        asked: what was asked for last and waits for `move`; None where nothing does.
    """

    def __init__(self, start: Tensor, views: int, photos: int, iterations: int, reach: float, most: float) -> None:
        self.start = start
        self.photos, self.iterations = photos, iterations
        # The mean of the rates, in the first.
        falling = (1 - LAST_RATE) / math.log(1 / LAST_RATE)
        self.first_rate = min(reach * photos / (iterations * falling), most)
        self.deviations = start.new_zeros(views, *start.shape)
        self.mean = torch.zeros_like(start)
        self.exp_avgs = torch.zeros_like(self.deviations)
        self.exp_avg_sqs = torch.zeros_like(self.deviations)
        self.turns = torch.zeros(views, dtype=torch.int64)
        self.asked: Tensor | None = None

    def ask(self, view: int) -> Tensor:
        """[...] of a view, a leaf whose gradient `move` will take."""
        self.asked = (self.start + (self.deviations[view] - self.mean)).requires_grad_()
        return self.asked

    def move(self, view: int, step: int) -> None:
        """Moves what was asked for last, which was the view's, by its gradient; without one it stays."""
        gradient = None if self.asked is None else self.asked.grad
        self.forget()
        if gradient is None:
            return
        self.turns[view] += 1
        deviation = self.deviations[view]
        before = deviation.clone()
        adam(
            [deviation],
            [gradient.contiguous()],
            [self.exp_avgs[view]],
            [self.exp_avg_sqs[view]],
            rates=[self.first_rate * LAST_RATE ** (step / self.iterations)],
            step=int(self.turns[view]),
        )
        self.mean += (deviation - before) / self.photos

    def forget(self) -> None:
        self.asked = None

    def state(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in STATE}

    def restore(self, state: dict[str, Tensor]) -> None:
        for name in STATE:
            # A copy: what moves in place must not move the state.
            setattr(self, name, state[name].to(getattr(self, name).device, copy=True))


def ordered_sum(terms: Tensor) -> Tensor:
    """[..., P] -> [...]: the sum over the last dimension in an order that no number of threads changes. Overwrites
    `terms`."""
    while (count := terms.shape[-1]) > 1:
        half = (count + 1) // 2
        terms[..., : count - half] += terms[..., half:]
        terms = terms[..., :half]
    return terms[..., 0]
