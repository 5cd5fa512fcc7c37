// Noise on the centres: of a block of Gaussians those that move, as columns. What a Gaussian gets depends on its index
// and itself alone, so any division into blocks gives the same bits.
#include "cpu/project_common.h"
#include "splat/ops/tremor.h"

SPLAT_BEGIN
namespace {

static_assert(kTremorBlock <= kProjectBlock, "a block's Gaussians fit into Columns");

int moving_rows(const TremorParams& a, int64_t begin, int64_t end, int32_t* rows) {
  int count = 0;
  for (int64_t i = begin; i < end; ++i) {
    rows[count] = static_cast<int32_t>(i - begin);
    count += a.opacity_logits[i] < a.tremor.still_logit;
  }
  return count;
}

void offsets(const TremorParams& a, int64_t begin, int64_t end) {
  float* const out = a.offsets + 3 * begin;
  memset(out, 0, 3 * (end - begin) * sizeof(float));
  int32_t rows[kTremorBlock];
  const int count = moving_rows(a, begin, end, rows), vectors_end = padded(rows, count);
  Inputs in;
  in.gather<4>(kQuat, a.quats + 4 * begin, rows, vectors_end);
  in.gather<3>(kLogScale, a.log_scales + 3 * begin, rows, vectors_end);
  in.gather<1>(kLogit, a.opacity_logits + begin, rows, vectors_end);
  Columns<4> uniform;
  for (int k = 0; k < 4; ++k) {
    for (int j = 0; j < vectors_end; ++j) uniform.values[k][j] = tremor_uniform(a.seed, begin + rows[j], k);
  }
  Columns<3> moved;
  for (int place = 0; place < count; place += V::width) {
    const Quat<V> quat = {in.at(kQuat, place), in.at(kQuat + 1, place), in.at(kQuat + 2, place),
                          in.at(kQuat + 3, place)};
    const Vec3<V> normal =
        normals(uniform.at(0, place), uniform.at(1, place), uniform.at(2, place), uniform.at(3, place));
    moved.set3(0, place, tremor(quat, in.at3(kLogScale, place), in.at(kLogit, place), normal, a.tremor));
  }
  for (int j = 0; j < count; ++j) moved.copy<3>(0, j, out + 3 * rows[j]);
}

}  // namespace

TremorKernel tremor_kernel() { return offsets; }

SPLAT_END
