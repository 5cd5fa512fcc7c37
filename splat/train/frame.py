"""One view of a scene as a training step sees it."""

from __future__ import annotations

import torch
from torch import Tensor

from splat.cameras import Cameras
from splat.gaussians import Gaussians
from splat.ops.project import Projection, project
from splat.render import Rendering, composite, projection_settings

#: What an image is differentiated in; depths only where they are rendered.
BLENDED = ("means2d", "conics", "opacities", "colours", "depths")


class Frame:
    """A projected scene, at which a step's graph begins.

    Backward leaves its gradients here, in what was projected. The optimiser takes them on to the Gaussians themselves,
    whose gradients are thus never stored: they would need as much memory as the scene.

    Args:
        gaussians: the scene; no gradient reaches it.
        cameras: C views of one size.
        sh_degree, antialias: as for `render`.
        filters: [N] smoothing filters, as for `project`.
    """

    def __init__(
        self,
        gaussians: Gaussians,
        cameras: Cameras,
        *,
        sh_degree: int | None,
        antialias: str,
        filters: Tensor | None = None,
    ) -> None:
        self.gaussians = gaussians
        self.cameras = cameras
        self.filters = filters
        self.settings = projection_settings(gaussians, cameras, sh_degree=sh_degree, antialias=antialias)
        with torch.no_grad():
            self.projection = self._project(cameras.viewmats)
        for name in BLENDED:
            getattr(self.projection, name).requires_grad_()

    def render(
        self,
        shown: Projection | None = None,
        *,
        background: Tensor | None = None,
        depth: bool = False,
        absgrad: bool = False,
        bound: int | None = None,
    ) -> Rendering:
        """The image of the projection, or of what was made of it to be shown; see `composite` for the other
        arguments."""
        shown = self.projection if shown is None else shown
        return composite(
            shown,
            shown.colours,
            self.cameras.width,
            self.cameras.height,
            background=background,
            depth=depth,
            absgrad=absgrad,
            bound=bound,
        )

    def cotangents(self) -> Projection:
        """After backward: the gradients of the loss in the projection; zeros where there is none."""
        return Projection(*(torch.zeros_like(x) if x.grad is None else x.grad for x in self.projection))

    def viewmats_gradient(self) -> Tensor:
        """After backward, and before the Gaussians move: [C, 4, 4] the gradient of the loss in the cameras' viewmats.

        Projects anew, this time with a graph; that is a fifth of a step.
        """
        viewmats = self.cameras.viewmats.detach().requires_grad_()
        with torch.enable_grad():
            projection = self._project(viewmats)
        outputs = [(getattr(projection, name), getattr(self.projection, name).grad) for name in BLENDED]
        values, cotangents = zip(*(pair for pair in outputs if pair[1] is not None), strict=True)
        return torch.autograd.grad(values, viewmats, cotangents)[0]

    def _project(self, viewmats: Tensor) -> Projection:
        return project(
            **self.gaussians.parameters(), viewmats=viewmats, Ks=self.cameras.Ks, filters=self.filters, **self.settings
        )
