// The numbers that forward, backward, both devices and the Python reference must agree on.
// splat/reference/constants.py holds the same values; tests/native/test_library.py compares the two.
#pragma once

namespace splat {

constexpr int kTile = 16;                         // side of a tile, px
constexpr float kAlphaMax = 0.999f;               // a splat never covers a pixel fully, so T stays > 0
constexpr float kAlphaMin = 1.0f / 255.0f;        // what contributes less is skipped
constexpr float kTransmittanceMin = 1e-4f;        // compositing stops before T falls to this
constexpr float kDetMin = 1e-6f;                  // 2D covariances with a smaller determinant are culled, px^4
constexpr float kCompensationMin = 0.005f;        // floor of sqrt(det0 / det1), whose gradient is unbounded at 0
constexpr float kClampMargin = 0.15f;             // the Jacobian's slopes are clamped this far beyond the image [W, H]
constexpr float kQuatNormMin = 1e-12f;            // squared length below which a quaternion has no direction
constexpr float kDirectionMin = 1e-12f;           // squared distance to the camera below which there is no direction

}  // namespace splat
