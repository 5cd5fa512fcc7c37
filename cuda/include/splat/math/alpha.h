// What a 2D Gaussian covers of a pixel, and one step of front-to-back compositing, with its gradient.
// Forward and backward call the same functions, so that they take the same decisions to the last bit.
//   sigma = 0.5 (A dx^2 + C dy^2) + B dx dy, d = mean - pixel centre;  alpha = min(0.999, o e^-sigma)
// Skipped: sigma < 0 (rounding), and alpha < 1/255, tested as sigma > ln(255 o).
// Source: Kerbl et al., "3D Gaussian Splatting", 2023; gradient as in Mallick et al., "Taming 3DGS", 2024.
#pragma once

#include "splat/constants.h"
#include "splat/exp.h"

SPLAT_BEGIN

/// A Gaussian on the image plane: mean, conic (A/2, B, C/2), opacity o, and ln(255 o), beyond which it is skipped.
template <class T>
struct Splat2d {
  T x, y, half_a, b, half_c, opacity, limit;
};

/// ln(o / kAlphaMin): the largest sigma at which a Gaussian still counts; negative or NaN where it never does.
template <class T>
SPLAT_HD T sigma_limit(T opacity) {
  // The floor keeps log in its domain; what is below it is far below kAlphaMin as well.
  return log(max(opacity, T(1e-30f)) * T(1.0f / kAlphaMin));
}

template <class T>
struct Coverage {
  using Mask = decltype(T() < T());
  T dx, dy;
  T unclamped;  // o e^-sigma; meaningless where not inside
  T alpha;
  Mask inside;
};

template <class T>
SPLAT_HD Coverage<T> coverage(const Splat2d<T>& splat, T pixel_x, T pixel_y) {
  Coverage<T> c;
  c.dx = splat.x - pixel_x;
  c.dy = splat.y - pixel_y;
  // What depends on dx alone stands by itself: blocks of pixels above one another share it (cpu/blend_forward.inl).
  const T sigma = fma(c.dy, fma(splat.half_c, c.dy, splat.b * c.dx), splat.half_a * c.dx * c.dx);
  c.inside = (sigma >= T(0.0f)) & (sigma <= splat.limit);
  c.unclamped = splat.opacity * exp_of_minus(sigma);
  c.alpha = min(c.unclamped, T(kAlphaMax));
  return c;
}

template <class T>
struct Blend {
  using Mask = decltype(T() < T());
  T weight;  // alpha T, 0 where not accepted
  T alpha;   // 0 where not accepted
  Mask accepted;
  T next;  // transmittance behind the Gaussian
};

/// Composites one Gaussian over a pixel with transmittance T. A pixel stops before T would fall to kTransmittanceMin;
/// from then on it carries -T, which no Gaussian can bring above that bound, so that it needs no other flag.
template <class T>
SPLAT_HD Blend<T> blend(const Coverage<T>& c, T transmittance) {
  Blend<T> step;
  const T behind = fnma(c.alpha, transmittance, transmittance);
  step.accepted = c.inside & (behind > T(kTransmittanceMin));
  step.alpha = keep(step.accepted, c.alpha);
  step.weight = step.alpha * transmittance;
  step.next = select(step.accepted, behind, negative_where(c.inside, transmittance));
  return step;
}

/// d(loss)/d(sigma) = -alpha d(loss)/d(alpha); 0 where the Gaussian was not accepted or alpha was clamped.
/// The division waits for alpha alone, not for the colours.
/// @param share  the Gaussian's in the loss: weight (colour . g), with g = d(loss)/d(pixel colour)
/// @param rest   what follows behind: g . (final colour - colour up to and including this Gaussian) + T_final v_T
template <class T>
SPLAT_HD T sigma_vjp(const Coverage<T>& c, const Blend<T>& step, T share, T rest) {
  const T odds = step.alpha / (T(1.0f) - step.alpha);
  return keep(c.unclamped <= T(kAlphaMax), fma(odds, rest, -share));
}

/// Sums over pixels of v_sigma times 1, dx, dy, dx^2, dx dy, dy^2. From these follow the gradients of mean, conic and
/// opacity, so their products with A, B, C and 1/o are taken once a Gaussian, not once a pixel.
template <class T>
struct SigmaMoments {
  T one, x, y, xx, xy, yy;
};

template <class T>
SPLAT_HD void accumulate(SigmaMoments<T>& sums, T v_sigma, T dx, T dy) {
  const T vx = v_sigma * dx, vy = v_sigma * dy;
  sums.one = sums.one + v_sigma;
  sums.x = sums.x + vx;
  sums.y = sums.y + vy;
  sums.xx = fma(vx, dx, sums.xx);
  sums.xy = fma(vx, dy, sums.xy);
  sums.yy = fma(vy, dy, sums.yy);
}

template <class T>
struct Splat2dGradient {
  T x, y, a, b, c, opacity;
};

/// v_m = Q (x, y), v_Q = (xx/2, xy, yy/2), v_o = -one/o, as alpha = o e^-sigma.
template <class T>
SPLAT_HD Splat2dGradient<T> splat2d_vjp(const SigmaMoments<T>& sums, T a, T b, T c, T opacity) {
  return {fma(a, sums.x, b * sums.y), fma(b, sums.x, c * sums.y), T(0.5f) * sums.xx, sums.xy, T(0.5f) * sums.yy,
          -sums.one / opacity};
}

SPLAT_END
