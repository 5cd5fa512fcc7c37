// L1 + SSIM of two images and the gradient, row by row down each strip of columns.
//
// Three stages follow one another at a distance of kSsimRadius rows, so that each reads what the one before has just
// made, from rings of kRing rows that stay in the second-level cache:
//   1. an input row -> s = a + b, d = a - b and their squares, blurred along the row;            -> ring `moments`
//   2. the moments blurred down the columns -> SSIM and its three derivative maps, blurred along the row -> ring `maps`
//   3. the maps blurred down the columns, times the images -> gradient row.
// Stages 2 and 3 make kRows rows at a time: a ring row is loaded once for up to kRows of them.
// A strip needs kReach floats of its neighbours on either side in stage 2 and twice that in stage 1. What lies outside
// the image is zero in every stage.
#include "splat/math/ssim.h"
#include "splat/ops/photometric.h"
#include "splat/simd.h"

SPLAT_BEGIN
namespace {

using V = simd_float;

constexpr int kChannels = 3;                     // interleaved, so a pixel's neighbour is 3 floats away
constexpr int64_t kReach = 16;                   // 3 * kSsimRadius rounded up to whole vectors
constexpr int64_t kMiddle = kStripMax + 2 * kReach;  // floats a strip has in stage 2
constexpr int64_t kWide = kMiddle + 2 * kReach;  // and in stage 1
constexpr int64_t kPad = 16;                     // vectors may overhang; also keeps rows from sharing cache sets
constexpr int64_t kRows = 4;
constexpr int64_t kRing = 16;                    // a power of two, at least kRows + 2 kSsimRadius
constexpr int kMoments = 4, kMaps = 3;

struct Workspace {
  float rendered[kWide + kPad], target[kWide + kPad], mask[kWide + kPad];
  float lines[kMoments][kWide + kPad];                    // s, d, s^2, d^2 of one input row
  float moments[kRing][kMoments][kMiddle + kPad];
  float map_lines[kRows][kMaps][kMiddle + kPad];
  float maps[kRing][kMaps][kStripMax + kPad];
};

/// The strip of one image that is being worked on.
struct Strip {
  const PhotometricParams& p;
  Workspace& w;
  int64_t camera, index;
  int64_t first, width;  // floats [first, first + width) of each row

  int64_t offset(int64_t row) const { return (camera * p.height + row) * p.row; }
};

int64_t clamp(int64_t value, int64_t low, int64_t high) { return value < low ? low : value > high ? high : value; }

void clear(float* values, int64_t count) { memset(values, 0, count * sizeof(float)); }

/// Copies floats [begin, end) of an image row into the workspace's input lines, masked, and zero outside the image.
void load_row(const Strip& strip, int64_t row, int64_t begin, int64_t end) {
  const PhotometricParams& p = strip.p;
  Workspace& w = strip.w;
  const int64_t low = clamp(begin, 0, p.row), high = clamp(end, 0, p.row), lead = low - begin;
  clear(w.rendered, lead);
  clear(w.target, lead);
  const int64_t padded = end - begin + kPad;
  clear(w.rendered + (high - begin), padded - (high - begin));
  clear(w.target + (high - begin), padded - (high - begin));
  const int64_t base = strip.offset(row) + low, count = high - low;
  memcpy(w.rendered + lead, p.rendered + base, count * sizeof(float));
  if (p.target) {
    memcpy(w.target + lead, p.target + base, count * sizeof(float));
  } else {
    const uint8_t* bytes = p.target_bytes + base;
    float* target = w.target + lead;
    for (int64_t i = 0; i < count; ++i) target[i] = static_cast<float>(bytes[i]) * kPerByte;
  }
  if (!p.mask) return;
  const uint8_t* mask = p.mask + strip.offset(row) / kChannels;
  for (int64_t i = 0; i < count; ++i) {
    const float keep = mask[(low + i) / kChannels] ? 1.0f : 0.0f;
    w.mask[lead + i] = keep;
    w.rendered[lead + i] *= keep;
    w.target[lead + i] *= keep;
  }
}

/// Rows of a strip lie too far apart for the hardware to see the next one coming.
void prefetch_row(const Strip& strip, int64_t row) {
  const PhotometricParams& p = strip.p;
  if (row >= p.height) return;
  const int64_t base = strip.offset(row) + strip.first;
  constexpr int64_t kLine = 64;  // bytes
  for (int64_t i = 0; i < strip.width; i += kLine / 4) {
    prefetch(p.rendered + base + i);
    if (p.target) prefetch(p.target + base + i);
  }
  for (int64_t i = 0; p.target_bytes && i < strip.width; i += kLine) prefetch(p.target_bytes + base + i);
}

/// out[i] = sum over taps of window * line[i + kReach + 3 tap], for N lines at once: independent sums keep the
/// multipliers busy.
template <int N>
SPLAT_HD void blur_rows(const float* const (&lines)[N], float* const (&out)[N], int64_t count) {
  for (int64_t i = 0; i < count; i += V::width) {
    V sums[N];
    for (int n = 0; n < N; ++n) sums[n] = V(0.0f);
#pragma GCC unroll 11
    for (int tap = -kSsimRadius; tap <= kSsimRadius; ++tap) {
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) {
        sums[n] = fma(V(ssim_window(tap)), V::load(lines[n] + i + kReach + kChannels * tap), sums[n]);
      }
    }
    for (int n = 0; n < N; ++n) sums[n].store(out[n] + i);
  }
}

