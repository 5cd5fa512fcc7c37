// The gradient of compositing on the GPU, parallel over Gaussians: a warp a bucket, a lane an instance.
//
// Pixels pass through the lanes as through a pipeline: at each step a lane composites its own instance over the pixel
// that the lane before it has just done with, so that every pixel meets the instances in depth order and every sum over
// pixels stays in the registers of one lane. Pixels start from the state that forward noted where the bucket begins, and
// only those of subtiles that an instance reached are visited. Sums go to a place of each instance's own and are added
// up in a fixed order: there are no atomics, and results don't differ from run to run.
// Source: Mallick et al., "Taming 3DGS", 2024, per-splat backward.
#include "gpu/blend_tile.cuh"

SPLAT_BEGIN
namespace {

constexpr int kWarps = 4;  // of a block, each with a bucket
constexpr int kRing = 2 * kWarp;

/// What a warp's lanes read of the pixels that are in its pipeline: positions p of the stream, at p % kRing.
template <int D>
struct Ring {
  float x[kRing], y[kRing];                // within the tile, px
  float transmittance[kRing], rest[kRing];  // where the bucket begins; for the first lane
  float v_colour[D ? D : 1][kRing];        // g = d(loss)/d(pixel colour)
  int64_t pixel[kRing];                    // index in [C, H, W]; only where not all channels are in v_colour
};

/// Numbers of the subtiles whose bits are set, in order, four bits each.
SPLAT_HD uint32_t listed(const uint32_t* masks, int& count) {
  uint32_t list = 0;
  count = 0;
  for (int subtile = 0; subtile < kSubtiles; ++subtile) {
    if (masks[subtile]) list |= static_cast<uint32_t>(subtile) << (4 * count++);
  }
  return list;
}

/// Puts a pixel of the bucket's active subtile, or none, where lanes will find it.
/// rest = g . (final colour - colour before the bucket) + T_final v_T, background included.
template <int D, bool WIDE>
SPLAT_HD void load_pixel(const BlendBackward& p, const BlendTrail& trail, const TileFrame& frame, int64_t bucket,
                         int subtile, bool exists, int lane, int channel, Ring<D>& ring, int slot) {
  const BlendInputs& in = p.in;
  const int column = subtile_left(subtile) + lane_column(lane), row = subtile_top(subtile) + lane_row(lane);
  float transmittance = -1.0f, rest = 0.0f;
  int64_t pixel = 0;
  for (int d = 0; d < D; ++d) ring.v_colour[d][slot] = 0.0f;
  if (exists && is_in_image(in, frame, column, row)) {
    pixel = pixel_index(in, frame, column, row);
    const float* state = trail.states + bucket * (1 + in.channels) * kTilePixels + subtile * kWarp + lane;
    transmittance = state[0];
    rest = p.transmittances[pixel] * p.v_transmittances[pixel];
    const float* v_image = p.v_image + pixel * in.channels;
    const float* image = p.image + pixel * in.channels;
    for (int d = 0; d < (WIDE ? in.channels : D); ++d) {
      rest = fma(v_image[d], image[d] - state[(1 + d) * kTilePixels], rest);
    }
    for (int d = 0; d < D; ++d) ring.v_colour[d][slot] = v_image[channel + d];
  }
  ring.x[slot] = static_cast<float>(column);
  ring.y[slot] = static_cast<float>(row);
  ring.transmittance[slot] = transmittance;
  ring.rest[slot] = rest;
  if (WIDE) ring.pixel[slot] = pixel;
}

/// All sums of D channels; where there are other numbers of channels (WIDE), one channel's, and with the first the rest.
template <int D, bool ABSGRAD, bool WIDE>
__global__ void __launch_bounds__(kWarps * kWarp) sum_instances(BlendBackward p, BlendTrail trail, int64_t buckets,
                                                                int channel) {
  using Rings = Ring<D>[kWarps];
  SPLAT_SHARED(Rings, rings);
  const BlendInputs& in = p.in;
  const int lane = threadIdx.x % kWarp;
  const int64_t bucket = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (bucket >= buckets) return;
  Ring<D>& ring = rings[threadIdx.x / kWarp];
  const int tile = trail.tiles[bucket];
  const int64_t instance = in.offsets[tile] + (bucket - first_bucket(in.offsets, tile)) * kBucket + lane;
  const bool is_mine = instance < in.offsets[tile + 1];
  const TileFrame frame = tile_frame(in, tile);

  Splat2d<float> splat{0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, -1.0f};  // covers nothing
  float colour[D ? D : 1] = {};
  const float* all_colours = nullptr;
  if (is_mine) {
    const int64_t id = in.gaussian_ids[instance];
    splat = splat_in_tile(in, frame, id);
    all_colours = in.colours + id * in.channels;
    for (int d = 0; d < D; ++d) colour[d] = all_colours[channel + d];
  }
  int active = 0;
  const uint32_t subtiles = listed(trail.masks + bucket * kSubtiles, active);

  SigmaMoments<float> moments{};
  float v_colour[D ? D : 1] = {}, abs_x = 0.0f, abs_y = 0.0f;
  float transmittance = -1.0f, rest = 0.0f;  // of the pixel that the lane holds; none yet
  for (int d = 0; d < D; ++d) ring.v_colour[d][kWarp + lane] = 0.0f;
  ring.x[kWarp + lane] = ring.y[kWarp + lane] = 0.0f;
  if (WIDE) ring.pixel[kWarp + lane] = 0;
  for (int round = 0; round <= active && active > 0; ++round) {
    // The last round brings no new pixels: it drains the pipeline.
    const int subtile = static_cast<int>(subtiles >> (4 * (round % kSubtiles))) & 15;
    load_pixel<D, WIDE>(p, trail, frame, bucket, subtile, round < active, lane, channel, ring,
                        (round % 2) * kWarp + lane);
    __syncwarp();
    for (int i = 0; i < kWarp; ++i) {
      const int position = round * kWarp + i, slot = (position - lane) & (kRing - 1), entry = position & (kRing - 1);
      transmittance = __shfl_up_sync(kWholeWarp, transmittance, 1);
      rest = __shfl_up_sync(kWholeWarp, rest, 1);
      if (lane == 0) {
        transmittance = ring.transmittance[entry];
        rest = ring.rest[entry];
      }
      const Coverage<float> cover = coverage(splat, ring.x[slot], ring.y[slot]);
      const Blend<float> step = blend(cover, transmittance);
      float along = 0.0f;
      for (int d = 0; d < D; ++d) {
        const float g = ring.v_colour[d][slot];
        if (!WIDE) along = fma(g, colour[d], along);
        v_colour[d] = fma(step.weight, g, v_colour[d]);
      }
      if (WIDE && step.accepted) {
        const float* v_image = p.v_image + ring.pixel[slot] * in.channels;
        for (int d = 0; d < in.channels; ++d) along = fma(v_image[d], all_colours[d], along);
      }
      rest = fnma(step.weight, along, rest);
      const float v_sigma = sigma_vjp(cover, step, transmittance, along, rest);
      accumulate(moments, v_sigma, cover.dx, cover.dy);
      if (ABSGRAD) {
        abs_x += abs(v_sigma * fma(2.0f * splat.half_a, cover.dx, splat.b * cover.dy));
        abs_y += abs(v_sigma * fma(splat.b, cover.dx, 2.0f * splat.half_c * cover.dy));
      }
      transmittance = step.next;
    }
    __syncwarp();
  }

  if (!is_mine) return;
  float* row = p.sums + p.slots[instance] * blend_row(in.channels, ABSGRAD);
  for (int d = 0; d < D; ++d) row[6 + channel + d] = v_colour[d];
  if (channel > 0) return;
  row[0] = moments.one;
  row[1] = moments.x;
  row[2] = moments.y;
  row[3] = moments.xx;
  row[4] = moments.xy;
  row[5] = moments.yy;
  if (ABSGRAD) {
    row[6 + in.channels] = abs_x;
    row[7 + in.channels] = abs_y;
  }
}

template <int D, bool WIDE>
void sum_channels(const BlendBackward& p, const BlendTrail& trail, int64_t buckets, int channel, Stream stream) {
  launch(p.absgrad ? sum_instances<D, true, WIDE> : sum_instances<D, false, WIDE>, blocks_for(buckets, kWarps),
         kWarps * kWarp, stream, p, trail, buckets, channel);
}

}  // namespace
SPLAT_END

namespace splat {

void blend_backward_on_gpu(const BlendBackward& p, const BlendTrail& trail, int64_t buckets, Stream stream) {
  switch (p.in.channels) {
    case 0:
      return sum_channels<0, false>(p, trail, buckets, 0, stream);
    case 1:
      return sum_channels<1, false>(p, trail, buckets, 0, stream);
    case 3:
      return sum_channels<3, false>(p, trail, buckets, 0, stream);
    case 4:
      return sum_channels<4, false>(p, trail, buckets, 0, stream);
    default:
      for (int channel = 0; channel < p.in.channels; ++channel) {
        sum_channels<1, true>(p, trail, buckets, channel, stream);
      }
  }
}

}  // namespace splat
