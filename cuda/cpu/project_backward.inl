// Projection, backward: gradients of Gaussians and of viewmats.
//
// A block of Gaussians is taken camera by camera; the visible ones are recomputed in full vectors, and their gradients
// added to the Gaussians' own rows, in the order of the cameras. The viewmats' gradient is summed lane by lane.
// With T = J R_v M, S = T T^T + eps I and G = dL/dS: dL/dT = 2 G T; U = dL/dT M^T gives dL/dJ = U R_v^T and
// dL/dR_v = J^T U; dL/dM = (J R_v)^T dL/dT; log-scales multiply T's columns, so theirs is <T_k, dL/dT_k>.
#include "cpu/project_common.h"

SPLAT_BEGIN
namespace {

enum CotangentColumn { kMean2d = 0, kDepth = 2, kConic = 3, kOpacity = 6, kCotangentColumns = 7 };
using Cotangents = Columns<kCotangentColumns>;
using Gradients = Columns<kInputColumns>;

struct LaneGradients {
  Vec3<V> p;  // camera space
  Quat<V> quat;
  Vec3<V> log_scale;
  V logit;
  Mat3<V> R;  // through the Jacobian's side of the covariance
};

/// dL/dR_v by rows, dL/dt and dL/d(SH offset), one sum a lane.
struct PoseSums {
  Vec3<V> R[3], t, offset;
};

void clear(const ProjectParams& a, const ProjectGradients& out, int64_t begin, int64_t count) {
  memset(out.v_means + 3 * begin, 0, 3 * count * sizeof(float));
  memset(out.v_quats + 4 * begin, 0, 4 * count * sizeof(float));
  memset(out.v_log_scales + 3 * begin, 0, 3 * count * sizeof(float));
  memset(out.v_opacity_logits + begin, 0, count * sizeof(float));
  memset(out.v_sh + 3 * a.sh_coefficients * begin, 0, 3 * a.sh_coefficients * count * sizeof(float));
}

/// Adds to dL/dsh of up to V::width Gaussians; returns dL/d(mean - camera centre).
Vec3<V> colour_vjp(const ProjectParams& a, const ProjectCotangents& in, const ProjectGradients& out,
                   const Camera& camera, Vec3<V> mean, const int32_t* indices, int count, int64_t begin, int64_t row) {
  V Y[kMaxShCoefficients], v_Y[kMaxShCoefficients], inverse_length;
  float basis[kMaxShCoefficients][V::width], v_basis[kMaxShCoefficients][V::width] = {};
  const Vec3<V> offset = mean + broadcast<V>(camera.minus_centre);
  const Vec3<V> direction = sh_direction(offset, inverse_length);
  sh_basis(direction, a.sh_degree, Y);
  const int used = sh_used(a);
  for (int k = 0; k < used; ++k) Y[k].store(basis[k]);

  for (int lane = 0; lane < count; ++lane) {
    const int64_t at = 3 * (row + indices[lane]);
    float v_rgb[4] = {};
    for (int i = 0; i < 3; ++i) v_rgb[i] = in.colours[at + i] > 0.0f ? in.v_colours[at + i] : 0.0f;
    const float* SPLAT_RESTRICT c = a.sh + sh_stride(a) * (begin + indices[lane]);
    float* SPLAT_RESTRICT v_c = out.v_sh + sh_stride(a) * (begin + indices[lane]);
    // Four numbers at a time: the fourth is overwritten by the next coefficient's first.
    float shares[3 * kMaxShCoefficients + 1];
    const Four v_four = Four::load(v_rgb);
    for (int k = 0; k < used; ++k) (Four(basis[k][lane]) * v_four).store(shares + 3 * k);
    for (int i = 0; i < 3 * used; ++i) v_c[i] += shares[i];
    for (int k = 0; k < used; ++k) {
      v_basis[k][lane] = fma(c[3 * k], v_rgb[0], fma(c[3 * k + 1], v_rgb[1], c[3 * k + 2] * v_rgb[2]));
    }
  }
  for (int k = 0; k < used; ++k) v_Y[k] = V::load(v_basis[k]);
  const Vec3<V> v_direction = sh_basis_vjp(direction, a.sh_degree, v_Y);
  return sh_direction_vjp(offset, direction, inverse_length, v_direction);
}

/// The gradients of one vector of Gaussians but for the colours' share.
template <CameraModel MODEL>
LaneGradients splat_vjp(const ProjectParams& a, const Camera& camera, const Splat& s, const Cotangents& v, int place) {
  const V eps(a.eps2d), half(0.5f), one(1.0f);
  const Covariance2d<V> cov = covariance2d(s.T, eps);
  const Sym2<V> Q = conic(cov);
  const Vec3<V> v_conic = v.at3(kConic, place);
  Sym2<V> G = conic_vjp(Q, {v_conic.x, half * v_conic.y, v_conic.z});
  V v_opacity = v.at(kOpacity, place);
  if (a.compensate) {
    const V rho = compensation(cov);
    const Sym2<V> more = compensation_vjp(cov, Q, rho, eps, s.opacity * v_opacity);
    G = {G.a + more.a, G.b + more.b, G.c + more.c};
    v_opacity = rho * v_opacity;
  }
  const Mat2x3<V> v_T = covariance2d_vjp(s.T, G);
  const Mat2x3<V> U = {multiply(s.M, v_T.row0), multiply(s.M, v_T.row1)};
  const Mat3<V> R = broadcast<V>(camera.R);
  LaneGradients g;
  g.p = to_image_vjp<MODEL>(camera, s.p, {v.at(kMean2d, place), v.at(kMean2d + 1, place)},
                            {multiply(R, U.row0), multiply(R, U.row1)});
  g.p.z = g.p.z + v.at(kDepth, place);
  const Mat3<V> v_M = transposed_multiply(s.JR, v_T);
  const Quat<V> v_unit = rotation_vjp(s.unit, {v_M.row0 * s.scale, v_M.row1 * s.scale, v_M.row2 * s.scale});
  g.quat = normalized_vjp(s.unit, s.inverse_length, v_unit);
  g.log_scale = s.T.row0 * v_T.row0 + s.T.row1 * v_T.row1;
  g.logit = v_opacity * s.opacity * (one - s.opacity);
  g.R = transposed_multiply(s.image.jacobian, U);
  return g;
}

void add_pose(PoseSums& sums, const LaneGradients& g, Vec3<V> mean, Vec3<V> v_offset, int lanes) {
  const auto counts = lane_numbers<V>() < V(static_cast<float>(lanes));
  const auto add = [&](Vec3<V>& sum, Vec3<V> x) {
    sum = sum + Vec3<V>{select(counts, x.x, V(0.0f)), select(counts, x.y, V(0.0f)), select(counts, x.z, V(0.0f))};
  };
  add(sums.R[0], g.R.row0 + g.p.x * mean);
  add(sums.R[1], g.R.row1 + g.p.y * mean);
  add(sums.R[2], g.R.row2 + g.p.z * mean);
  add(sums.t, g.p);
  add(sums.offset, v_offset);
}

/// One camera's share of dL/dR_v and dL/dt. SH directions start from the camera centre -R^T t.
void store_pose(const Camera& camera, const PoseSums& sums, float* out) {
  const Vec3<float> offset = {sum(sums.offset.x), sum(sums.offset.y), sum(sums.offset.z)};
  const float t[3] = {camera.t.x, camera.t.y, camera.t.z};
  for (int i = 0; i < 3; ++i) {
    out[3 * i] = sum(sums.R[i].x) + t[i] * offset.x;
    out[3 * i + 1] = sum(sums.R[i].y) + t[i] * offset.y;
    out[3 * i + 2] = sum(sums.R[i].z) + t[i] * offset.z;
  }
  const Vec3<float> moved = multiply(camera.R, offset);
  out[9] = sum(sums.t.x) + moved.x;
  out[10] = sum(sums.t.y) + moved.y;
  out[11] = sum(sums.t.z) + moved.z;
}

void add_to_rows(const Gradients& g, const int32_t* indices, int count, const ProjectGradients& out, int64_t begin) {
  for (int j = 0; j < count; ++j) {
    const int64_t i = begin + indices[j];
    for (int k = 0; k < 3; ++k) out.v_means[3 * i + k] += g.values[kMean + k][j];
    for (int k = 0; k < 4; ++k) out.v_quats[4 * i + k] += g.values[kQuat + k][j];
    for (int k = 0; k < 3; ++k) out.v_log_scales[3 * i + k] += g.values[kLogScale + k][j];
    out.v_opacity_logits[i] += g.values[kLogit][j];
  }
}

template <CameraModel MODEL>
void backward(const ProjectParams& a, const ProjectCotangents& in, const ProjectGradients& out, float* pose_sums,
              int64_t begin, int64_t end) {
  int32_t visible[kProjectBlock];
  Inputs inputs;
  Cotangents v;
  Gradients gradients;
  clear(a, out, begin, end - begin);
  for (int64_t c = 0; c < a.cameras; ++c) {
    const Camera camera = make_camera(a.viewmats + 16 * c, a.Ks + 9 * c, a.width, a.height);
    const int64_t row = c * a.count + begin;
    int count = 0;
    for (int i = 0; i < static_cast<int>(end - begin); ++i) {
      visible[count] = i;
      count += in.extents[2 * (row + i)] > 0.0f;
    }
    const int vectors_end = padded(visible, count);
    gather_inputs(a, begin, visible, vectors_end, inputs);
    v.gather<2>(kMean2d, in.v_means2d + 2 * row, visible, vectors_end);
    v.gather<1>(kDepth, in.v_depths + row, visible, vectors_end);
    v.gather<3>(kConic, in.v_conics + 3 * row, visible, vectors_end);
    v.gather<1>(kOpacity, in.v_opacities + row, visible, vectors_end);

    const V zero(0.0f);
    const Vec3<V> zeros = {zero, zero, zero};
    PoseSums sums = {{zeros, zeros, zeros}, zeros, zeros};
    for (int place = 0; place < vectors_end; place += V::width) {
      const int lanes = count - place < V::width ? count - place : V::width;
      const Splat s = splat_at<MODEL>(camera, inputs, place);
      const LaneGradients g = splat_vjp<MODEL>(a, camera, s, v, place);
      Vec3<V> v_offset = zeros;
      if (a.sh_degree >= 0) {
        v_offset = colour_vjp(a, in, out, camera, s.mean, visible + place, lanes, begin, row);
      }
      gradients.set3(kMean, place, row_times(g.p, broadcast<V>(camera.R)) + v_offset);
      gradients.set3(kQuat, place, {g.quat.w, g.quat.x, g.quat.y});
      gradients.set(kQuat + 3, place, g.quat.z);
      gradients.set3(kLogScale, place, g.log_scale);
      gradients.set(kLogit, place, g.logit);
      if (pose_sums) add_pose(sums, g, s.mean, v_offset, lanes);
    }
    add_to_rows(gradients, visible, count, out, begin);
    if (pose_sums) store_pose(camera, sums, pose_sums + kPoseSums * c);
  }
}

}  // namespace

ProjectBackward project_backward() {
  return [](const ProjectParams& a, const ProjectCotangents& in, const ProjectGradients& out, float* pose_sums,
            int64_t begin, int64_t end) {
    switch (static_cast<CameraModel>(a.camera_model)) {
      case CameraModel::pinhole:
        return backward<CameraModel::pinhole>(a, in, out, pose_sums, begin, end);
      case CameraModel::ortho:
        return backward<CameraModel::ortho>(a, in, out, pose_sums, begin, end);
      case CameraModel::fisheye:
        return backward<CameraModel::fisheye>(a, in, out, pose_sums, begin, end);
    }
  };
}

SPLAT_END
