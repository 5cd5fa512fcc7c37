// Projection, backward: gradients of Gaussians and of viewmats.
//
// A block of Gaussians is taken camera by camera; the visible ones are recomputed in full vectors, and their gradients
// added to the Gaussians' own rows, in the order of the cameras. The viewmats' gradient is summed lane by lane.
#include "cpu/project_common.h"

SPLAT_BEGIN
namespace {

enum CotangentColumn { kMean2d = 0, kDepth = 2, kConic = 3, kOpacity = 6, kCotangentColumns = 7 };
using Cotangents = Columns<kCotangentColumns>;
using Gradients = Columns<kInputColumns>;

void clear(const ProjectParams& a, const GaussianRows& out, int64_t count) {
  memset(out.means, 0, 3 * count * sizeof(float));
  memset(out.quats, 0, 4 * count * sizeof(float));
  memset(out.log_scales, 0, 3 * count * sizeof(float));
  memset(out.opacity_logits, 0, count * sizeof(float));
  memset(out.sh, 0, sh_stride(a) * count * sizeof(float));
}

/// Adds to dL/dsh of up to V::width Gaussians, `indices` being as many whole ones; returns dL/d(mean - camera centre).
Vec3<V> colour_vjp(const ProjectParams& a, const ProjectCotangents& in, const GaussianRows& out, const Camera& camera,
                   Vec3<V> mean, const int32_t* indices, int count, int64_t begin, int64_t row) {
  V Y[kMaxShCoefficients], v_Y[kMaxShCoefficients], inverse_length;
  const Vec3<V> offset = mean + broadcast<V>(camera.minus_centre);
  const Vec3<V> direction = sh_direction(offset, inverse_length);
  sh_basis(direction, a.sh_degree, Y);

  float unclamped[3][V::width];
  float* v_rows[V::width];
  for (int lane = 0; lane < V::width; ++lane) {
    const int64_t at = 3 * (row + indices[lane]);
    for (int i = 0; i < 3; ++i) unclamped[i][lane] = in.colours[at + i] > 0.0f ? in.v_colours[at + i] : 0.0f;
    v_rows[lane] = static_cast<float*>(out.sh) + sh_stride(a) * indices[lane];
  }
  const Vec3<V> v_rgb = {V::load(unclamped[0]), V::load(unclamped[1]), V::load(unclamped[2])};
  ShColumns c;
  c.load(a, begin, indices);
  for (int k = 0; k < sh_used(a); ++k) {
    v_Y[k] = dot(c.at(k), v_rgb);
    c.set(k, {Y[k] * v_rgb.x, Y[k] * v_rgb.y, Y[k] * v_rgb.z});
  }
  c.add_to(v_rows, count, 3 * sh_used(a));
  return sh_direction_vjp(offset, direction, inverse_length, sh_basis_vjp(direction, a.sh_degree, v_Y));
}

ProjectedCotangent<V> cotangent_at(const Cotangents& v, int place) {
  return {{v.at(kMean2d, place), v.at(kMean2d + 1, place)}, v.at(kDepth, place), v.at3(kConic, place),
          v.at(kOpacity, place)};
}

/// Adds the shares of the first lanes.
void add_pose(PoseShare<V>& sums, const PoseShare<V>& share, int lanes) {
  const auto counts = lane_numbers<V>() < V(static_cast<float>(lanes));
  const auto add = [&](Vec3<V>& sum, Vec3<V> x) {
    sum = sum + Vec3<V>{select(counts, x.x, V(0.0f)), select(counts, x.y, V(0.0f)), select(counts, x.z, V(0.0f))};
  };
  add(sums.R.row0, share.R.row0);
  add(sums.R.row1, share.R.row1);
  add(sums.R.row2, share.R.row2);
  add(sums.t, share.t);
  add(sums.offset, share.offset);
}

Vec3<float> sum(const Vec3<V>& a) { return {sum(a.x), sum(a.y), sum(a.z)}; }

/// One camera's share of dL/dR_v and dL/dt.
void store_pose(const Camera& camera, const PoseShare<V>& sums, float* out) {
  const PoseGradient<float> g = pose_gradient<float>(
      camera, {{sum(sums.R.row0), sum(sums.R.row1), sum(sums.R.row2)}, sum(sums.t), sum(sums.offset)});
  const Vec3<float> rows[4] = {g.R.row0, g.R.row1, g.R.row2, g.t};
  memcpy(out, rows, sizeof(rows));
}

void add_to_rows(const Gradients& g, const int32_t* indices, int count, const GaussianRows& out) {
  for (int j = 0; j < count; ++j) {
    const int i = indices[j];
    for (int k = 0; k < 3; ++k) out.means[3 * i + k] += g.values[kMean + k][j];
    for (int k = 0; k < 4; ++k) out.quats[4 * i + k] += g.values[kQuat + k][j];
    for (int k = 0; k < 3; ++k) out.log_scales[3 * i + k] += g.values[kLogScale + k][j];
    out.opacity_logits[i] += g.values[kLogit][j];
  }
}

template <CameraModel MODEL>
void backward(const ProjectParams& a, const ProjectCotangents& in, const GaussianRows& out, float* pose_sums,
              int64_t begin, int64_t end) {
  int32_t visible[kProjectBlock];
  Inputs inputs;
  Cotangents v;
  Gradients gradients;
  clear(a, out, end - begin);
  for (int64_t c = 0; c < a.cameras; ++c) {
    const Camera camera = camera_of(a, c);
    const int64_t row = c * a.count + begin;
    int count = 0;
    for (int i = 0; i < static_cast<int>(end - begin); ++i) {
      visible[count] = i;
      const bool seen = in.extents[2 * (row + i)] > 0.0f;
      if (seen && a.sh_degree >= 0) prefetch_sh(a, begin + i);
      count += seen;
    }
    const int vectors_end = padded(visible, count);
    gather_inputs(a, begin, visible, vectors_end, inputs);
    v.gather<2>(kMean2d, in.v_means2d + 2 * row, visible, vectors_end);
    v.gather<1>(kDepth, in.v_depths + row, visible, vectors_end);
    v.gather<3>(kConic, in.v_conics + 3 * row, visible, vectors_end);
    v.gather<1>(kOpacity, in.v_opacities + row, visible, vectors_end);

    const V zero(0.0f);
    const Vec3<V> zeros = {zero, zero, zero};
    PoseShare<V> sums = {{zeros, zeros, zeros}, zeros, zeros};
    for (int place = 0; place < vectors_end; place += V::width) {
      const int lanes = count - place < V::width ? count - place : V::width;
      const Gaussian<V> gaussian = gaussian_at(a, inputs, place);
      const Splat<V> s = splat_of<MODEL>(camera, gaussian, a.filters);
      const SplatGradient<V> g =
          splat_vjp<MODEL>(camera, s, cotangent_at(v, place), a.filters, a.eps2d, a.compensate);
      Vec3<V> v_offset = zeros;
      if (a.sh_degree >= 0) {
        v_offset = colour_vjp(a, in, out, camera, gaussian.mean, visible + place, lanes, begin, row);
      }
      gradients.set3(kMean, place, row_times(g.p, broadcast<V>(camera.R)) + v_offset);
      gradients.set3(kQuat, place, {g.quat.w, g.quat.x, g.quat.y});
      gradients.set(kQuat + 3, place, g.quat.z);
      gradients.set3(kLogScale, place, g.log_scale);
      gradients.set(kLogit, place, g.logit);
      if (pose_sums) add_pose(sums, pose_share(g, gaussian.mean, v_offset), lanes);
    }
    add_to_rows(gradients, visible, count, out);
    if (pose_sums) store_pose(camera, sums, pose_sums + kPoseSums * c);
  }
}

}  // namespace

ProjectBackward project_backward() {
  return [](const ProjectParams& a, const ProjectCotangents& in, const GaussianRows& out, float* pose_sums,
            int64_t begin, int64_t end) {
    switch (static_cast<CameraModel>(a.camera_model)) {
      case CameraModel::pinhole:
        return backward<CameraModel::pinhole>(a, in, out, pose_sums, begin, end);
      case CameraModel::ortho:
        return backward<CameraModel::ortho>(a, in, out, pose_sums, begin, end);
      case CameraModel::fisheye:
        return backward<CameraModel::fisheye>(a, in, out, pose_sums, begin, end);
      case CameraModel::unscented_pinhole:
        return backward<CameraModel::unscented_pinhole>(a, in, out, pose_sums, begin, end);
      case CameraModel::unscented_fisheye:
        return backward<CameraModel::unscented_fisheye>(a, in, out, pose_sums, begin, end);
    }
  };
}

SPLAT_END
