// Projection, backward: gradients of Gaussians and of viewmats.
//
// A range of Gaussians is taken camera by camera; the visible ones are recomputed in full vectors, and their gradients
// added to the Gaussians' own rows, in the order of the cameras. The viewmats' gradient is summed lane by lane.
// With T = J R_v M, S = T T^T + eps I and G = dL/dS: dL/dT = 2 G T; U = dL/dT M^T gives dL/dJ = U R_v^T and
// dL/dR_v = J^T U; dL/dM = (J R_v)^T dL/dT; log-scales multiply T's columns, so theirs is <T_k, dL/dT_k>.
#include "cpu/project_common.h"

SPLAT_BEGIN
namespace {

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

/// Adds to the records of the group's Gaussians.
template <int STRIDE>
void add(const Columns<STRIDE>& values, const Group& group, float* base) {
  float lanes[STRIDE][V::width];
  for (int j = 0; j < STRIDE; ++j) values.columns[j].store(lanes[j]);
  for (int lane = 0; lane < group.count; ++lane) {
    float* record = base + STRIDE * group.indices[lane];
    for (int j = 0; j < STRIDE; ++j) record[j] += lanes[j][lane];
  }
}

/// Adds to dL/dsh of a group; returns dL/d(mean - camera centre).
Vec3<V> colour_vjp(const ProjectParams& a, const ProjectCotangents& in, const ProjectGradients& out,
                   const Camera& camera, Vec3<V> mean, const Group& group, int64_t begin, int64_t row) {
  V Y[kMaxShCoefficients], v_Y[kMaxShCoefficients], inverse_length;
  float basis[kMaxShCoefficients][V::width], v_basis[kMaxShCoefficients][V::width] = {};
  const Vec3<V> offset = mean + broadcast<V>(camera.minus_centre);
  const Vec3<V> direction = sh_direction(offset, inverse_length);
  sh_basis(direction, a.sh_degree, Y);
  const int used = (a.sh_degree + 1) * (a.sh_degree + 1);
  for (int k = 0; k < used; ++k) Y[k].store(basis[k]);

  for (int lane = 0; lane < group.count; ++lane) {
    const int64_t at = 3 * (row + group.indices[lane]);
    const int64_t coefficients = 3 * a.sh_coefficients * (begin + group.indices[lane]);
    float v_rgb[3];
    for (int i = 0; i < 3; ++i) v_rgb[i] = in.colours[at + i] > 0.0f ? in.v_colours[at + i] : 0.0f;
    const float* c = a.sh + coefficients;
    float* v_c = out.v_sh + coefficients;
    for (int k = 0; k < used; ++k) {
      for (int i = 0; i < 3; ++i) v_c[3 * k + i] += basis[k][lane] * v_rgb[i];
      v_basis[k][lane] = c[3 * k] * v_rgb[0] + c[3 * k + 1] * v_rgb[1] + c[3 * k + 2] * v_rgb[2];
    }
  }
  for (int k = 0; k < used; ++k) v_Y[k] = V::load(v_basis[k]);
  const Vec3<V> v_direction = sh_basis_vjp(direction, a.sh_degree, v_Y);
  return sh_direction_vjp(offset, direction, inverse_length, v_direction);
}

template <CameraModel MODEL>
void add_gradients(const ProjectParams& a, const ProjectCotangents& in, const ProjectGradients& out,
                   const Camera& camera, const Group& group, int64_t begin, int64_t row, PoseSums* pose) {
  const Splat s = splat_of<MODEL>(a, camera, group, begin);
  const V eps(a.eps2d), half(0.5f), one(1.0f);
  const Covariance2d<V> cov = covariance2d(s.T, eps);
  const Sym2<V> Q = conic(cov);

  const Vec3<V> v_conic = gather3(in.v_conics + 3 * row, group);
  Sym2<V> G = conic_vjp(Q, {v_conic.x, half * v_conic.y, v_conic.z});
  V v_opacity = gather<1>(in.v_opacities + row, group, 0);
  if (a.compensate) {
    const V rho = compensation(cov);
    const Sym2<V> more = compensation_vjp(cov, Q, rho, eps, s.opacity * v_opacity);
    G = {G.a + more.a, G.b + more.b, G.c + more.c};
    v_opacity = rho * v_opacity;
  }
  const Mat2x3<V> v_T = covariance2d_vjp(s.T, G);
  const Mat2x3<V> U = {multiply(s.M, v_T.row0), multiply(s.M, v_T.row1)};
  const Mat3<V> R = broadcast<V>(camera.R);
  Vec3<V> v_p = to_image_vjp<MODEL>(camera, s.p, gather2(in.v_means2d + 2 * row, group),
                                    {multiply(R, U.row0), multiply(R, U.row1)});
  v_p.z = v_p.z + gather<1>(in.v_depths + row, group, 0);
  const Mat3<V> v_M = transposed_multiply(s.JR, v_T);
  const Quat<V> v_unit = rotation_vjp(s.unit, {v_M.row0 * s.scale, v_M.row1 * s.scale, v_M.row2 * s.scale});
  const Quat<V> v_q = normalized_vjp(s.unit, s.inverse_length, v_unit);
  const Vec3<V> v_log_scale = s.T.row0 * v_T.row0 + s.T.row1 * v_T.row1;

  Vec3<V> v_mean = row_times(v_p, R), v_offset = {V(0.0f), V(0.0f), V(0.0f)};
  if (a.sh_degree >= 0) {
    v_offset = colour_vjp(a, in, out, camera, s.mean, group, begin, row);
    v_mean = v_mean + v_offset;
  }
  add<3>({v_mean.x, v_mean.y, v_mean.z}, group, out.v_means + 3 * begin);
  add<4>({v_q.w, v_q.x, v_q.y, v_q.z}, group, out.v_quats + 4 * begin);
  add<3>({v_log_scale.x, v_log_scale.y, v_log_scale.z}, group, out.v_log_scales + 3 * begin);
  add<1>({v_opacity * s.opacity * (one - s.opacity)}, group, out.v_opacity_logits + begin);
  if (!pose) return;

  const auto counts = lane_numbers<V>() < V(static_cast<float>(group.count));
  const auto add_to = [&](Vec3<V>& sum, Vec3<V> x) {
    sum = {sum.x + select(counts, x.x, V(0.0f)), sum.y + select(counts, x.y, V(0.0f)),
           sum.z + select(counts, x.z, V(0.0f))};
  };
  const Mat3<V> v_R = transposed_multiply(s.image.jacobian, U);
  add_to(pose->R[0], v_R.row0 + v_p.x * s.mean);
  add_to(pose->R[1], v_R.row1 + v_p.y * s.mean);
  add_to(pose->R[2], v_R.row2 + v_p.z * s.mean);
  add_to(pose->t, v_p);
  add_to(pose->offset, v_offset);
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

template <CameraModel MODEL>
void backward(const ProjectParams& a, const ProjectCotangents& in, const ProjectGradients& out, float* pose_sums,
              int64_t begin, int64_t end) {
  int32_t visible[kProjectBlock];
  clear(a, out, begin, end - begin);
  for (int64_t c = 0; c < a.cameras; ++c) {
    const Camera camera = make_camera(a.viewmats + 16 * c, a.Ks + 9 * c, a.width, a.height);
    const int64_t row = c * a.count + begin;
    int count = 0;
    for (int i = 0; i < static_cast<int>(end - begin); ++i) {
      visible[count] = i;
      count += in.extents[2 * (row + i)] > 0.0f;
    }
    const V zero(0.0f);
    const Vec3<V> zeros = {zero, zero, zero};
    PoseSums sums = {{zeros, zeros, zeros}, zeros, zeros};
    for (int i = 0; i < count; i += V::width) {
      add_gradients<MODEL>(a, in, out, camera, group_of(visible + i, count - i), begin, row,
                           pose_sums ? &sums : nullptr);
    }
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