/// sums[k] = sum over taps of window * row k + tap + kSsimRadius, at one vector of columns, for kRows rows.
SPLAT_HD void blur_columns(const float* const (&rows)[kRows + 2 * kSsimRadius], int64_t i, V (&sums)[kRows]) {
  for (int k = 0; k < kRows; ++k) sums[k] = V(0.0f);
#pragma GCC unroll 14
  for (int j = 0; j < kRows + 2 * kSsimRadius; ++j) {
    const V value = V::load(rows[j] + i);
#pragma GCC unroll 4
    for (int k = 0; k < kRows; ++k) {
      if (j >= k && j <= k + 2 * kSsimRadius) sums[k] = fma(V(ssim_window(j - k - kSsimRadius)), value, sums[k]);
    }
  }
}

/// Sum of lanes in a fixed order; `count` of them from the left, the rest ignored.
float sum_of_first(V values, int64_t count) {
  return sum(select(lane_numbers<V>() < V(static_cast<float>(count)), values, V(0.0f)));
}

/// Adds up count floats at `values`, in vectors whose order does not depend on anything but count.
template <class F>
double total(int64_t count, F value_at) {
  V sums(0.0f);
  int64_t i = 0;
  for (; i + V::width <= count; i += V::width) sums += value_at(i);
  double result = sum(sums);
  if (i < count) result += sum_of_first(value_at(i), count - i);
  return result;
}

/// Stage 1.
void make_moments(const Strip& strip, int64_t row, bool owned) {
  const PhotometricParams& p = strip.p;
  Workspace& w = strip.w;
  float(&ring)[kMoments][kMiddle + kPad] = w.moments[row & (kRing - 1)];
  if (row < 0 || row >= p.height) {
    clear(ring[0], kMoments * (kMiddle + kPad));
    return;
  }
  prefetch_row(strip, row + 1);
  load_row(strip, row, strip.first - 2 * kReach, strip.first + strip.width + 2 * kReach);
  for (int64_t i = 0; i < strip.width + 4 * kReach; i += V::width) {
    const V a = V::load(w.rendered + i), b = V::load(w.target + i);
    const V s = a + b, d = a - b;
    s.store(w.lines[0] + i);
    d.store(w.lines[1] + i);
    (s * s).store(w.lines[2] + i);
    (d * d).store(w.lines[3] + i);
  }
  const float* const lines[kMoments] = {w.lines[0], w.lines[1], w.lines[2], w.lines[3]};
  float* const out[kMoments] = {ring[0], ring[1], ring[2], ring[3]};
  blur_rows(lines, out, strip.width + 2 * kReach);
  if (!owned) return;
  const int64_t item = (strip.camera * p.strips + strip.index) * p.height + row;
  p.l1_sums[item] = total(strip.width, [&](int64_t i) { return abs(V::load(w.lines[1] + 2 * kReach + i)); });
}

/// Stage 2 for rows [row, row + kRows), of which [begin, end) count.
void make_maps(const Strip& strip, int64_t row, int64_t begin, int64_t end) {
  const PhotometricParams& p = strip.p;
  Workspace& w = strip.w;
  const float* rows[kMoments][kRows + 2 * kSsimRadius];
  for (int n = 0; n < kMoments; ++n) {
    for (int j = 0; j < kRows + 2 * kSsimRadius; ++j) {
      rows[n][j] = w.moments[(row - kSsimRadius + j) & (kRing - 1)][n];
    }
  }
  const int64_t count = strip.width + 2 * kReach;
  V ssim_sums[kRows];
  double ssim_tails[kRows] = {};
  for (int k = 0; k < kRows; ++k) ssim_sums[k] = V(0.0f);
  for (int64_t i = 0; i < count; i += V::width) {
    V moments[kMoments][kRows];
    for (int n = 0; n < kMoments; ++n) blur_columns(rows[n], i, moments[n]);
    const int64_t left = strip.width + kReach - i;  // lanes of this vector that belong to the strip itself
    for (int k = 0; k < kRows; ++k) {
      const auto g = ssim_with_gradient<V>({moments[0][k], moments[1][k], moments[2][k], moments[3][k]});
      g.mean.store(w.map_lines[k][0] + i);
      g.square.store(w.map_lines[k][1] + i);
      g.product.store(w.map_lines[k][2] + i);
      if (i >= kReach && left >= V::width) {
        ssim_sums[k] += g.ssim;
      } else if (i >= kReach && left > 0) {
        ssim_tails[k] = sum_of_first(g.ssim, left);
      }
    }
  }
  const int64_t first_item = (strip.camera * p.strips + strip.index) * p.height;
  for (int k = 0; k < kRows; ++k) {
    if (row + k >= begin && row + k < end) p.ssim_sums[first_item + row + k] = sum(ssim_sums[k]) + ssim_tails[k];
    if (!p.gradient) continue;
    float(&ring)[kMaps][kStripMax + kPad] = w.maps[(row + k) & (kRing - 1)];
    if (row + k < 0 || row + k >= p.height) {
      clear(ring[0], kMaps * (kStripMax + kPad));
      continue;
    }
    // Columns outside the image: the sum of SSIM does not contain them, so they have no gradient to pass on.
    const int64_t inside = clamp(p.row - strip.first + kReach, 0, count);
    for (int n = 0; n < kMaps; ++n) {
      float* line = w.map_lines[k][n];
      if (strip.first == 0) clear(line, kReach);
      clear(line + inside, kMiddle + kPad - inside);
    }
    const float* const lines[kMaps] = {w.map_lines[k][0], w.map_lines[k][1], w.map_lines[k][2]};
    float* const out[kMaps] = {ring[0], ring[1], ring[2]};
    blur_rows(lines, out, strip.width);
  }
}

