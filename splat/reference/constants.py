"""The numbers that the reference shares with the kernels (cuda/include/splat/constants.h says what each is for)."""

TILE = 16
ALPHA_MAX = 0.999
ALPHA_MIN = 1 / 255
TRANSMITTANCE_MIN = 1e-4
DET_MIN = 1e-6
COMPENSATION_MIN = 0.005
CLAMP_MARGIN = 0.15
QUAT_NORM_MIN = 1e-12
DIRECTION_MIN = 1e-12
