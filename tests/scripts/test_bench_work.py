"""The work that the CPU benchmark divides by: operations counted on the formulas, pairs counted on a view."""

from __future__ import annotations

import os
import shutil

import pytest
from bench_peers import _pairs
from bench_scenes import sample_points, with_target
from bench_work import operations, workload

needs_compiler = pytest.mark.skipif(shutil.which(os.environ.get("CXX", "c++")) is None, reason="needs a C++ compiler")


@needs_compiler
def test_adams_formula_has_the_thirteen_operations_that_it_is_written_with():
    # m: a product and a fused one; v: two and a fused one; root, fused, quotient, product, difference.
    assert operations()["adam"] == 1 + 2 + 2 + 2 + 1 + 2 + 1 + 1 + 1


@needs_compiler
def test_backward_visits_every_pair_that_contributes_and_no_more_than_the_lists_hold():
    points = sample_points()
    scene = with_target("sample", points.gaussians(2000), points.camera(96, 64))
    gaussian_ids, _ = _pairs(scene)
    found = workload(scene)
    assert len(gaussian_ids) <= found.pairs <= len(scene.gaussians) * 96 * 64
    # A block is at most sixteen pixels, one of which contributes.
    assert found.pairs <= 16 * len(gaussian_ids)


@needs_compiler
def test_a_step_is_the_sum_of_its_stages():
    points = sample_points()
    stages = workload(with_target("sample", points.gaussians(500), points.camera(64, 48))).stages
    parts = ["project", "tiles", "blend", "loss", "blend backward", "project backward into adam"]
    assert stages["step"].bytes == sum(stages[part].bytes for part in parts)
    assert stages["step"].operations == sum(stages[part].operations or 0 for part in parts) > 0
