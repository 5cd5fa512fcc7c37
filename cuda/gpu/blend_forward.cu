// Compositing on the GPU: a block a tile, a thread a pixel, a warp an 8 x 4 subtile.
//
// The block fetches kBatch instances into shared memory; then each warp goes group by group: its lanes test one
// instance each against the subtile, and only those that reach it are composited by all. For backward each warp notes
// which they were, and its pixels' state where a bucket begins.
// Source: warp-level culling as in Hahlbohm et al., "Faster-GS", 2025; checkpoints as in Mallick et al., "Taming 3DGS",
// 2024.
#include "gpu/blend_tile.cuh"
#include "splat/math/ellipse.h"

SPLAT_BEGIN
namespace {

constexpr int kBatch = kTilePixels;  // a thread fetches one instance

/// Instances in shared memory; all lanes read the same one at a time, four numbers at once.
template <int D>
struct Batch {
  struct alignas(16) Splat {
    Splat2d<float> splat;
    float b_over_a;
  };
  struct alignas(D < 3 ? 4 : 16) Colour {
    float at[D ? D : 1];
  };
  Splat splats[kBatch];
  Colour colours[kBatch];
  float b_over_c[kBatch];
  int32_t ids[kBatch];
};

/// Whether some pixel of a subtile may be inside a splat.
template <int D>
SPLAT_HD bool reaches(const Batch<D>& batch, int i, float left, float top) {
  const Splat2d<float> s = batch.splats[i].splat;
  const float sigma = least_sigma(s.x, s.y, 2.0f * s.half_a, s.b, 2.0f * s.half_c, batch.splats[i].b_over_a,
                                  batch.b_over_c[i], left, top, left + (kSubtileColumns - 1), top + (kSubtileRows - 1));
  return !(sigma > s.limit + kSigmaSlack);
}

/// Channels first_channel .. first_channel + D - 1; what does not depend on channels is written with channel 0.
template <int D, bool MEDIAN>
__global__ void __launch_bounds__(kTilePixels) composite(BlendForward p, BlendTrail trail, int first_channel) {
  SPLAT_SHARED(Batch<D>, batch);
  const BlendInputs& in = p.in;
  const int thread = threadIdx.x, lane = thread % kWarp, subtile = thread / kWarp;
  const int tile = blockIdx.x;
  const TileFrame frame = tile_frame(in, tile);
  const int left = subtile_left(subtile), top = subtile_top(subtile);
  const int column = left + lane_column(lane), row = top + lane_row(lane);
  const bool in_image = is_in_image(in, frame, column, row), is_first = first_channel == 0;
  const float x = static_cast<float>(column), y = static_cast<float>(row);

  float transmittance = in_image ? 1.0f : -1.0f;  // negated once the pixel has stopped
  float colour[D ? D : 1] = {};
  int32_t median = -1;
  const int64_t end = in.offsets[tile + 1];
  const int groups_per_bucket = trail.buckets.groups;
  int64_t bucket = first_bucket(trail, in.offsets, tile);
  const int64_t bucket_end = first_bucket(trail, in.offsets, tile + 1);
  int group = 0;  // of the bucket
  if (trail.tiles && is_first) {
    for (int64_t b = bucket + thread; b < bucket_end; b += kTilePixels) trail.tiles[b] = tile;
  }

  bool warp_is_live = true;
  for (int64_t first = in.offsets[tile]; first < end; first += kBatch) {
    // Also keeps the batch until all warps are through with it.
    if (__syncthreads_count(transmittance < 0.0f) == kTilePixels) break;
    const int size = end - first < kBatch ? static_cast<int>(end - first) : kBatch;
    if (thread < size) {
      const int32_t id = in.gaussian_ids[first + thread];
      const Splat2d<float> s = splat_in_tile(in, frame, id);
      batch.splats[thread] = {s, s.b / (2.0f * s.half_a)};
      batch.b_over_c[thread] = s.b / (2.0f * s.half_c);
      for (int d = 0; d < D; ++d) {
        batch.colours[thread].at[d] = in.colours[static_cast<int64_t>(id) * in.channels + first_channel + d];
      }
      if (MEDIAN) batch.ids[thread] = id;
    }
    __syncthreads();

    for (int start = 0; start < size; start += kGroup) {
      if (trail.states && group == 0 && warp_is_live) {
        float* state = trail.states + bucket * (1 + in.channels) * kTilePixels + thread;
        if (is_first) state[0] = transmittance;
        for (int d = 0; d < D; ++d) state[(1 + first_channel + d) * kTilePixels] = colour[d];
      }
      const int i = start + lane;
      const bool hit = warp_is_live && i < size && reaches(batch, i, static_cast<float>(left), static_cast<float>(top));
      unsigned mask = __ballot_sync(kWholeWarp, hit);
      if (trail.masks && is_first && lane == 0) {
        trail.masks[(bucket * groups_per_bucket + group) * kSubtiles + subtile] = mask;
      }
      if (++group == groups_per_bucket) {
        group = 0;
        ++bucket;
      }
      if (mask == 0) continue;
      for (; mask; mask &= mask - 1) {
        const int at = start + __ffs(static_cast<int>(mask)) - 1;
        const Blend<float> step = blend(coverage(batch.splats[at].splat, x, y), transmittance);
        for (int d = 0; d < D; ++d) colour[d] = fma(step.weight, batch.colours[at].at[d], colour[d]);
        if (MEDIAN && step.accepted && transmittance >= 0.5f && step.next < 0.5f) median = batch.ids[at];
        transmittance = step.next;
      }
      warp_is_live = __any_sync(kWholeWarp, transmittance > 0.0f);
    }
  }
  if (trail.masks && is_first) {
    const int64_t end_group = bucket_end * groups_per_bucket;
    for (int64_t g = bucket * groups_per_bucket + group + lane; g < end_group; g += kWarp) {
      trail.masks[g * kSubtiles + subtile] = 0;
    }
  }

  if (!in_image) return;
  const int64_t pixel = pixel_index(in, frame, column, row);
  transmittance = abs(transmittance);
  for (int d = 0; d < D; ++d) {
    const int channel = first_channel + d;
    const float behind = in.background ? transmittance * in.background[frame.camera * in.channels + channel] : 0.0f;
    p.image[pixel * in.channels + channel] = colour[d] + behind;
  }
  if (!is_first) return;
  p.transmittances[pixel] = transmittance;
  if (MEDIAN) p.median_ids[pixel] = median;
}

template <int D>
void composite_channels(const BlendForward& p, const BlendTrail& trail, int64_t tiles, int first_channel,
                        Stream stream) {
  // The median is found once.
  const bool median = p.median_ids && first_channel == 0;
  launch(median ? composite<D, true> : composite<D, false>, blocks_for(tiles, 1), kTilePixels, stream, p, trail,
         first_channel);
}

}  // namespace
SPLAT_END

namespace splat {

void blend_on_gpu(const BlendForward& p, const BlendTrail& trail, int64_t tiles, Stream stream) {
  if (p.in.channels == 0) return composite_channels<0>(p, trail, tiles, 0, stream);
  for (int channel = 0; channel < p.in.channels;) {
    // 3 or 4 channels at once, the usual cases; what is left of other numbers one by one.
    const int left = p.in.channels - channel, together = left >= 4 ? 4 : left == 3 ? 3 : 1;
    const auto run = together == 4   ? composite_channels<4>
                     : together == 3 ? composite_channels<3>
                                     : composite_channels<1>;
    run(p, trail, tiles, channel, stream);
    channel += together;
  }
}

}  // namespace splat
