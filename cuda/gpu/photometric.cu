// L1 and SSIM of two images, and the gradient, on the GPU.
//
// A block makes a part of an image, kColumns floats wide, and goes down its rows: a thread has a column. A row is
// blurred along itself in shared memory; down the columns each thread keeps the sums of the rows to come in registers,
// so that what lies above is neither kept nor read again. The gradient is a second such pass, over three maps.
// What lies outside the image is zero. Sums have a fixed order: rows, warps, blocks.
#include "gpu/device.h"
#include "gpu/warp.cuh"
#include "splat/math/ssim.h"
#include "splat/ops/photometric.h"

SPLAT_BEGIN
namespace {

constexpr int kChannels = 3;                     // interleaved, so a pixel's neighbour is 3 floats away
constexpr int kColumns = 128;                    // floats
constexpr int kRows = 32;                        // 2 kSsimRadius more are read
constexpr int kReach = kChannels * kSsimRadius;  // floats needed on either side
constexpr int kLine = kColumns + 2 * kReach;
constexpr int kMaps = 3;
constexpr int kSumThreads = 256;

/// What a block makes of an image.
struct Part {
  int64_t image;
  int begin, end;  // rows
  int column;      // of this thread, may lie outside the image

  __device__ bool holds(int row) const { return row >= begin && row < end; }
};

__device__ Part part_of_block(const PhotometricImages& p) {
  const int height = static_cast<int>(p.height), strips = static_cast<int>((p.row + kColumns - 1) / kColumns);
  const int bands = (height + kRows - 1) / kRows, block = static_cast<int>(blockIdx.x), band = block / strips;
  const int begin = band % bands * kRows;
  return {band / bands, begin, begin + kRows < height ? begin + kRows : height,
          block % strips * kColumns + static_cast<int>(threadIdx.x)};
}

__device__ bool is_inside(const PhotometricImages& p, int row, int column) {
  return row >= 0 && row < p.height && column >= 0 && column < p.row;
}

/// One value of both images, and of the mask.
struct Values {
  float rendered, target, keep;
};

__device__ Values values_at(const PhotometricImages& p, int64_t image, int row, int column) {
  const int64_t line = image * p.height + row, at = line * p.row + column;
  const float rendered = p.rendered[at];
  const float target = p.target ? p.target[at] : static_cast<float>(p.target_bytes[at]) * kPerByte;
  const float keep = !p.mask || p.mask[line * (p.row / kChannels) + column / kChannels] ? 1.0f : 0.0f;
  return {rendered * keep, target * keep, keep};
}

/// The window going down a column, of which it keeps no rows, but the sums so far around those to come.
struct ColumnBlur {
  float sums[2 * kSsimRadius] = {};

