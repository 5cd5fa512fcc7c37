"""What copies of a Gaussian share: parity with the double sum as published, opcheck, laws, edges."""

from __future__ import annotations

import pytest
import torch

from splat.ops.share import share
from splat.reference.share import share as reference_share
from splat.train.density.mcmc import MOST_COPIES

#: The sum is float64's; what remains is that the results are float32.
TOLERANCE = 2**-23


# Parity


@pytest.mark.parametrize("copies", [1, 2, 3, 7, MOST_COPIES])
def test_the_single_sum_is_the_double_one(copies: int) -> None:
    opacities = torch.tensor([1e-6, 0.005, 0.1, 0.5, 0.9, 0.99, 0.9999])
    counts = torch.full((7,), copies)
    expected = reference_share(opacities.double(), counts)
    for found, truth in zip(share(opacities, counts), expected, strict=True):
        torch.testing.assert_close(found.double(), truth, rtol=TOLERANCE, atol=0)


@pytest.mark.parametrize(
    ("opacity", "copies", "expected", "shrink"),
    [
        (0.5, 2, 0.29289322, 0.95215195),
        (0.9, 2, 0.68377223, 0.86793785),
        (0.9, 3, 0.53584112, 0.82776488),
        (0.99, 5, 0.60189283, 0.70017659),
        (0.1, 4, 0.02599625, 0.98855100),
        (0.7, 1, 0.7, 1.0),
    ],
)
def test_shares_worked_out_by_hand(opacity: float, copies: int, expected: float, shrink: float) -> None:
    opacities, factors = share(torch.tensor([opacity]), torch.tensor([copies]))
    assert opacities.item() == pytest.approx(expected, abs=1e-7)
    assert factors.item() == pytest.approx(shrink, abs=1e-7)


# opcheck


@pytest.mark.slow
def test_opcheck() -> None:
    torch.library.opcheck(torch.ops.splat.share.default, (torch.tensor([0.5, 0.9]), torch.tensor([2, 3])))


# Laws


def test_copies_are_as_opaque_together_and_smaller_the_more_they_are() -> None:
    counts = torch.arange(1, MOST_COPIES + 1)
    opacities, shrinks = share(torch.full((MOST_COPIES,), 0.95), counts)
    torch.testing.assert_close(
        1 - (1 - opacities.double()) ** counts, torch.full((50,), 0.95).double(), rtol=0, atol=1e-6
    )
    assert shrinks[0] == 1 and (shrinks.diff() < 0).all()


# Edges


def test_even_what_is_fully_opaque_has_a_share() -> None:
    opacities, shrinks = share(torch.ones(2), torch.tensor([2, MOST_COPIES]))
    assert (0 < opacities).all() and (opacities < 1).all() and (0 < shrinks).all() and (shrinks < 1).all()


def test_none_and_mistakes() -> None:
    assert [len(x) for x in share(torch.empty(0), torch.empty(0, dtype=torch.int64))] == [0, 0]
    with pytest.raises(ValueError, match=r"copies must be \[M\] with M = 2, got \[3\]"):
        share(torch.ones(2), torch.ones(3, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"copies must be torch.int64, got torch.float32"):
        share(torch.ones(2), torch.ones(2))
    with pytest.raises(TypeError, match=r"opacities must be torch.float32"):
        share(torch.ones(2).double(), torch.ones(2, dtype=torch.int64))