/// Stage 3 for rows [row, row + kRows), of which [begin, end) are written.
void make_gradient(const Strip& strip, int64_t row, int64_t begin, int64_t end) {
  const PhotometricParams& p = strip.p;
  Workspace& w = strip.w;
  const float* rows[kMaps][kRows + 2 * kSsimRadius];
  for (int n = 0; n < kMaps; ++n) {
    for (int j = 0; j < kRows + 2 * kSsimRadius; ++j) {
      rows[n][j] = w.maps[(row - kSsimRadius + j) & (kRing - 1)][n];
    }
  }
  // The blurred maps of kRows rows; stage 2's lines are free by now.
  float(&blurred)[kRows][kMaps][kMiddle + kPad] = w.map_lines;
  for (int64_t i = 0; i < strip.width; i += V::width) {
    for (int n = 0; n < kMaps; ++n) {
      V sums[kRows];
      blur_columns(rows[n], i, sums);
      for (int k = 0; k < kRows; ++k) sums[k].store(blurred[k][n] + i);
    }
  }
  const V zero(0.0f), ssim_weight(p.ssim_weight), l1_weight(p.l1_weight);
  for (int k = 0; k < kRows; ++k) {
    if (row + k < begin || row + k >= end) continue;
    load_row(strip, row + k, strip.first, strip.first + strip.width);
    float* line = blurred[k][0];
    for (int64_t i = 0; i < strip.width; i += V::width) {
      const V a = V::load(w.rendered + i), b = V::load(w.target + i);
      const V from_ssim = fma(a + a, V::load(blurred[k][1] + i), fma(b, V::load(blurred[k][2] + i), V::load(line + i)));
      const V sign = select(a > b, l1_weight, select(a < b, -l1_weight, zero));
      V gradient = fma(ssim_weight, from_ssim, sign);
      if (p.mask) gradient = gradient * V::load(w.mask + i);
      gradient.store(line + i);
    }
    memcpy(p.gradient + strip.offset(row + k) + strip.first, line, strip.width * sizeof(float));
  }
}

/// All three stages for rows [begin, end) of one strip.
void run_strip(const Strip& strip, int64_t begin, int64_t end) {
  // Stage 2's blocks start where stage 3's first block can begin exactly at `begin`: kSsimRadius + kRows - 1 further
  // than that is what it needs, and blocks are kRows apart.
  int64_t first = begin;
  if (strip.p.gradient) {
    first = begin + kSsimRadius;
    while (first > begin - kSsimRadius) first -= kRows;
  }
  const int64_t last = strip.p.gradient ? end + kSsimRadius : end;
  for (int64_t row = first - kSsimRadius; row < first + kSsimRadius; ++row) {
    make_moments(strip, row, row >= begin && row < end);
  }
  for (int64_t row = first; row < last; row += kRows) {
    for (int64_t k = 0; k < kRows; ++k) {
      const int64_t input = row + kSsimRadius + k;
      make_moments(strip, input, input >= begin && input < end);
    }
    make_maps(strip, row, begin, end);
    const int64_t output = row - kSsimRadius;
    if (strip.p.gradient && output >= begin) make_gradient(strip, output, begin, end);
  }
}

void run(const PhotometricParams& p, int64_t begin, int64_t end, float* workspace) {
  while (begin < end) {
    const int64_t column = begin / p.height, row = begin % p.height;
    const int64_t rows = end - begin < p.height - row ? end - begin : p.height - row;
    const int64_t index = column % p.strips, first = index * p.strip;
    const int64_t width = p.row - first < p.strip ? p.row - first : p.strip;
    run_strip({p, *reinterpret_cast<Workspace*>(workspace), column / p.strips, index, first, width}, row, row + rows);
    begin += rows;
  }
}

}  // namespace

PhotometricKernels photometric_kernels() { return {run, sizeof(Workspace) / sizeof(float)}; }

SPLAT_END
