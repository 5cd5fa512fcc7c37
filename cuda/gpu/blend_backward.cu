// The gradient of compositing on the GPU, parallel over Gaussians: a warp a bucket, group by group, a lane an instance.
//
// Pixels pass through the lanes as through a pipeline: at each step a lane composites its own instance over the pixel
// that the lane before it has just done with, so that every pixel meets the instances in depth order and every sum over
// pixels stays in the registers of one lane. Pixels start from the state that forward noted where the bucket begins and
// wait in shared memory for the next group; only those of subtiles that an instance may reach are visited. Sums go to a
// place of each instance's own and are added up in a fixed order: there are no atomics, and results don't differ from
// run to run.
// Source: Mallick et al., "Taming 3DGS", 2024, per-splat backward.
#include "gpu/blend_tile.cuh"

SPLAT_BEGIN
namespace {

constexpr int kWarps = 4;  // of a block, each with a bucket

/// The pixels of a tile, subtile by subtile, as far as a bucket has come.
template <int D>
struct Pixels {
  float transmittance[kTilePixels];
  float rest[kTilePixels];                    // g . (final colour - colour so far) + T_final v_T, background included
  float v_colour[D ? D : 1][kTilePixels];     // g = d(loss)/d(pixel colour)
};

/// Sets the pixels of one subtile to where the bucket begins.
template <int D, bool WIDE>
__device__ __forceinline__ void load(const BlendBackward& p, const BlendTrail& trail, const TileFrame& frame,
                                     int64_t bucket, int subtile, int lane, int channel, Pixels<D>& pixels) {
  const BlendInputs& in = p.in;
  const int at = subtile * kWarp + lane;
  const int column = subtile_left(subtile) + lane_column(lane), row = subtile_top(subtile) + lane_row(lane);
  float transmittance = -1.0f, rest = 0.0f;
  for (int d = 0; d < D; ++d) pixels.v_colour[d][at] = 0.0f;
  if (is_in_image(in, frame, column, row)) {
    const int64_t pixel = pixel_index(in, frame, column, row);
    const float* state = trail.states + bucket * (1 + in.channels) * kTilePixels + at;
    transmittance = state[0];
    rest = p.transmittances[pixel] * p.v_transmittances[pixel];
    const float* v_image = p.v_image + pixel * in.channels;
    const float* image = p.image + pixel * in.channels;
    for (int d = 0; d < (WIDE ? in.channels : D); ++d) {
      rest = fma(v_image[d], image[d] - state[(1 + d) * kTilePixels], rest);
    }
    for (int d = 0; d < D; ++d) pixels.v_colour[d][at] = v_image[channel + d];
  }
  pixels.transmittance[at] = transmittance;
  pixels.rest[at] = rest;
}

/// All sums of D channels; where there are other numbers of channels (WIDE), one channel's, and the others with the
/// first.
template <int D, bool ABSGRAD, bool WIDE>
__global__ void __launch_bounds__(kWarps* kWarp) sum_instances(BlendBackward p, BlendTrail trail, int channel) {
  using AllPixels = Pixels<D>[kWarps];
  using Centres = float2[kTilePixels];
  SPLAT_SHARED(AllPixels, all_pixels);
  SPLAT_SHARED(Centres, centres);  // within the tile: conversions cost more than this table
  const BlendInputs& in = p.in;
  const int lane = threadIdx.x % kWarp;
  for (int at = threadIdx.x; at < kTilePixels; at += kWarps * kWarp) {
    const int subtile = at / kWarp, of = at % kWarp;
    centres[at] = make_float2(static_cast<float>(subtile_left(subtile) + lane_column(of)),
                              static_cast<float>(subtile_top(subtile) + lane_row(of)));
  }
  __syncthreads();
  const int64_t bucket = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (bucket >= first_bucket(trail, in.offsets, trail.buckets.tiles)) return;
  Pixels<D>& pixels = all_pixels[threadIdx.x / kWarp];
  const int tile = trail.tiles[bucket], groups = trail.buckets.groups;
  const TileFrame frame = tile_frame(in, tile);
  const int64_t end = in.offsets[tile + 1];
  int64_t first = in.offsets[tile] + (bucket - first_bucket(trail, in.offsets, tile)) * groups * kGroup;
  const uint32_t* masks = trail.masks + bucket * groups * kSubtiles;

  unsigned loaded = 0;  // subtiles, a bit each
  for (int group = 0; group < groups && first < end; ++group, first += kGroup, masks += kSubtiles) {
    // The group's subtiles, in order, four bits each.
    uint32_t subtiles = 0;
    int active = 0;
    for (int subtile = 0; subtile < kSubtiles; ++subtile) {
      if (masks[subtile] == 0) continue;
      subtiles |= static_cast<uint32_t>(subtile) << (4 * active++);
      if (loaded >> subtile & 1) continue;
      loaded |= 1u << subtile;
      load<D, WIDE>(p, trail, frame, bucket, subtile, lane, channel, pixels);
    }
    __syncwarp();

    const int64_t instance = first + lane;
    Splat2d<float> splat{0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, -1.0f};  // covers nothing
    float colour[D ? D : 1] = {};
    const float* all_colours = nullptr;
    if (instance < end) {
      const int64_t id = in.gaussian_ids[instance];
      splat = splat_in_tile(in, frame, id);
      all_colours = in.colours + id * in.channels;
      for (int d = 0; d < D; ++d) colour[d] = all_colours[channel + d];
    }
    SigmaMoments<float> moments{};
    float v_colour[D ? D : 1] = {}, abs_x = 0.0f, abs_y = 0.0f;
    float transmittance = -1.0f, rest = 0.0f;  // of the pixel that the lane holds
    const int positions = active * kWarp, steps = active ? positions + kWarp - 1 : 0;
    for (int i = 0; i < steps; ++i) {
      const int position = i - lane;
      const bool has_pixel = position >= 0 && position < positions;
      // Any pixel where there is none: it counts as stopped.
      const int subtile = static_cast<int>(subtiles >> (position / kWarp * 4) & 7);
      const int at = has_pixel ? subtile * kWarp + position % kWarp : 0;
      transmittance = __shfl_up_sync(kWholeWarp, transmittance, 1);
      rest = __shfl_up_sync(kWholeWarp, rest, 1);
      if (lane == 0) {
        transmittance = has_pixel ? pixels.transmittance[at] : -1.0f;
        rest = has_pixel ? pixels.rest[at] : 0.0f;
      }
      const float2 centre = centres[at];
      const Coverage<float> cover = coverage(splat, centre.x, centre.y);
      const Blend<float> step = blend(cover, transmittance);
      float along = 0.0f;
      for (int d = 0; d < D; ++d) {
        const float g = has_pixel ? pixels.v_colour[d][at] : 0.0f;
        if (!WIDE) along = fma(g, colour[d], along);
        v_colour[d] = fma(step.weight, g, v_colour[d]);
      }
      if (WIDE && step.accepted) {
        const int column = static_cast<int>(centre.x), row = static_cast<int>(centre.y);
        const float* v_image = p.v_image + pixel_index(in, frame, column, row) * in.channels;
        for (int d = 0; d < in.channels; ++d) along = fma(v_image[d], all_colours[d], along);
      }
      const float share = step.weight * along;
      rest -= share;
      const float v_sigma = sigma_vjp(cover, step, share, rest);
      accumulate(moments, v_sigma, cover.dx, cover.dy);
      if (ABSGRAD) {
        abs_x += abs(v_sigma * fma(2.0f * splat.half_a, cover.dx, splat.b * cover.dy));
        abs_y += abs(v_sigma * fma(splat.b, cover.dx, 2.0f * splat.half_c * cover.dy));
      }
      transmittance = step.next;
      if (lane == kWarp - 1 && has_pixel) {
        pixels.transmittance[at] = transmittance;
        pixels.rest[at] = rest;
      }
    }
    __syncwarp();

    if (instance >= end) continue;
    float* row = p.sums + p.slots[instance] * blend_row(in.channels, ABSGRAD);
    for (int d = 0; d < D; ++d) row[6 + channel + d] = v_colour[d];
    if (channel > 0) continue;
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
}

template <int D, bool WIDE>
void sum_channels(const BlendBackward& p, const BlendTrail& trail, int channel, Stream stream) {
  launch(p.absgrad ? sum_instances<D, true, WIDE> : sum_instances<D, false, WIDE>,
         blocks_for(trail.buckets.count, kWarps), kWarps * kWarp, stream, p, trail, channel);
}

}  // namespace
SPLAT_END

namespace splat {

void blend_backward_on_gpu(const BlendBackward& p, const BlendTrail& trail, Stream stream) {
  switch (p.in.channels) {
    case 0:
      return sum_channels<0, false>(p, trail, 0, stream);
    case 1:
      return sum_channels<1, false>(p, trail, 0, stream);
    case 3:
      return sum_channels<3, false>(p, trail, 0, stream);
    case 4:
      return sum_channels<4, false>(p, trail, 0, stream);
    default:
      for (int channel = 0; channel < p.in.channels; ++channel) sum_channels<1, true>(p, trail, channel, stream);
  }
}

}  // namespace splat