  /// Takes the next row's value; returns the blurred one kSsimRadius rows before.
  __device__ float push(float value) {
    const float blurred = fma(ssim_window(kSsimRadius), value, sums[0]);
    for (int i = 0; i + 1 < 2 * kSsimRadius; ++i) {
      sums[i] = fma(ssim_window(kSsimRadius - 1 - i), value, sums[i + 1]);
    }
    sums[2 * kSsimRadius - 1] = ssim_window(kSsimRadius) * value;
    return blurred;
  }
};

/// Two rows of the sums x and differences y of both images: one is read while the next is written.
struct PairLines {
  float2 rows[2][kLine];
};

/// The window's means along a row.
__device__ SsimMoments<float> blur_pairs(const float2* centre) {
  const float2 own = *centre;
  const float x = ssim_window(0) * own.x, y = ssim_window(0) * own.y;
  SsimMoments<float> means = {x, y, x * own.x, y * own.y};
  for (int i = 1; i <= kSsimRadius; ++i) {
    const float2 a = centre[-kChannels * i], b = centre[kChannels * i];
    const float weight = ssim_window(i);
    means.sum = fma(weight, a.x + b.x, means.sum);
    means.difference = fma(weight, a.y + b.y, means.difference);
    means.sum_squared = fma(weight, fma(a.x, a.x, b.x * b.x), means.sum_squared);
    means.difference_squared = fma(weight, fma(a.y, a.y, b.y * b.y), means.difference_squared);
  }
  return means;
}

struct WarpSums {
  float ssim[kColumns / kWarp], l1[kColumns / kWarp], valid[kColumns / kWarp];
};

__global__ void __launch_bounds__(kColumns) similarity(PhotometricImages p, float* maps, PhotometricSums* block_sums) {
  SPLAT_SHARED(PairLines, lines);
  const Part part = part_of_block(p);
  const int thread = threadIdx.x, left = part.column - kReach;
  const int64_t plane = p.cameras * p.height * p.row;
  const auto fetch = [&](int row, int column) {
    if (!is_inside(p, row, column)) return make_float2(0.0f, 0.0f);
    const Values values = values_at(p, part.image, row, column);
    return make_float2(values.rendered + values.target, values.rendered - values.target);
  };
  float2 next = fetch(part.begin - kSsimRadius, left), next_right = {};
  if (thread < 2 * kReach) next_right = fetch(part.begin - kSsimRadius, left + kColumns);
  ColumnBlur sum, difference, sum_squared, difference_squared;
  float ssim = 0.0f, l1 = 0.0f, valid = 0.0f;
  for (int row = part.begin - kSsimRadius; row < part.end + kSsimRadius; ++row) {
    float2(&line)[kLine] = lines.rows[row & 1];
    line[thread] = next;
    if (thread < 2 * kReach) line[kColumns + thread] = next_right;
    __syncthreads();
    next = fetch(row + 1, left);
    if (thread < 2 * kReach) next_right = fetch(row + 1, left + kColumns);

    const float2* own = line + thread + kReach;
    const SsimMoments<float> along = blur_pairs(own);
    const SsimMoments<float> means = {sum.push(along.sum), difference.push(along.difference),
                                      sum_squared.push(along.sum_squared),
                                      difference_squared.push(along.difference_squared)};
    if (part.column >= p.row) continue;
    if (part.holds(row)) {
      l1 += abs(own->y);
      valid += values_at(p, part.image, row, part.column).keep;
    }
    const int done = row - kSsimRadius;
    if (!part.holds(done)) continue;
    const SsimGradient<float> gradient = ssim_with_gradient(means);
    ssim += gradient.ssim;
    if (!maps) continue;
    float* at = maps + (part.image * p.height + done) * p.row + part.column;
    at[0] = gradient.mean;
    at[plane] = gradient.square;
    at[2 * plane] = gradient.product;
  }

  SPLAT_SHARED(WarpSums, sums);
  const int warp = thread / kWarp;
  ssim = warp_sum(ssim);
  l1 = warp_sum(l1);
  valid = warp_sum(valid);
  if (thread % kWarp == 0) {
    sums.ssim[warp] = ssim;
    sums.l1[warp] = l1;
    sums.valid[warp] = valid;
  }
  __syncthreads();
  if (thread != 0) return;
  PhotometricSums total = {};
  for (int i = 0; i < kColumns / kWarp; ++i) {
    total.ssim += sums.ssim[i];
    total.l1 += sums.l1[i];
    total.valid += sums.valid[i];
  }
  block_sums[blockIdx.x] = total;
}

struct MapLines {
  float rows[2][kMaps][kLine];
};

__device__ float blur(const float* centre) {
  float mean = ssim_window(0) * centre[0];
  for (int i = 1; i <= kSsimRadius; ++i) {
    mean = fma(ssim_window(i), centre[-kChannels * i] + centre[kChannels * i], mean);
  }
  return mean;
}

__global__ void __launch_bounds__(kColumns) make_gradient(PhotometricImages p, const float* maps, float ssim_weight,
                                                          const float* l1_weight) {
  SPLAT_SHARED(MapLines, lines);
  const Part part = part_of_block(p);
  const int thread = threadIdx.x, left = part.column - kReach;
  const int64_t plane = p.cameras * p.height * p.row;
  const float l1 = *l1_weight;
  const auto fetch = [&](float (&values)[kMaps], int row, int column) {
    const float* at = maps + (part.image * p.height + row) * p.row + column;
    const bool inside = is_inside(p, row, column);
    for (int map = 0; map < kMaps; ++map) values[map] = inside ? at[map * plane] : 0.0f;
  };
  float next[kMaps], next_right[kMaps];
  fetch(next, part.begin - kSsimRadius, left);
  if (thread < 2 * kReach) fetch(next_right, part.begin - kSsimRadius, left + kColumns);
  ColumnBlur columns[kMaps];
  for (int row = part.begin - kSsimRadius; row < part.end + kSsimRadius; ++row) {
    float(&line)[kMaps][kLine] = lines.rows[row & 1];
    for (int map = 0; map < kMaps; ++map) {
      line[map][thread] = next[map];
      if (thread < 2 * kReach) line[map][kColumns + thread] = next_right[map];
    }
    __syncthreads();
    fetch(next, row + 1, left);
    if (thread < 2 * kReach) fetch(next_right, row + 1, left + kColumns);
    const int done = row - kSsimRadius;
    const bool writes = part.holds(done) && part.column < p.row;
    const Values own = writes ? values_at(p, part.image, done, part.column) : Values();

    float blurred[kMaps];
    for (int map = 0; map < kMaps; ++map) blurred[map] = columns[map].push(blur(line[map] + thread + kReach));
    if (!writes) continue;
    const float a = own.rendered, b = own.target;
    const float from_ssim = fma(a + a, blurred[1], fma(b, blurred[2], blurred[0]));
    const float from_l1 = a > b ? l1 : a < b ? -l1 : 0.0f;
    p.gradient[(part.image * p.height + done) * p.row + part.column] = fma(ssim_weight, from_ssim, from_l1) * own.keep;
  }
}

struct ThreadSums {
  PhotometricSums at[kSumThreads];
};

/// The sums of `count` blocks, for thread 0; to be called once in a kernel.
__device__ PhotometricSums total_of(const PhotometricSums* blocks, int64_t count) {
  SPLAT_SHARED(ThreadSums, sums);
  const int thread = threadIdx.x;
  const auto add = [](PhotometricSums& to, const PhotometricSums& value) {
    to.ssim += value.ssim;
    to.l1 += value.l1;
    to.valid += value.valid;
  };
  PhotometricSums own = {};
  for (int64_t i = thread; i < count; i += kSumThreads) add(own, blocks[i]);
  sums.at[thread] = own;
  for (int half = kSumThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (thread < half) add(sums.at[thread], sums.at[thread + half]);
  }
  return sums.at[0];
}

__global__ void __launch_bounds__(kSumThreads) finish_ssim(const PhotometricSums* blocks, int64_t count, double values,
                                                           float* result) {
  const PhotometricSums total = total_of(blocks + blockIdx.x * count, count);
  if (threadIdx.x == 0) result[blockIdx.x] = static_cast<float>(total.ssim / values);
}

__global__ void __launch_bounds__(kSumThreads) finish_loss(const PhotometricSums* blocks, int64_t count, double values,
                                                           double ssim_weight, float* loss, float* l1_weight) {
  const PhotometricSums total = total_of(blocks, count);
  if (threadIdx.x != 0) return;
  const double weight = total.valid > 0 ? (1 - ssim_weight) / total.valid : 0;
  *loss = static_cast<float>(weight * total.l1 + ssim_weight * (1 - total.ssim / values));
  *l1_weight = static_cast<float>(weight);
}

}  // namespace
SPLAT_END

