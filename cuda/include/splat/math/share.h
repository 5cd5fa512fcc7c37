// What Gaussians become when several take the place of one, so that the image stays nearly the same.
// Source: Kheradmand et al., "3D Gaussian splatting as Markov chain Monte Carlo", 2024. Differs: the double sum over
// binomials is a single one (the hockey-stick identity).
#pragma once

#include <math.h>

#include "splat/macros.h"

namespace splat {

/// What is more opaque counts as this: the sum loses up to 1 / (1 - opacity) of its last place in cancellation.
constexpr double kOpacityMost = 1 - 0x1p-24;

}  // namespace splat

SPLAT_BEGIN

struct Share {
  double opacity;  // of each copy
  double shrink;   // factor of its scales
};

/// Of `copies` >= 1, each of opacity p = 1 - (1 - opacity)^(1 / copies), so that together they are as opaque; then
/// shrink = opacity / sum_k C(copies, k) (-1)^(k+1) p^k / sqrt(k). In double, since the terms alternate.
SPLAT_HD Share share(double opacity, int64_t copies) {
  opacity = opacity < kOpacityMost ? opacity : kOpacityMost;
  const double n = static_cast<double>(copies), p = -::expm1(::log1p(-opacity) / n);
  double area = 0, term = n * p;
  for (double k = 1; k <= n; ++k) {
    area += term / ::sqrt(k);
    term *= -p * (n - k) / (k + 1);
  }
  return {p, opacity / area};
}

SPLAT_END
