// The gradient of compositing one tile, front to back like forward: with the final colour known, what lies behind a
// Gaussian is the rest of it. Per instance the sums over the tile's pixels go to a place of their own, and a second
// kernel adds up each Gaussian's in their fixed order: no atomics, and the same bits for any number of threads.
#include "cpu/blend_tile.h"
#include "cpu/interleaved.h"
#include "splat/transpose.h"

SPLAT_BEGIN
namespace {

// Backward's planes.
constexpr int kRest = Pixels::kOwnPlanes;  // g . (final colour - colour so far) + T_final v_T, background included
constexpr int kVColour = kRest + 1;        // D planes: g = d(loss)/d(pixel colour)

// Blocks at a time. Two need the 32 registers that come with the longest vectors.
constexpr int kTogether = V::width < 16 ? 1 : 2;
using I = interleaved<V, kTogether>;

int planes_of(int64_t channels) { return kVColour + static_cast<int>(channels); }

/// The pixels and a block that stands in for a missing one, and a vector a channel for an instance's colour gradient.
int64_t scratch(int64_t channels) {
  return (kTilePixels + V::width) * static_cast<int64_t>(planes_of(channels)) + V::width * channels;
}

void load_pixels(const BlendBackward& p, const TileFrame& frame, const Pixels& pixels) {
  const int channels = p.in.channels;
  pixels.start(frame);
  pixels.each(frame, [&](float* lane, int64_t pixel) {
    float rest = p.transmittances[pixel] * p.v_transmittances[pixel];
    for (int d = 0; d < channels; ++d) {
      const float g = p.v_image[pixel * channels + d];
      lane[(kVColour + d) * V::width] = g;
      rest = fma(g, p.image[pixel * channels + d], rest);
    }
    lane[kRest * V::width] = rest;
  });
}

/// d(loss)/d(background) = sum over the tile's pixels of T g.
void background_share(const BlendBackward& p, int64_t tile, const TileFrame& frame, const Pixels& pixels) {
  const int channels = p.in.channels;
  float* shares = p.v_background + tile * channels;
  for (int d = 0; d < channels; ++d) shares[d] = 0.0f;
  pixels.each(frame, [&](const float*, int64_t pixel) {
    for (int d = 0; d < channels; ++d) {
      shares[d] = fma(p.transmittances[pixel], p.v_image[pixel * channels + d], shares[d]);
    }
  });
}

/// Adds up each vector's lanes. As many vectors as they have lanes are transposed and added to one another.
inline void sum_lanes(V* vectors, int count, float* sums) {
  int i = 0;
  for (; i + V::width <= count; i += V::width) {
    transpose(vectors + i);
    V total = vectors[i];
    for (int j = 1; j < V::width; ++j) total += vectors[i + j];
    total.store(sums + i);
  }
  for (; i < count; ++i) sums[i] = sum(vectors[i]);
}

/// One instance over the blocks where forward found it visible; its sums go to `row`.
template <int D, bool ABSGRAD>
void instance(const Splat2d<I>& splat, const float* colour, int any_channels, uint64_t mask, float* memory,
              float* colour_sums, float* row) {
  const int channels = D ? D : any_channels, planes = planes_of(channels);
  SigmaMoments<V> moments{V(0.0f), V(0.0f), V(0.0f), V(0.0f), V(0.0f), V(0.0f)};
  V abs_x(0.0f), abs_y(0.0f);
  V fixed_sums[D ? D : 1];
  for (int d = 0; d < D; ++d) fixed_sums[d] = V(0.0f);
  if (!D) {
    for (int d = 0; d < channels; ++d) V(0.0f).store(colour_sums + d * V::width);
  }
  while (mask) {
    float* at[kTogether];
    for (int k = 0; k < kTogether; ++k, mask &= mask - 1) {
      at[k] = memory + (mask ? lowest_bit(mask) : kBlocks) * planes * V::width;
    }
    const auto load = [&](int index) { return I::from([&](int k) { return V::load(at[k] + index * V::width); }); };
    const auto store = [&](const I& values, int index) {
      for (int k = 0; k < kTogether; ++k) values.of[k].store(at[k] + index * V::width);
    };
    const Coverage<I> cover = coverage(splat, load(Pixels::kX), load(Pixels::kY));
    const I transmittance = load(Pixels::kTransmittance);
    const Blend<I> step = blend(cover, transmittance);
    store(step.next, Pixels::kTransmittance);
    I along(0.0f);
    for (int d = 0; d < channels; ++d) {
      const I g = load(kVColour + d);
      along = fma(g, I(colour[d]), along);
      for (int k = 0; k < kTogether; ++k) {
        if (D) {
          fixed_sums[d] = fma(step.weight.of[k], g.of[k], fixed_sums[d]);
        } else {
          fma(step.weight.of[k], g.of[k], V::load(colour_sums + d * V::width)).store(colour_sums + d * V::width);
        }
      }
    }
    const I share = step.weight * along;
    const I rest = load(kRest) - share;
    store(rest, kRest);
    const I v_sigma = sigma_vjp(cover, step, share, rest);
    for (int k = 0; k < kTogether; ++k) {
      const V v = v_sigma.of[k], dx = cover.dx.of[k], dy = cover.dy.of[k];
      accumulate(moments, v, dx, dy);
      if (ABSGRAD) {
        const V two(2.0f), half_a = splat.half_a.of[0], b = splat.b.of[0], half_c = splat.half_c.of[0];
        abs_x += abs(v * fma(two * half_a, dx, b * dy));
        abs_y += abs(v * fma(b, dx, two * half_c * dy));
      }
    }
  }
  V sums[6 + D] = {moments.one, moments.x, moments.y, moments.xx, moments.xy, moments.yy};
  for (int d = 0; d < D; ++d) sums[6 + d] = fixed_sums[d];
  sum_lanes(sums, 6 + D, row);
  if (!D) {
    for (int d = 0; d < channels; ++d) row[6 + d] = sum(V::load(colour_sums + d * V::width));
  }
  if (ABSGRAD) {
    row[6 + channels] = sum(abs_x);
    row[7 + channels] = sum(abs_y);
  }
}

template <int D, bool ABSGRAD>
void instances(const BlendBackward& p, int64_t tile, const TileFrame& frame, const Pixels& pixels,
               float* colour_sums) {
  const int channels = D ? D : p.in.channels;
  const int64_t row = blend_row(channels, ABSGRAD);
  const int64_t last = p.in.offsets[tile + 1];
  constexpr int kAhead = 4;  // instances; rows lie by Gaussian, so a tile's are all over memory
  Batch batch;
  for (int64_t first = p.in.offsets[tile]; first < last; first += batch.size) {
    batch.fetch(p.in, frame, first, last);
    for (int i = 0; i < batch.size; ++i) {
      const uint64_t mask = static_cast<uint64_t>(p.blocks[first + i]);
      float* sums = p.sums + p.slots[first + i] * row;
      if (first + i + kAhead < last) {
        const float* ahead = p.sums + p.slots[first + i + kAhead] * row;
        prefetch(ahead);
        prefetch(ahead + row - 1);
      }
      if (mask) {
        instance<D, ABSGRAD>(batch.splat<I>(i), batch.colour[i], channels, mask, pixels.memory, colour_sums, sums);
      } else {
        for (int64_t j = 0; j < row; ++j) sums[j] = 0.0f;
      }
    }
  }
}

template <bool ABSGRAD>
void instances_by_channels(const BlendBackward& p, int64_t tile, const TileFrame& frame, const Pixels& pixels,
                           float* colour_sums) {
  switch (p.in.channels) {
    case 1:
      return instances<1, ABSGRAD>(p, tile, frame, pixels, colour_sums);
    case 3:
      return instances<3, ABSGRAD>(p, tile, frame, pixels, colour_sums);
    case 4:
      return instances<4, ABSGRAD>(p, tile, frame, pixels, colour_sums);
    default:
      return instances<0, ABSGRAD>(p, tile, frame, pixels, colour_sums);
  }
}

void tile(const BlendBackward& p, int64_t index, float* memory) {
  const TileFrame frame(p.in, index);
  const Pixels pixels{memory, planes_of(p.in.channels)};
  load_pixels(p, frame, pixels);
  if (p.v_background) background_share(p, index, frame, pixels);
  float* colour_sums = memory + static_cast<int64_t>(pixels.planes) * (kTilePixels + V::width);
  // Nothing is accepted where T is negative.
  for (int i = 0; i < pixels.planes; ++i) V(-1.0f).store(pixels.block(kBlocks) + i * V::width);
  if (p.absgrad) {
    instances_by_channels<true>(p, index, frame, pixels, colour_sums);
  } else {
    instances_by_channels<false>(p, index, frame, pixels, colour_sums);
  }
}

/// Adds up the rows of each Gaussian's instances, and turns the moments into gradients.
void gather(const BlendGather& p, int64_t begin, int64_t end) {
  const int64_t row = blend_row(p.channels, p.v_absgrad != nullptr);
  for (int64_t g = begin; g < end; ++g) {
    SigmaMoments<float> moments{};
    float abs_x = 0.0f, abs_y = 0.0f;
    float* v_colour = p.v_colours + g * p.channels;
    for (int d = 0; d < p.channels; ++d) v_colour[d] = 0.0f;
    for (int64_t slot = p.gaussian_offsets[g]; slot < p.gaussian_offsets[g + 1]; ++slot) {
      const float* sums = p.sums + slot * row;
      moments.one += sums[0];
      moments.x += sums[1];
      moments.y += sums[2];
      moments.xx += sums[3];
      moments.xy += sums[4];
      moments.yy += sums[5];
      for (int d = 0; d < p.channels; ++d) v_colour[d] += sums[6 + d];
      if (p.v_absgrad) {
        abs_x += sums[6 + p.channels];
        abs_y += sums[7 + p.channels];
      }
    }
    const float* conic = p.conics + 3 * g;
    // A culled Gaussian has opacity 0 and no instances.
    const float opacity = p.opacities[g] > 0.0f ? p.opacities[g] : 1.0f;
    const Splat2dGradient<float> v = splat2d_vjp(moments, conic[0], conic[1], conic[2], opacity);
    p.v_means2d[2 * g] = v.x;
    p.v_means2d[2 * g + 1] = v.y;
    p.v_conics[3 * g] = v.a;
    p.v_conics[3 * g + 1] = v.b;
    p.v_conics[3 * g + 2] = v.c;
    p.v_opacities[g] = v.opacity;
    if (p.v_absgrad) {
      p.v_absgrad[2 * g] = abs_x;
      p.v_absgrad[2 * g + 1] = abs_y;
    }
  }
}

}  // namespace

BlendBackwardKernels blend_backward_kernels() { return {scratch, tile, gather}; }

SPLAT_END
