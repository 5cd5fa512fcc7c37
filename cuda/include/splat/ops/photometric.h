// L1 and SSIM of image pairs, and the gradient of their weighted sum, in one pass over the images.
#pragma once

#include <stdint.h>

#include "splat/stream.h"

namespace splat {

constexpr float kPerByte = 1.0f / 255.0f;  // of a target in bytes

/// C images of `height` rows of `row` = 3 width interleaved floats. Exactly one of the targets is given.
struct PhotometricImages {
  const float* rendered = nullptr;        // [C, height, row]
  const float* target = nullptr;          // [C, height, row], 0 to 1
  const uint8_t* target_bytes = nullptr;  // [C, height, row], 0 to 255
  const uint8_t* mask = nullptr;          // [C, height, row / 3], 0: both images count as black; null: all ones
  float* gradient = nullptr;              // [C, height, row], or null if not wanted
  int64_t cameras = 0;                    // C
  int64_t height = 0;                     // px
  int64_t row = 0;                        // floats
};

/// Rows are cut into strips of at most this many floats (a third as many pixels), so that the rows in flight stay in
/// the second-level cache.
constexpr int64_t kStripMax = 480;

/// A work item is (camera, strip, row), numbered ((camera * strips) + strip) * height + row.
struct PhotometricParams : PhotometricImages {
  double* ssim_sums = nullptr;  // [items] sum of the SSIM map over the item
  double* l1_sums = nullptr;    // [items] sum of |rendered - target| over the item
  int64_t strip = 0;            // floats, a multiple of 16, at most kStripMax
  int64_t strips = 0;           // per row; the last may be narrower
  float ssim_weight = 0;        // d loss / d one value of the SSIM map
  float l1_weight = 0;          // d loss / d one |rendered - target|

  int64_t items() const { return cameras * strips * height; }
};

/// Cuts images into strips of about the same width.
inline PhotometricParams in_strips(const PhotometricImages& images) {
  PhotometricParams params{images};
  const int64_t wanted = (params.row + kStripMax - 1) / kStripMax;
  params.strip = ((params.row + wanted - 1) / wanted + 15) / 16 * 16;
  params.strips = (params.row + params.strip - 1) / params.strip;
  return params;
}

struct PhotometricKernels {
  /// Makes the items [begin, end). Each comes out the same, bit for bit, whichever range it is made in; a range costs
  /// up to 20 rows extra per strip it starts, so ranges should be long.
  void (*run)(const PhotometricParams&, int64_t begin, int64_t end, float* workspace);
  int64_t workspace_floats;  // for one call of run
};

/// What a block of the GPU's kernel adds up over its part of an image, or sums of such.
struct PhotometricSums {
  double ssim, l1;
  double valid;  // values that the mask leaves
};

/// Blocks into which the GPU's kernel cuts an image.
int64_t photometric_blocks(const PhotometricImages&);

/// Adds up SSIM and L1. Where maps [3, C, height, row] is not null, it receives SSIM's derivatives by the window's
/// means of a, of a^2 and of a b, from which the gradient is made.
/// @param sums  [C, blocks]
void similarity_on_gpu(const PhotometricImages&, float* maps, PhotometricSums* sums, Stream);

/// Means over the image of SSIM: result [C].
void mean_ssim_on_gpu(const PhotometricImages&, const PhotometricSums*, float* result, Stream);

/// The loss, and the weight of one |rendered - target| in it; both stay on the GPU.
void photometric_loss_on_gpu(const PhotometricImages&, const PhotometricSums*, double ssim_weight, float* loss,
                             float* l1_weight, Stream);

/// Writes the images' gradient.
/// @param ssim_weight  d loss / d one value of the SSIM map
void photometric_gradient_on_gpu(const PhotometricImages&, const float* maps, float ssim_weight, const float* l1_weight,
                                 Stream);

}  // namespace splat
