"""The fused Adam step: parity with the reference and torch's optimiser, opcheck, laws, edges."""

from __future__ import annotations

import pytest
import torch
from backends import rand, randn
from torch import Tensor

from splat.ops.adam import adam
from splat.reference.adam import adam as reference_adam

#: One step in float32 against float64: a few roundings, the largest in the quotient.
TOLERANCE = 2e-6
SHAPES = [(1000, 3), (1000, 4), (1000,), (1000, 16, 3), (7,), (0, 3), (1,), (33333,)]
RATES = [0.1, 0.2, 0.3, [0.5] * 3 + [0.02] * 45, 0.01, 0.1, 0.7, 0.1]


def state(seed: int = 0) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    """Parameters, gradients as tiny as a mean over pixels makes them, and moments of the same scale."""
    generator = torch.Generator().manual_seed(seed)
    params = [randn(*shape, generator=generator) for shape in SHAPES]
    grads = [1e-6 * randn(*shape, generator=generator) for shape in SHAPES]
    exp_avgs = [1e-6 * randn(*shape, generator=generator) for shape in SHAPES]
    exp_avg_sqs = [1e-12 * rand(*shape, generator=generator) for shape in SHAPES]
    return params, grads, exp_avgs, exp_avg_sqs


def as_tensor(rate: float | list[float], param: Tensor) -> float | Tensor:
    if isinstance(rate, float):
        return rate
    return torch.tensor(rate, dtype=torch.float64).reshape(param.shape[1:])


# Parity


@pytest.mark.parametrize("step", [1, 2, 1000, 30000])
def test_one_step_agrees_with_the_reference_in_float64(step):
    tensors = state()
    expected = [
        reference_adam(p.double(), g.double(), m.double(), v.double(), rate=as_tensor(rate, p), step=step)
        for p, g, m, v, rate in zip(*tensors, RATES, strict=True)
    ]
    params, grads, exp_avgs, exp_avg_sqs = tensors
    adam(params, grads, exp_avgs, exp_avg_sqs, rates=RATES, step=step)
    for index, (param, exp_avg, exp_avg_sq) in enumerate(expected):
        assert (params[index] - param).abs().max().item() <= 4 * TOLERANCE if param.numel() else True
        torch.testing.assert_close(exp_avgs[index].double(), exp_avg, rtol=TOLERANCE, atol=1e-12)
        torch.testing.assert_close(exp_avg_sqs[index].double(), exp_avg_sq, rtol=TOLERANCE, atol=1e-18)


@pytest.mark.slow
def test_fifty_steps_agree_with_torch():
    rates = [1e-2, 1e-3]
    generator = torch.Generator().manual_seed(0)
    params = [randn(100, 3, generator=generator), randn(77, generator=generator)]
    theirs = [param.double().requires_grad_() for param in params]
    optimizer = torch.optim.Adam(
        [{"params": [param], "lr": rate} for param, rate in zip(theirs, rates, strict=True)], eps=1e-15
    )
    exp_avgs, exp_avg_sqs = [torch.zeros_like(p) for p in params], [torch.zeros_like(p) for p in params]
    for step in range(1, 51):
        grads = [1e-5 * randn(*param.shape, generator=generator) for param in params]
        for param, grad in zip(theirs, grads, strict=True):
            param.grad = grad.double()
        optimizer.step()
        adam(params, grads, exp_avgs, exp_avg_sqs, rates=rates, step=step)
    for param, their in zip(params, theirs, strict=True):
        torch.testing.assert_close(param.double(), their.detach(), rtol=1e-5, atol=1e-6)


def test_other_constants():
    (param, *_), (grad, *_), (exp_avg, *_), (exp_avg_sq, *_) = state()
    constants = {"step": 3, "beta1": 0.5, "beta2": 0.75, "eps": 1e-3}
    expected = reference_adam(
        param.double(), grad.double(), exp_avg.double(), exp_avg_sq.double(), rate=0.3, **constants
    )
    adam([param], [grad], [exp_avg], [exp_avg_sq], rates=[0.3], **constants)
    torch.testing.assert_close(param.double(), expected[0], rtol=TOLERANCE, atol=TOLERANCE)


# opcheck


@pytest.mark.slow
def test_opcheck():
    params, grads, exp_avgs, exp_avg_sqs = state()
    rates, periods = [0.1, 0.2, 0.3], [1, 2]
    tensors = [t[:2] for t in (params, grads, exp_avgs, exp_avg_sqs)]
    torch.library.opcheck(torch.ops.splat.adam.default, (*tensors, rates, periods, 1, 0.9, 0.999, 1e-15))


