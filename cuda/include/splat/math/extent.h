// How far a splat reaches on the image: the tight box around where its alpha is at least kAlphaMin.
#pragma once

#include "splat/constants.h"
#include "splat/exp.h"
#include "splat/vec.h"

SPLAT_BEGIN

/// Half-sizes of the box in which opacity * exp(-d^T S^-1 d / 2) >= kAlphaMin: k sqrt(S_xx) and k sqrt(S_yy) with
/// k^2 = 2 ln(opacity / kAlphaMin). For opacity >= kAlphaMin.
template <class T>
SPLAT_HD Vec2<T> tight_extent(T variance_x, T variance_y, T opacity) {
  const T reach = T(2.0f) * log(max(opacity * T(1.0f / kAlphaMin), T(1.0f)));
  return {sqrt(reach * variance_x), sqrt(reach * variance_y)};
}

SPLAT_END
