"""Scenes whose filter a file cannot name, made for the classic one."""

from __future__ import annotations

import dataclasses

import torch

from splat.export.importance import VIEWS, Importance
from splat.export.views import Views, some
from splat.gaussians import Gaussians
from splat.ops.project import project
from splat.render import projection_settings

#: Opacities stay within these, whose logits are finite.
LEAST, MOST = 1e-6, 1 - 1e-6


@torch.no_grad()
def for_classic(gaussians: Gaussians, importance: Importance, views: Views) -> Gaussians:
    """The scene as the classic filter shows it most alike.

    That filter widens every Gaussian by the same variance as a compensating one, or by more, but leaves its opacity, so
    thin ones get too bright from afar. Here each opacity is lowered as compensation would on average, by how much of
    the Gaussian each view shows.

    Args:
        gaussians: meant for a filter that compensates.
        importance: of these Gaussians, from these views.
    """
    total, shown = (torch.zeros(len(gaussians), device=gaussians.device) for _ in range(2))
    for seen, view in zip(importance.seen, some(views.trained, VIEWS), strict=True):
        camera = view.camera.to(gaussians.device)
        settings = projection_settings(gaussians, camera, sh_degree=0, antialias="antialiased")
        settings["sh_degree"] = -1
        projection = project(**gaussians.parameters(), viewmats=camera.viewmats, Ks=camera.Ks, **settings)
        weight = torch.where(projection.extents[0, :, 0] > 0, seen.float(), 0.0)
        total += weight * projection.opacities[0] / gaussians.opacities.clamp(min=LEAST)
        shown += weight
    factor = torch.where(shown > 0, total / shown.clamp(min=1e-20), 1.0)
    opacities = (gaussians.opacities * factor).clamp(LEAST, MOST)
    return dataclasses.replace(gaussians, opacity_logits=opacities.logit(), antialias="classic")
