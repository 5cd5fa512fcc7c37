"""What a training run is told: frozen dataclasses, one field a decision, with its unit.

Step counts are stated for a run of 30,000 steps, as the papers do, and `scaled` brings them to the run's own length.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from splat.budget import Budget
from splat.errors import SplatError

#: The run length for which every schedule is stated.
REFERENCE_STEPS = 30_000
#: Gaussians that a step can settle: 40,000 in 2,000 steps, as in docs/benchmarks/quality.md.
GAUSSIANS_PER_STEP = 20


def scaled(steps: int, iterations: int, at_least: int = 1) -> int:
    """A step count stated for 30,000 steps, in a run of `iterations`."""
    return max(at_least, round(steps * iterations / REFERENCE_STEPS))


@dataclass(frozen=True)
class OptimConfig:
    """Learning rates of Adam (betas 0.9 and 0.999, epsilon 1e-15) and the loss."""

    lr_means: float = 1.6e-4
    """Rate of the centres at the first step, in scene extents."""
    lr_means_final: float = 1.6e-6
    """Rate of the centres at the last step, in scene extents; between them it falls exponentially."""
    lr_sh: float = 2.5e-3
    """Rate of the constant colour coefficient."""
    lr_sh_rest: float = 1.25e-4
    """Rate of the view-dependent colour coefficients."""
    lr_opacity: float = 0.05
    """Rate of the opacity logits."""
    lr_scales: float = 5e-3
    """Rate of the logarithms of the scales."""
    lr_quats: float = 1e-3
    """Rate of the quaternions."""
    sh_every: int = 1_000
    """Steps (of 30,000) after which one more spherical-harmonic degree is used."""
    ssim_weight: float = 0.2
    """Share of 1 - SSIM in the loss; the rest is the mean absolute error."""
    opacity_weight: float = 0.0
    """Weight of the mean opacity in the loss; mcmc has 0.01 of its own, and this comes on top."""
    scale_weight: float = 0.0
    """Weight of the mean scale, in world units, in the loss; mcmc has 0.01 of its own, and this comes on top."""


@dataclass(frozen=True)
class InitConfig:
    """The Gaussians at the start, one per reconstructed point."""

    opacity: float = 0.1
    """Opacity of each."""
    few_points: int = 500
    """Below this number of reconstructed points, random ones are added."""
    random_points: int = 20_000
    """How many random points are added then, where the views overlap."""
    sky: int = 0
    """Gaussians on a far sphere at most, for sky and what else is too far away to have points; 0 for none."""


@dataclass(frozen=True)
class DensityConfig:
    """When and where Gaussians are added and removed. What a strategy has no use for it passes over."""

    start: int = 500
    """First step (of 30,000) after which Gaussians are added or removed."""
    stop: int = 15_000
    """Step (of 30,000) from which on their number stays; mcmc has 25,000 and revising 27,000 of its own."""
    every: int = 100
    """Steps (of 30,000) between two refinements."""
    least_every: int = 50
    """Steps between two refinements at least, however short the run: fewer views say too little."""
    grow_gradient: float = 2e-4
    """Mean gradient of the loss by the projected centre, in units of half the image, above which one is doubled. Of
    absolute gradients absgrad asks twice as much, splat and budgeted 1.5 times."""
    split_scale: float = 0.01
    """Largest scale, in scene extents, up to which one is cloned; a larger one is split in two (adc, revising)."""
    prune_opacity: float = 0.005
    """Opacity below which a Gaussian is removed."""
    prune_scale: float = 0.1
    """Largest scale, in scene extents, above which one is removed once opacities have been reset (adc, absgrad)."""
    reset_every: int = 3_000
    """Steps (of 30,000) between two opacity resets (splat, adc, absgrad, budgeted)."""
    least_reset_every: int = 1_000
    """Steps between two opacity resets at least, however short the run: the scene has to recover."""
    reset_opacity: float = 0.01
    """Opacity to which a reset lowers every Gaussian; splat and budgeted have 0.05 of their own."""


@dataclass(frozen=True)
class ResolutionConfig:
    """Coarse to fine: early steps see small images, which cost less and settle the large structures first."""

    coarsest: int = 4
    """Factor by which both image sides are divided at the start; 1 trains at full size throughout."""
    full_from: float = 0.5
    """Share of the run after which images have full size; the factor is halved at even intervals before."""
    least_side: int = 64
    """Pixels that the shorter image side keeps."""


@dataclass(frozen=True)
class CorrectionsConfig:
    """What makes photos differ from the scene they show, and is learned beside it."""

    exposure: Literal["none", "affine", "bilateral"] = "none"
    """Colours of each photo: affine, where exposure or white balance changed between photos (one 3x4 matrix each);
    bilateral, where a phone also lightened parts of its photos (a grid of such matrices each)."""
    transients: bool = False
    """Passes over what was only there in some photos, such as people walking through."""
    poses: bool = False
    """Refines where the photos were taken from, for captures whose cameras are a little wrong."""
    depth: bool = False
    """Holds the scene to the depths of the capture's points, for few photos."""
    depths: str | None = None
    """Folder of depth maps named like the photos, 16-bit PNG or .npy; each is fitted to the points and held to, too."""


