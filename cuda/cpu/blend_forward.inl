// Compositing one tile: a batch of Gaussians at a time, over one cell of pixels after the other. A cell's pixels stay
// in registers while those of the batch that can reach it pass in depth order. Every block that an instance contributed
// to is noted, so that backward visits no other.
#include "cpu/blend_tile.h"
#include "cpu/interleaved.h"

SPLAT_BEGIN
namespace {

// A cell is a block or, as long vectors make up for few of them, two short ones, one above the other.
constexpr int kCellBlocks = V::width < 16 ? 2 : 1;
constexpr int kCellRows = kCellBlocks * kBlockRows;
constexpr int kCells = kBlocks / kCellBlocks;
using Cell = interleaved<V, kCellBlocks>;

/// The cell's k-th block, kBlocksAcross behind the one above it.
constexpr int block_of(int cell, int k) {
  return (cell / kBlocksAcross * kCellBlocks + k) * kBlocksAcross + cell % kBlocksAcross;
}

/// Which Gaussians of the batch can reach each cell: in its rows, their ellipses come into its columns. One lane is one
/// Gaussian, and bit i of a cell's word is Gaussian i.
void reachable(const Batch& batch, uint64_t* gaussians) {
  const float room = 0.04f;  // px, for rounding
  const V two(2.0f);
  for (int cell = 0; cell < kCells; ++cell) gaussians[cell] = 0;
  for (int i = 0; i < batch.size; i += V::width) {
    const int count = batch.size - i < V::width ? batch.size - i : V::width;
    const uint64_t lanes = (uint64_t{1} << count) - 1;
    const Ellipse<V> e =
        ellipse(V::load(batch.x + i), V::load(batch.y + i), two * V::load(batch.half_a + i), V::load(batch.b + i),
                two * V::load(batch.half_c + i), V::load(batch.limit + i));
    for (int cell = 0; cell < kCells; cell += kBlocksAcross) {
      const float top = static_cast<float>(cell / kBlocksAcross * kCellRows);
      const Span<V> span = band_span(e, V(top), V(top + (kCellRows - 1)));
      for (int across = 0; across < kBlocksAcross; ++across) {
        const float left = static_cast<float>(across * kBlockColumns);
        // A span of NaN misses none.
        const auto misses =
            span.is_empty | (span.right < V(left - room)) | (span.left > V(left + (kBlockColumns - 1) + room));
        gaussians[cell + across] |= (~misses.bits() & lanes) << i;
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

/// Cells in which some pixel has not stopped.
uint64_t live_cells(const Pixels& pixels) {
  uint64_t live = 0;
  for (int cell = 0; cell < kCells; ++cell) {
    V most(-1.0f);
    for (int k = 0; k < kCellBlocks; ++k) {
      most = max(most, V::load(pixels.block(block_of(cell, k)) + Pixels::kTransmittance * V::width));
    }
    live |= static_cast<uint64_t>(any(most > V(0.0f))) << cell;
  }
  return live;
}

/// Composites those Gaussians of the batch that the mask names over a cell. Notes in `visible` where they were seen, a
/// word of blocks each.
template <int D, bool MEDIAN>
void composite(const Batch& batch, const int32_t* ids, int any_channels, int cell, uint64_t mask, const Pixels& pixels,
               uint64_t* visible) {
  const int channels = D ? D : any_channels;
  const auto plane = [&](int index, int k) { return pixels.block(block_of(cell, k)) + index * V::width; };
  const auto load = [&](int index) { return Cell::from([&](int k) { return V::load(plane(index, k)); }); };
  const auto store = [&](const Cell& values, int index) {
    for (int k = 0; k < kCellBlocks; ++k) values.of[k].store(plane(index, k));
  };
  const Cell x(V::load(plane(Pixels::kX, 0))), y = load(Pixels::kY);
  Cell transmittance = load(Pixels::kTransmittance), median = load(kColour + channels);
  Cell colours[D ? D : 1];
  for (int d = 0; d < D; ++d) colours[d] = load(kColour + d);
  for (; mask; mask &= mask - 1) {
    const int i = lowest_bit(mask);
    const Blend<Cell> step = blend(coverage(batch.splat<Cell>(i), x, y), transmittance);
    const float* colour = batch.colour[i];
    for (int d = 0; d < channels; ++d) {
      if (D) {
        colours[d] = fma(step.weight, Cell(colour[d]), colours[d]);
      } else {
        store(fma(step.weight, Cell(colour[d]), load(kColour + d)), kColour + d);
      }
    }
    if (MEDIAN) {
      const Cell half(0.5f);
      const auto falls = step.accepted & (transmittance >= half) & (step.next < half);
      median = select(falls, Cell(bits_as_float(ids[i])), median);
    }
    transmittance = step.next;
    uint64_t seen = 0;  // without branches, which would be mispredicted
    for (int k = 0; k < kCellBlocks; ++k) {
      seen |= (uint64_t{0} - uint64_t{any(step.accepted.of[k])}) & (uint64_t{1} << block_of(cell, k));
    }
    visible[i] |= seen;
  }
  store(transmittance, Pixels::kTransmittance);
  for (int d = 0; d < D; ++d) store(colours[d], kColour + d);
  if (MEDIAN) store(median, kColour + channels);
}

/// Writes the tile's part of the image.
template <int D, bool MEDIAN>
void write(const BlendForward& p, const TileFrame& frame, const Pixels& pixels) {
  const int channels = D ? D : p.in.channels;
  const float* background = p.in.background ? p.in.background + frame.camera * channels : nullptr;
  pixels.each(frame, [&](const float* lane, int64_t pixel) {
    const float transmittance = abs(lane[Pixels::kTransmittance * V::width]);
    p.transmittances[pixel] = transmittance;
    for (int d = 0; d < channels; ++d) {
      const float behind = background ? transmittance * background[d] : 0.0f;
      p.image[pixel * channels + d] = lane[(kColour + d) * V::width] + behind;
    }
    if (MEDIAN) memcpy(p.median_ids + pixel, &lane[(kColour + channels) * V::width], sizeof(int32_t));
  });
}

/// Batch by batch, until no pixel is left that more could be seen through.
template <int D, bool MEDIAN>
void composite_tile(const BlendForward& p, int64_t tile, const TileFrame& frame, const Pixels& pixels) {
  const int64_t last = p.in.offsets[tile + 1];
  int64_t first = p.in.offsets[tile];
  Batch batch;
  uint64_t gaussians[kCells], visible[Batch::kSize];
  for (uint64_t live = live_cells(pixels); first < last && live; live = live_cells(pixels), first += batch.size) {
    batch.fetch(p.in, frame, first, last);
    reachable(batch, gaussians);
    for (int i = 0; i < batch.size; ++i) visible[i] = 0;
    for (; live; live &= live - 1) {
      const int cell = lowest_bit(live);
      composite<D, MEDIAN>(batch, p.in.gaussian_ids + first, p.in.channels, cell, gaussians[cell], pixels, visible);
    }
    if (p.blocks) memcpy(p.blocks + first, visible, batch.size * sizeof(uint64_t));
  }
  if (p.blocks) memset(p.blocks + first, 0, (last - first) * sizeof(int64_t));
  write<D, MEDIAN>(p, frame, pixels);
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
  // By the time they are written, they are at hand.
  frame.prefetch_pixels(p.image, channels);
  frame.prefetch_pixels(p.transmittances, 1);
  if (p.median_ids) {
    for (int i = 0; i < kBlocks; ++i) V(bits_as_float(-1)).store(pixels.block(i) + (kColour + channels) * V::width);
    composite_channels<true>(p, index, frame, pixels);
  } else {
    composite_channels<false>(p, index, frame, pixels);
  }
}

}  // namespace

BlendForwardKernels blend_forward_kernels() { return {scratch, tile}; }

SPLAT_END
