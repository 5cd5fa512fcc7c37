// L1 and SSIM of image pairs, and the gradient of their weighted sum, in one pass over the images.
#pragma once

#include <stdint.h>

#include "splat/macros.h"

namespace splat {

/// Rows are cut into strips of at most this many floats (a third as many pixels), so that the rows in flight stay in
/// the second-level cache.
constexpr int64_t kStripMax = 480;

/// C images of `height` rows of `row` = 3 width interleaved floats. Exactly one of the targets is given.
/// A work item is (camera, strip, row), numbered ((camera * strips) + strip) * height + row.
struct PhotometricParams {
  const float* rendered = nullptr;        // [C, height, row]
  const float* target = nullptr;          // [C, height, row], 0 to 1
  const uint8_t* target_bytes = nullptr;  // [C, height, row], 0 to 255
  const uint8_t* mask = nullptr;          // [C, height, row / 3], 0: both images count as black; null: all ones
  float* gradient = nullptr;              // [C, height, row], or null if not wanted
  double* ssim_sums = nullptr;            // [items] sum of the SSIM map over the item
  double* l1_sums = nullptr;              // [items] sum of |rendered - target| over the item
  int64_t height = 0;                     // px
  int64_t row = 0;                        // floats
  int64_t strip = 0;                      // floats, a multiple of 16, at most kStripMax
  int64_t strips = 0;                     // per row; the last may be narrower
  float ssim_weight = 0;                  // d loss / d one value of the SSIM map
  float l1_weight = 0;                    // d loss / d one |rendered - target|
};

struct PhotometricKernels {
  /// Makes the items [begin, end). Each comes out the same, bit for bit, whichever range it is made in; a range costs
  /// up to 20 rows extra per strip it starts, so ranges should be long.
  void (*run)(const PhotometricParams&, int64_t begin, int64_t end, float* workspace);
  int64_t workspace_floats;  // for one call of run
};

}  // namespace splat