@dataclass(frozen=True)
class DataConfig:
    """How the capture is read."""

    format: Literal["auto", "colmap", "nerfstudio", "blender"] = "auto"
    """Layout of the capture; auto takes sparse/ before transforms.json."""
    test_every: int = 8
    """Every how-manieth photo, sorted by name, is held out for evaluation; 0 holds out none."""
    test_names: tuple[str, ...] = ()
    """Photos to hold out, by name; they take the place of test_every."""
    masks: str | None = None
    """Folder of masks named like the photos, white where a photo counts."""
    lens: Literal["undistort", "native"] = "undistort"
    """Photos that a lens has bent: undistort resamples them to a pinhole camera's; native trains on them as they are,
    with cameras that bend likewise (OpenCV's models, fisheye too)."""


@dataclass(frozen=True)
class SaveConfig:
    """What is written while the run goes on, and how often."""

    checkpoint_every: int = 1_000
    """Steps between two checkpoints; 0 writes one only when the run stops."""
    keep_checkpoints: int = 2
    """Newest checkpoints that are kept."""
    eval_every: int = 0
    """Steps between two evaluations on the held-out photos; 0 evaluates at the end only."""
    log_every: int = 10
    """Steps between two lines in metrics.jsonl."""
    tensorboard: bool = False
    """Also log for TensorBoard, in the run's folder."""


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run."""

    iterations: int = 7_000
    """Optimisation steps, one photo each. Every schedule is stretched or squeezed to it."""
    downscale: int = 1
    """Factor by which the photos' sides are divided."""
    max_gaussians: int = 500_000
    """Number of Gaussians that is never exceeded; lowered when a GPU's memory does not suffice. Left as it is, there
    are at most 20 for each step, too, since a short run could not settle more."""
    strategy: Literal["splat", "adc", "absgrad", "mcmc", "budgeted", "revising"] = "splat"
    """How Gaussians are added and removed: splat, our own, which is budgeted with noise and fills max_gaussians; adc,
    the gradient rule of Kerbl et al. 2023; absgrad, the same with gradients that do not cancel out (AbsGS); mcmc,
    relocation and noise, which fills max_gaussians; budgeted, a fixed curve up to max_gaussians and scores from several
    views; revising, by the error in the images."""
    antialias: Literal["classic", "antialiased", "mip"] = "classic"
    """Filter against aliasing: classic (0.3 px^2 on the image), antialiased (the same, energy kept) or mip (0.1 px^2,
    energy kept, and no Gaussian thinner in the world than the photos resolve: Mip-Splatting)."""
    sh_degree: int = 3
    """Highest spherical-harmonic degree of the colours, 0 to 4."""
    sh_bits: Literal[32, 16] = 32
    """Bits in which a colour coefficient and its optimiser state are kept while training; with 16 a Gaussian of degree
    3 takes 424 bytes instead of 712."""
    background: Literal["auto", "black", "white", "random"] | tuple[float, float, float] = "auto"
    """What shows through: a name, or red green blue in [0, 1]. random draws a new colour at each step, also under
    transparent photos; auto is white for Blender scenes and else black, with transparency as a mask."""
    seed: int = 0
    """Seed of everything random; the same seed gives the same scene, bit for bit, on one machine's CPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train: auto takes an NVIDIA GPU where Splat's kernels run on one, else the CPU."""
    budget: Budget = field(default_factory=Budget)
    data: DataConfig = field(default_factory=DataConfig)
    init: InitConfig = field(default_factory=InitConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    density: DensityConfig = field(default_factory=DensityConfig)
    resolution: ResolutionConfig = field(default_factory=ResolutionConfig)
    corrections: CorrectionsConfig = field(default_factory=CorrectionsConfig)
    save: SaveConfig = field(default_factory=SaveConfig)

    def __post_init__(self) -> None:
        smallest = {"iterations": 1, "downscale": 1, "max_gaussians": 1, "sh_degree": 0}
        for name, least in smallest.items():
            if getattr(self, name) < least:
                raise SplatError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.sh_degree > 4:
            raise SplatError(f"sh_degree must be 0 to 4, got {self.sh_degree}")
        if not isinstance(self.background, str) and not all(0 <= value <= 1 for value in self.background):
            raise SplatError(
                f"background must be auto, black, white, random or three values in [0, 1], got {self.background}"
            )

    @property
    def background_rgb(self) -> tuple[float, float, float] | None:
        """The colour to lay under transparent photos and to render over; None for the capture's own."""
        if isinstance(self.background, str):
            return {"black": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0)}.get(self.background)
        return self.background

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values, as config.json holds them."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> TrainConfig:
        """The inverse of `to_dict`, also after a trip through JSON; a missing field has its default."""
        return _from_dict(TrainConfig, values)


def _from_dict(kind: type, values: dict[str, Any]) -> Any:
    fields = {item.name: item for item in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise SplatError(f"{kind.__name__} has no setting {unknown[0]!r}; it has {', '.join(fields)}")
    built: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            value = _from_dict(fields[name].default_factory, value)  # type: ignore[arg-type]
        built[name] = tuple(value) if isinstance(value, list) else value
    return kind(**built)
