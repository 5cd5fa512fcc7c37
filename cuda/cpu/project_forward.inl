// Projection, forward: means, covariances, opacities, extents and SH colours of every (camera, Gaussian) pair.
//
// A range of Gaussians is taken camera by camera in three passes, each over full vectors of what the one before left:
// depth for all, the splat for those between near and far, colour for those visible. Nothing is saved for backward.
// Source: Kerbl et al., "3D Gaussian Splatting", 2023, section 4 and appendix A.
#include "cpu/project_common.h"
#include "splat/math/extent.h"

SPLAT_BEGIN
namespace {

void clear(const ProjectParams& a, const ProjectOutputs& out, int64_t row, int64_t count) {
  memset(out.means2d + 2 * row, 0, 2 * count * sizeof(float));
  memset(out.depths + row, 0, count * sizeof(float));
  memset(out.conics + 3 * row, 0, 3 * count * sizeof(float));
  memset(out.opacities + row, 0, count * sizeof(float));
  memset(out.extents + 2 * row, 0, 2 * count * sizeof(float));
  if (a.sh_degree >= 0) memset(out.colours + 3 * row, 0, 3 * count * sizeof(float));
}

/// Pass 1: which of the Gaussians lie between the near and the far plane. Returns how many.
int in_depth_range(const ProjectParams& a, const Camera& camera, int64_t begin, int count, int32_t* found) {
  const Vec3<V> axis = broadcast<V>(camera.R.row2);
  const V offset(camera.t.z), near_plane(a.near_plane), far_plane(a.far_plane);
  int found_count = 0;
  for (int first = 0; first < count; first += V::width) {
    const Group group = consecutive_group(first, count);
    const V z = dot(axis, gather3(a.means + 3 * begin, group)) + offset;
    uint32_t bits = ((z > near_plane) & (z < far_plane)).bits() & group.bits();
    for (; bits; bits &= bits - 1) found[found_count++] = first + lowest_bit(bits);
  }
  return found_count;
}

/// Pass 2: stores the splats of a group of candidates. Returns which lanes are visible.
template <CameraModel M>
uint32_t store_splats(const ProjectParams& a, const ProjectOutputs& out, const Camera& camera, const Group& group,
                      int64_t begin, int64_t row) {
  const Splat s = splat_of<M>(a, camera, group, begin);
  const V eps(a.eps2d), limit(kLargest);
  const Covariance2d<V> cov = covariance2d(s.T, eps);
  const Sym2<V> Q = conic(cov);
  const V opacity = a.compensate ? s.opacity * compensation(cov) : s.opacity;
  const Vec2<V> extent = tight_extent(cov.S.a, cov.S.c, opacity);
  const Vec2<V> mean = s.image.mean;
  const V all = mean.x + mean.y + Q.a + Q.b + Q.c + extent.x + extent.y;
  const auto visible = s.is_valid & (cov.det > V(kDetMin)) & (opacity >= V(kAlphaMin)) & (abs(all) <= limit) &
                       (mean.x + extent.x > V(0.0f)) & (mean.x - extent.x < V(a.width)) &
                       (mean.y + extent.y > V(0.0f)) & (mean.y - extent.y < V(a.height));
  const uint32_t bits = visible.bits() & group.bits();
  if (!bits) return 0;
  scatter<2>({mean.x, mean.y}, group, bits, out.means2d + 2 * row);
  scatter<1>({s.p.z}, group, bits, out.depths + row);
  scatter<3>({Q.a, Q.b, Q.c}, group, bits, out.conics + 3 * row);
  scatter<1>({opacity}, group, bits, out.opacities + row);
  scatter<2>({extent.x, extent.y}, group, bits, out.extents + 2 * row);
  return bits;
}

/// Pass 3: stores the colours of a group of visible Gaussians. One whose colour is not finite is culled after all.
void store_colours(const ProjectParams& a, const ProjectOutputs& out, const Camera& camera, const Group& group,
                   int64_t begin, int64_t row) {
  float basis[kMaxShCoefficients][V::width];
  V Y[kMaxShCoefficients], inverse_length;
  const Vec3<V> offset = gather3(a.means + 3 * begin, group) + broadcast<V>(camera.minus_centre);
  sh_basis(sh_direction(offset, inverse_length), a.sh_degree, Y);
  const int used = (a.sh_degree + 1) * (a.sh_degree + 1);
  for (int k = 0; k < used; ++k) Y[k].store(basis[k]);

  for (int lane = 0; lane < group.count; ++lane) {
    const float* c = a.sh + 3 * a.sh_coefficients * (begin + group.indices[lane]);
    float rgb[3] = {0.5f, 0.5f, 0.5f};
    for (int k = 0; k < used; ++k) {
      for (int i = 0; i < 3; ++i) rgb[i] = fma(basis[k][lane], c[3 * k + i], rgb[i]);
    }
    const int64_t at = row + group.indices[lane];
    if (abs(rgb[0] + rgb[1] + rgb[2]) <= kLargest) {
      for (int i = 0; i < 3; ++i) out.colours[3 * at + i] = max(rgb[i], 0.0f);
    } else {
      clear(a, out, at, 1);
    }
  }
}

template <CameraModel M>
void forward(const ProjectParams& a, const ProjectOutputs& out, int64_t begin, int64_t end) {
  int32_t candidates[kProjectBlock], visible[kProjectBlock];
  for (int64_t c = 0; c < a.cameras; ++c) {
    const Camera camera = make_camera(a.viewmats + 16 * c, a.Ks + 9 * c, a.width, a.height);
    const int64_t row = c * a.count + begin;
    clear(a, out, row, end - begin);
    const int count = in_depth_range(a, camera, begin, static_cast<int>(end - begin), candidates);
    int seen = 0;
    for (int i = 0; i < count; i += V::width) {
      const Group group = group_of(candidates + i, count - i);
      uint32_t bits = store_splats<M>(a, out, camera, group, begin, row);
      for (; bits; bits &= bits - 1) visible[seen++] = group.indices[lowest_bit(bits)];
    }
    for (int i = 0; i < seen && a.sh_degree >= 0; i += V::width) {
      store_colours(a, out, camera, group_of(visible + i, seen - i), begin, row);
    }
  }
}

}  // namespace

ProjectForward project_forward() {
  return [](const ProjectParams& a, const ProjectOutputs& out, int64_t begin, int64_t end) {
    switch (static_cast<CameraModel>(a.camera_model)) {
      case CameraModel::pinhole:
        return forward<CameraModel::pinhole>(a, out, begin, end);
      case CameraModel::ortho:
        return forward<CameraModel::ortho>(a, out, begin, end);
      case CameraModel::fisheye:
        return forward<CameraModel::fisheye>(a, out, begin, end);
    }
  };
}

SPLAT_END
