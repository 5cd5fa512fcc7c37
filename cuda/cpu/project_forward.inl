// Projection, forward: means, covariances, opacities, extents and SH colours of every (camera, Gaussian) pair.
//
// A block of Gaussians is taken camera by camera in three passes, each over full vectors of what the one before left:
// depth for all, the splat for those between near and far, colour for those visible. Nothing is saved for backward.
#include "cpu/project_common.h"

SPLAT_BEGIN
namespace {

enum OutputColumn { kMean2d = 0, kDepth = 2, kConic = 3, kOpacity = 6, kExtent = 7, kOutputColumns = 9 };
using Outputs = Columns<kOutputColumns>;

void clear(const ProjectParams& a, const ProjectOutputs& out, int64_t row, int64_t count) {
  memset(out.means2d + 2 * row, 0, 2 * count * sizeof(float));
  memset(out.depths + row, 0, count * sizeof(float));
  memset(out.conics + 3 * row, 0, 3 * count * sizeof(float));
  memset(out.opacities + row, 0, count * sizeof(float));
  memset(out.extents + 2 * row, 0, 2 * count * sizeof(float));
  if (a.sh_degree >= 0) memset(out.colours + 3 * row, 0, 3 * count * sizeof(float));
}

/// Pass 1: which of the Gaussians lie between the near and the far plane. Returns how many.
int in_depth_range(const ProjectParams& a, const Camera& camera, const float* means, int count, int32_t* found) {
  int found_count = 0;
  for (int i = 0; i < count; ++i) {
    const Vec3<float> mean = {means[3 * i], means[3 * i + 1], means[3 * i + 2]};
    const float z = dot(camera.R.row2, mean) + camera.t.z;
    found[found_count] = i;
    found_count += (z > a.near_plane) & (z < a.far_plane);
  }
  return found_count;
}

/// Pass 2: the splats of one vector of candidates. Returns a bit for each visible lane.
template <CameraModel MODEL>
uint32_t project_lanes(const ProjectParams& a, const Camera& camera, const Inputs& in, int place, Outputs& out) {
  const Splat<V> s = splat_of<MODEL>(camera, gaussian_at(a, in, place), a.filters);
  const Projected<V> found = projected<MODEL>(s, a.eps2d, a.compensate, a.width, a.height);
  out.set(kMean2d, place, found.mean.x);
  out.set(kMean2d + 1, place, found.mean.y);
  out.set(kDepth, place, found.depth);
  out.set3(kConic, place, {found.conic.a, found.conic.b, found.conic.c});
  out.set(kOpacity, place, found.opacity);
  out.set(kExtent, place, found.extent.x);
  out.set(kExtent + 1, place, found.extent.y);
  return found.visible.bits();
}

void copy_outputs(const Outputs& from, int place, const ProjectOutputs& out, int64_t at) {
  from.copy<2>(kMean2d, place, out.means2d + 2 * at);
  from.copy<1>(kDepth, place, out.depths + at);
  from.copy<3>(kConic, place, out.conics + 3 * at);
  from.copy<1>(kOpacity, place, out.opacities + at);
  from.copy<2>(kExtent, place, out.extents + 2 * at);
}

/// Pass 3: the colours of up to V::width visible Gaussians, `indices` being as many whole ones. One whose colour is not
/// finite is culled after all.
void store_colours(const ProjectParams& a, const Camera& camera, const Vec3<V>& mean, const int32_t* indices, int count,
                   int64_t begin, const ProjectOutputs& out, int64_t row) {
  V Y[kMaxShCoefficients], inverse_length;
  sh_basis(sh_direction(mean + broadcast<V>(camera.minus_centre), inverse_length), a.sh_degree, Y);
  ShColumns c;
  c.load(a, begin, indices);
  Vec3<V> rgb = {V(0.5f), V(0.5f), V(0.5f)};
  for (int k = 0; k < sh_used(a); ++k) {
    const Vec3<V> c_k = c.at(k);
    rgb = {fma(Y[k], c_k.x, rgb.x), fma(Y[k], c_k.y, rgb.y), fma(Y[k], c_k.z, rgb.z)};
  }
  const uint32_t finite = (abs(rgb.x + rgb.y + rgb.z) <= V(kLargest)).bits();
  float colours[3][V::width];
  max(rgb.x, V(0.0f)).store(colours[0]);
  max(rgb.y, V(0.0f)).store(colours[1]);
  max(rgb.z, V(0.0f)).store(colours[2]);
  for (int lane = 0; lane < count; ++lane) {
    const int64_t at = row + indices[lane];
    if (finite >> lane & 1) {
      for (int i = 0; i < 3; ++i) out.colours[3 * at + i] = colours[i][lane];
    } else {
      clear(a, out, at, 1);
    }
  }
}

template <CameraModel MODEL>
void forward(const ProjectParams& a, const ProjectOutputs& out, int64_t begin, int64_t end) {
  int32_t candidates[kProjectBlock], visible[kProjectBlock];
  Inputs in;
  Outputs splats;
  for (int64_t c = 0; c < a.cameras; ++c) {
    const Camera camera = camera_of(a, c);
    const int64_t row = c * a.count + begin;
    clear(a, out, row, end - begin);
    const int count = in_depth_range(a, camera, a.means + 3 * begin, static_cast<int>(end - begin), candidates);
    const int vectors_end = padded(candidates, count);
    gather_inputs(a, begin, candidates, vectors_end, in);
    int seen = 0;
    for (int place = 0; place < vectors_end; place += V::width) {
      uint32_t bits = project_lanes<MODEL>(a, camera, in, place, splats);
      for (; bits; bits &= bits - 1) {
        const int lane_place = place + lowest_bit(bits);
        if (lane_place >= count) break;
        const int32_t index = candidates[lane_place];
        visible[seen++] = index;
        copy_outputs(splats, lane_place, out, row + index);
        if (a.sh_degree >= 0) prefetch_sh(a, begin + index);
      }
    }
    if (a.sh_degree < 0) continue;
    in.gather<3>(kMean, a.means + 3 * begin, visible, padded(visible, seen));
    for (int place = 0; place < seen; place += V::width) {
      const int lanes = seen - place < V::width ? seen - place : V::width;
      store_colours(a, camera, in.at3(kMean, place), visible + place, lanes, begin, out, row);
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
      case CameraModel::unscented_pinhole:
        return forward<CameraModel::unscented_pinhole>(a, out, begin, end);
      case CameraModel::unscented_fisheye:
        return forward<CameraModel::unscented_fisheye>(a, out, begin, end);
    }
  };
}

SPLAT_END