namespace splat {

int64_t photometric_blocks(const PhotometricImages& p) {
  return static_cast<int64_t>(blocks_for(p.row, kColumns)) * blocks_for(p.height, kRows);
}

void similarity_on_gpu(const PhotometricImages& p, float* maps, PhotometricSums* sums, Stream stream) {
  launch(similarity, static_cast<unsigned>(p.cameras * photometric_blocks(p)), kColumns, stream, p, maps, sums);
}

void mean_ssim_on_gpu(const PhotometricImages& p, const PhotometricSums* sums, float* result, Stream stream) {
  launch(finish_ssim, static_cast<unsigned>(p.cameras), kSumThreads, stream, sums, photometric_blocks(p),
         static_cast<double>(p.height * p.row), result);
}

void photometric_loss_on_gpu(const PhotometricImages& p, const PhotometricSums* sums, double ssim_weight, float* loss,
                             float* l1_weight, Stream stream) {
  launch(finish_loss, 1, kSumThreads, stream, sums, p.cameras * photometric_blocks(p),
         static_cast<double>(p.cameras * p.height * p.row), ssim_weight, loss, l1_weight);
}

void photometric_gradient_on_gpu(const PhotometricImages& p, const float* maps, float ssim_weight,
                                 const float* l1_weight, Stream stream) {
  launch(make_gradient, static_cast<unsigned>(p.cameras * photometric_blocks(p)), kColumns, stream, p, maps,
         ssim_weight, l1_weight);
}

}  // namespace splat