# Laws


def test_the_same_bits_for_any_number_of_threads_and_any_grouping():
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            params, grads, exp_avgs, exp_avg_sqs = state()
            adam(params, grads, exp_avgs, exp_avg_sqs, rates=RATES, step=3)
            results.append([*params, *exp_avgs, *exp_avg_sqs])
    finally:
        torch.set_num_threads(threads)
    params, grads, exp_avgs, exp_avg_sqs = state()
    for p, g, m, v, rate in zip(params, grads, exp_avgs, exp_avg_sqs, RATES, strict=True):
        adam([p], [g], [m], [v], rates=[rate], step=3)
    results.append([*params, *exp_avgs, *exp_avg_sqs])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_an_element_does_not_depend_on_its_place():
    """Vectors and the rest that fills none take the same steps."""
    values = torch.full((4, 37), 0.25)
    param, grad, exp_avg, exp_avg_sq = values.clone(), 1e-6 * values, 1e-6 * values, 1e-12 * values
    adam([param], [grad], [exp_avg], [exp_avg_sq], rates=[0.1], step=2)
    for result in (param, exp_avg, exp_avg_sq):
        assert (result == result[0, 0]).all()


def test_rates_repeat_along_the_elements():
    params = [torch.zeros(5, 3), torch.zeros(5, 3)]
    grads = [torch.ones(5, 3), torch.ones(5, 3)]
    moments = [[torch.zeros(5, 3) for _ in range(2)] for _ in range(2)]
    adam(params, grads, *moments, rates=[[0.1, 0.2, 0.0], 0.1], step=1)
    # The first step of Adam is the rate itself, against the gradient's sign.
    torch.testing.assert_close(params[0], -torch.tensor([0.1, 0.2, 0.0]).expand(5, 3))
    torch.testing.assert_close(params[1], torch.full((5, 3), -0.1))


def test_moments_without_gradient_reach_zero_and_never_become_denormal():
    param, exp_avg, exp_avg_sq = torch.zeros(16), torch.full((16,), 1e-29), torch.full((16,), 1e-35)
    tiny = torch.finfo(torch.float32).tiny
    for step in range(1, 100):
        adam([param], [torch.zeros(16)], [exp_avg], [exp_avg_sq], rates=[0.1], step=step, beta2=0.9)
        for moment in (exp_avg, exp_avg_sq):
            assert ((moment == 0) | (moment >= tiny)).all()
    assert (exp_avg == 0).all() and (exp_avg_sq == 0).all()


def test_autograd_notices_the_change():
    param = torch.ones(3, requires_grad=True)
    loss = (param * param).sum()
    adam([param], [torch.ones(3)], [torch.zeros(3)], [torch.zeros(3)], rates=[0.1], step=1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


# Edges


def test_a_gradient_that_is_not_contiguous():
    grad = torch.randn(3, 50)
    results = []
    for given in (grad.T, grad.T.contiguous()):
        param, exp_avg, exp_avg_sq = torch.zeros(50, 3), torch.zeros(50, 3), torch.zeros(50, 3)
        adam([param], [given], [exp_avg], [exp_avg_sq], rates=[0.1], step=1)
        results.append((param, exp_avg, exp_avg_sq))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_mistakes_are_named():
    def run(param=None, grad=None, moment=None, **options) -> None:
        param = torch.zeros(4, 3) if param is None else param
        grad = torch.zeros(4, 3) if grad is None else grad
        moment = torch.zeros(4, 3) if moment is None else moment
        adam([param], [grad], [moment], [torch.zeros(4, 3)], **{"rates": [0.1], "step": 1, **options})

    run()
    with pytest.raises(ValueError, match=r"grads\[0\] must be \[4, 3\], got \[4\]"):
        run(grad=torch.zeros(4))
    with pytest.raises(TypeError, match=r"params\[0\] must be torch.float32"):
        run(param=torch.zeros(4, 3, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="exp_avgs must be contiguous"):
        run(moment=torch.zeros(3, 4).T)
    with pytest.raises(ValueError, match="step must be > 0"):
        run(step=0)
    with pytest.raises(ValueError, match="rates must hold one entry for each of the 1 params, got 2"):
        run(rates=[0.1, 0.1])
    with pytest.raises(ValueError, match=r"rates\[0\] must divide the 12 elements of its tensor, got 5"):
        run(rates=[[0.1] * 5])
