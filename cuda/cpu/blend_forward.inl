// Compositing one tile: Gaussian by Gaussian in depth order, each over the blocks of pixels that its ellipse touches.
// The state of all 256 pixels stays in the first-level cache. Every block that an instance contributed to is noted, so
// that backward visits no other.
#include "cpu/blend_tile.h"

SPLAT_BEGIN
namespace {

/// Which blocks each Gaussian of the batch can reach: the blocks of a row of blocks lie between the ends of its span.
/// One lane is one Gaussian; a row's blocks are the bits of a small number 2^after - 2^first, exact as a float.
void reachable_blocks(const Batch& batch, uint64_t* masks) {
  constexpr int kRowsAtOnce = 16 / kBlocksAcross < kBlocksDown ? 16 / kBlocksAcross : kBlocksDown;
  // Rounded to the nearest integer: ceil of the first block's number, floor of the last one's, with a little room.
  const V per_column(1.0f / kBlockColumns), before(1.0f / kBlockColumns - 0.51f), behind(0.51f);
  const V zero(0.0f), one(1.0f), across(kBlocksAcross), magic(kRoundingMagic);
  for (int i = 0; i < batch.size; i += V::width) {
    const Ellipse<V> e = ellipse(V::load(batch.x + i), V::load(batch.y + i), V::load(batch.a + i),
                                 V::load(batch.b + i), V::load(batch.c + i), V::load(batch.limit + i));
    for (int lane = 0; lane < V::width; ++lane) masks[i + lane] = 0;
    for (int row = 0; row < kBlocksDown; row += kRowsAtOnce) {
      V bits = zero;
      for (int r = 0; r < kRowsAtOnce; ++r) {
        const float top = static_cast<float>((row + r) * kBlockRows);
        const Span<V> span = band_span(e, V(top), V(top + (kBlockRows - 1)));
        const V first = clamp(fma(span.left, per_column, before), zero, across);
        const V after = clamp(fma(span.right, per_column, behind), zero, across);
        const V row_bits = add_to_exponent(one, after + magic) - add_to_exponent(one, first + magic);
        const V place(static_cast<float>(1 << (r * kBlocksAcross)));
        bits = fma(keep(!span.is_empty, max(row_bits, zero)), place, bits);
      }
      float lanes[V::width];
      bits.store(lanes);
      for (int lane = 0; lane < V::width; ++lane) {
        masks[i + lane] |= static_cast<uint64_t>(static_cast<int32_t>(lanes[lane])) << (row * kBlocksAcross);
      }
    }
  }
}

// Forward's planes: D colours, then the median's ids as bits if they are wanted.
constexpr int kColour = Pixels::kOwnPlanes;

int planes_of(int64_t channels) { return kColour + static_cast<int>(channels) + 1; }
int64_t scratch(int64_t channels) { return kTilePixels * static_cast<int64_t>(planes_of(channels)); }

float bits_as_float(int32_t bits) {
  float result;
  memcpy(&result, &bits, sizeof(result));
  return result;
}

/// Blocks in which some pixel has not stopped.
uint64_t live_blocks(const Pixels& pixels) {
  uint64_t live = 0;
  for (int block = 0; block < kBlocks; ++block) {
    const V transmittance = V::load(pixels.block(block) + Pixels::kTransmittance * V::width);
    live |= static_cast<uint64_t>(any(transmittance > V(0.0f))) << block;
  }
  return live;
}

/// Composites one Gaussian over the blocks of a mask. Returns those where it was visible.
template <int D, bool MEDIAN>
uint64_t composite(const Splat2d<V>& splat, const float* colour, int any_channels, int32_t id, uint64_t mask,
                   float* memory) {
  const int channels = D ? D : any_channels, planes = planes_of(channels);
  uint64_t visible = 0;
  for (; mask; mask &= mask - 1) {
    const int block = lowest_bit(mask);
    const auto plane = [&](int index) { return memory + (block * planes + index) * V::width; };
    const Coverage<V> cover = coverage(splat, V::load(plane(Pixels::kX)), V::load(plane(Pixels::kY)));
    const V transmittance = V::load(plane(Pixels::kTransmittance));
    const Blend<V> step = blend(cover, transmittance);
    step.next.store(plane(Pixels::kTransmittance));
    for (int d = 0; d < channels; ++d) {
      fma(step.weight, V(colour[d]), V::load(plane(kColour + d))).store(plane(kColour + d));
    }
    if (MEDIAN) {
      const V half(0.5f);
      const auto falls = step.accepted & (transmittance >= half) & (step.next < half);
      float* median = plane(kColour + channels);
      select(falls, V(bits_as_float(id)), V::load(median)).store(median);
    }
    visible |= static_cast<uint64_t>(any(step.accepted)) << block;
  }
  return visible;
}

template <int D, bool MEDIAN>
void composite_tile(const BlendForward& p, int64_t tile, const TileFrame& frame, const Pixels& pixels) {
  const int64_t last = p.in.offsets[tile + 1];
  int64_t first = p.in.offsets[tile];
  Batch batch;
  uint64_t masks[Batch::kSize];
  for (uint64_t live = live_blocks(pixels); first < last && live; live = live_blocks(pixels)) {
    batch.fetch(p.in, frame, first, last);
    reachable_blocks(batch, masks);
    for (int i = 0; i < batch.size; ++i, ++first) {
      const uint64_t visible = composite<D, MEDIAN>(batch.splat(i), batch.colour[i], p.in.channels,
                                                    p.in.gaussian_ids[first], masks[i] & live, pixels.memory);
      if (p.blocks) p.blocks[first] = static_cast<int64_t>(visible);
    }
  }
  if (!p.blocks) return;
  for (; first < last; ++first) p.blocks[first] = 0;
}

/// Specialised for the usual numbers of channels, so that colours stay in registers; 0 takes any number.
template <bool MEDIAN>
void composite_channels(const BlendForward& p, int64_t tile, const TileFrame& frame, const Pixels& pixels) {
  switch (p.in.channels) {
    case 1:
      return composite_tile<1, MEDIAN>(p, tile, frame, pixels);
    case 3:
      return composite_tile<3, MEDIAN>(p, tile, frame, pixels);
    case 4:
      return composite_tile<4, MEDIAN>(p, tile, frame, pixels);
    default:
      return composite_tile<0, MEDIAN>(p, tile, frame, pixels);
  }
}

void tile(const BlendForward& p, int64_t index, float* memory) {
  const TileFrame frame(p.in, index);
  const int channels = p.in.channels;
  const Pixels pixels{memory, planes_of(channels)};
  pixels.start(frame);
  if (p.median_ids) {
    frame.for_pixels([&](int column, int row, int64_t) {
      pixels.at(column, row, kColour + channels) = bits_as_float(-1);
    });
    composite_channels<true>(p, index, frame, pixels);
  } else {
    composite_channels<false>(p, index, frame, pixels);
  }

  const float* background = p.in.background ? p.in.background + frame.camera * channels : nullptr;
  frame.for_pixels([&](int column, int row, int64_t pixel) {
    const float transmittance = abs(pixels.at(column, row, Pixels::kTransmittance));
    p.transmittances[pixel] = transmittance;
    for (int d = 0; d < channels; ++d) {
      const float behind = background ? transmittance * background[d] : 0.0f;
      p.image[pixel * channels + d] = pixels.at(column, row, kColour + d) + behind;
    }
    if (p.median_ids) memcpy(p.median_ids + pixel, &pixels.at(column, row, kColour + channels), sizeof(int32_t));
  });
}

}  // namespace

BlendForwardKernels blend_forward_kernels() { return {scratch, tile}; }

SPLAT_END
