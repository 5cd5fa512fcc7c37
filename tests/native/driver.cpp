// One training step without torch, on one thread and a made-up scene: scripts/count_instructions.py counts its
// instructions, and tests/native/test_aarch64.py compares its results. Adam is run both ways, with backward and alone.
// Usage: driver GAUSSIANS WIDTH HEIGHT [FOLDER]
// Prints a line for each stage: name, unit, number of units, checksum. With a FOLDER, results go there as raw floats.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "cpu/dispatch.h"
#include "cpu/tile_lists.h"
#include "splat/ops/adam.h"
#include "splat/ops/blend.h"
#include "splat/ops/photometric.h"
#include "splat/ops/project.h"
#include "splat/ops/tremor.h"

SPLAT_DISPATCH(AdamKernels, adam_kernels)
SPLAT_DISPATCH(BlendBackwardKernels, blend_backward_kernels)
SPLAT_DISPATCH(BlendForwardKernels, blend_forward_kernels)
SPLAT_DISPATCH(PhotometricKernels, photometric_kernels)
SPLAT_DISPATCH(ProjectAdam, project_adam)
SPLAT_DISPATCH(ProjectBackward, project_backward)
SPLAT_DISPATCH(ProjectForward, project_forward)
SPLAT_DISPATCH(TilesKernels, tiles_kernels)
SPLAT_DISPATCH(TremorKernel, tremor_kernel)

// Where callgrind is told to write down what it has counted so far.
extern "C" {
[[gnu::noipa]] void stage_begins() { asm volatile(""); }
[[gnu::noipa]] void stage_ends() { asm volatile(""); }
[[gnu::noipa]] void parallel_begins() { asm volatile(""); }
[[gnu::noipa]] void parallel_ends() { asm volatile(""); }
}

namespace {

using Floats = std::vector<float>;

constexpr int kDegree = 3, kCoefficients = (kDegree + 1) * (kDegree + 1);
constexpr float kSsimShare = 0.2f, kRate = 1e-3f;
constexpr splat::AdamStep kAdamStep{0.9f, 0.999f, 0.1f, 0.001f, 1.0f, 1e-15f};

/// Runs what the library would share among threads.
template <class F>
void in_parallel(const F& work) {
  parallel_begins();
  work();
  parallel_ends();
}

struct OneThread {
  static int64_t count() { return 1; }
  template <class F>
  static void run(int64_t begin, int64_t end, int64_t, const F& f) {
    in_parallel([&] { f(begin, end); });
  }
};

/// The generator of Numerical Recipes: the same numbers on every machine.
struct Random {
  uint32_t state = 1;
  /// Uniform in [low, high).
  float operator()(float low, float high) {
    state = state * 1664525u + 1013904223u;
    return low + (high - low) * static_cast<float>(state >> 8) * 0x1p-24f;
  }
};

/// Memory for kernels, aligned to cache lines.
struct Scratch {
  float* floats;
  explicit Scratch(int64_t count) : floats(new (std::align_val_t(64)) float[count]) {}
  ~Scratch() { ::operator delete[](floats, std::align_val_t(64)); }
};

/// One camera's view of N Gaussians, and all that a training step makes of it.
struct Step {
  int64_t count, pixels, instances = 0;
  int width, height;
  Floats means, quats, log_scales, opacity_logits, sh, target;
  float viewmat[16] = {0.96f, 0, -0.28f, 0.1f, 0, 1, 0, -0.1f, 0.28f, 0, 0.96f, 0.2f, 0, 0, 0, 1};
  float K[9] = {};
  Floats means2d, depths, conics, opacities, extents, colours;
  std::vector<int64_t> offsets, gaussian_offsets, blocks;
  std::vector<int32_t> ids, slots;
  Floats image, transmittances, v_image, v_transmittances, sums;
  double loss = 0;
  Floats v_means2d, v_depths, v_conics, v_opacities, v_colours;
  Floats v_means, v_quats, v_log_scales, v_opacity_logits, v_sh;
  Floats exp_avgs[5], exp_avg_sqs[5], offsets3d;
  std::vector<int32_t> last_steps;

  Step(int64_t n, int w, int h);
  int tiles_x() const { return (width + splat::kTile - 1) / splat::kTile; }
  int tiles_y() const { return (height + splat::kTile - 1) / splat::kTile; }
  splat::ProjectParams projection() const;
  splat::BlendInputs blending() const;
  splat::ProjectCotangents cotangents() const;
};

Step::Step(int64_t n, int w, int h) : count(n), pixels(static_cast<int64_t>(w) * h), width(w), height(h) {
  Random random;
  const float fx = static_cast<float>(w);
  const float intrinsics[9] = {fx, 0, 0.5f * static_cast<float>(w), 0, fx, 0.5f * static_cast<float>(h), 0, 0, 1};
  std::copy(intrinsics, intrinsics + 9, K);
  // A Gaussian of this scale is about as wide as the mean distance between those in the image.
  const float scale = std::log(1.5f / std::sqrt(static_cast<float>(n)));
  for (int64_t i = 0; i < n; ++i) {
    const float z = random(1, 4), aspect = static_cast<float>(h) / static_cast<float>(w);
    // Camera space, a little beyond the image's edges, then by the inverse of viewmat to the world.
    const float p[3] = {random(-0.6f, 0.6f) * z - 0.1f, random(-0.6f, 0.6f) * aspect * z + 0.1f, z - 0.2f};
    for (int j = 0; j < 3; ++j) means.push_back(viewmat[j] * p[0] + viewmat[4 + j] * p[1] + viewmat[8 + j] * p[2]);
    for (int j = 0; j < 4; ++j) quats.push_back(random(-1, 1));
    for (int j = 0; j < 3; ++j) log_scales.push_back(scale + random(-1.0f, 1.0f));
    opacity_logits.push_back(random(-2, 3));
    for (int j = 0; j < 3 * kCoefficients; ++j) sh.push_back(j < 3 ? random(-1, 1) : random(-0.2f, 0.2f));
  }
  for (int64_t i = 0; i < 3 * pixels; ++i) target.push_back(random(0, 1));

  for (auto [floats, columns] : {std::pair{&means2d, 2}, {&depths, 1}, {&conics, 3}, {&opacities, 1}, {&extents, 2},
                                 {&colours, 3}, {&v_means2d, 2}, {&v_depths, 1}, {&v_conics, 3}, {&v_opacities, 1},
                                 {&v_colours, 3}, {&v_means, 3}, {&v_quats, 4}, {&v_log_scales, 3},
                                 {&v_opacity_logits, 1}, {&v_sh, 3 * kCoefficients}}) {
    floats->resize(n * columns);
  }
  offsets3d.resize(3 * n);
  gaussian_offsets.resize(n + 1);
  offsets.resize(tiles_x() * tiles_y() + 1);
  for (Floats* floats : {&transmittances, &v_transmittances}) floats->resize(pixels);
  for (Floats* floats : {&image, &v_image}) floats->resize(3 * pixels);
  // Moments as after many steps: with moments of 0, a step is the gradient's sign, which rounding may decide.
  const Floats* const params[] = {&means, &quats, &log_scales, &opacity_logits, &sh};
  for (int t = 0; t < 5; ++t) {
    exp_avgs[t].assign(params[t]->size(), 1e-5f);
    exp_avg_sqs[t].assign(params[t]->size(), 1e-8f);
  }
  for (int64_t i = 0; i < n; ++i) last_steps.push_back(static_cast<int32_t>(i % 3));
}

splat::ProjectParams Step::projection() const {
  splat::ProjectParams p;
  p.cameras = 1;
  p.count = count;
  p.sh_coefficients = kCoefficients;
  p.means = means.data();
  p.quats = quats.data();
  p.log_scales = log_scales.data();
  p.opacity_logits = opacity_logits.data();
  p.sh = sh.data();
  p.viewmats = viewmat;
  p.Ks = K;
  p.width = static_cast<float>(width);
  p.height = static_cast<float>(height);
  p.near_plane = 0.01f;
  p.far_plane = 1e10f;
  p.eps2d = 0.3f;
  p.sh_degree = kDegree;
  return p;
}

splat::BlendInputs Step::blending() const {
  return {means2d.data(), conics.data(), opacities.data(), colours.data(), nullptr,   offsets.data(),
          ids.data(),     3,             width,            height,         tiles_x(), tiles_y()};
}

splat::ProjectCotangents Step::cotangents() const {
  return {extents.data(),  colours.data(),     v_means2d.data(), v_depths.data(),
          v_conics.data(), v_opacities.data(), v_colours.data()};
}

/// Calls f(begin, end) for every block of Gaussians.
template <class F>
void for_blocks(int64_t count, const F& f) {
  in_parallel([&] {
    for (int64_t begin = 0; begin < count; begin += splat::kProjectBlock) {
      f(begin, std::min(begin + splat::kProjectBlock, count));
    }
  });
}

template <class Kernels, class Params>
void for_tiles(const Kernels& kernels, const Params& params, int64_t tiles) {
  in_parallel([&] {
    const Scratch scratch(kernels.scratch(params.in.channels));
    for (int64_t tile = 0; tile < tiles; ++tile) kernels.tile(params, tile, scratch.floats);
  });
}

void project(Step& s) {
  const splat::ProjectOutputs out{s.means2d.data(),   s.depths.data(),  s.conics.data(),
                                  s.opacities.data(), s.extents.data(), s.colours.data()};
  const splat::ProjectParams params = s.projection();
  for_blocks(s.count, [&](int64_t begin, int64_t end) { splat::project_forward()(params, out, begin, end); });
}

void tiles(Step& s) {
  const splat::TilesParams params{s.means2d.data(), s.conics.data(), s.opacities.data(), s.extents.data(), s.count,
                                  s.width,          s.height,        s.tiles_x(),        s.tiles_y()};
  const splat::TileLists<OneThread> lists(splat::tiles_kernels(), params, s.count);
  s.instances = lists.measure(s.gaussian_offsets.data());
  for (auto* list : {&s.ids, &s.slots}) list->resize(s.instances);
  lists.fill(s.depths.data(), s.gaussian_offsets.data(), s.tiles_x() * s.tiles_y(), s.offsets.data(), s.ids.data(),
             s.slots.data());
}

void blend(Step& s) {
  const splat::BlendForward params{s.blending(), s.image.data(), s.transmittances.data(), nullptr, s.blocks.data()};
  for_tiles(splat::blend_forward_kernels(), params, s.tiles_x() * s.tiles_y());
}

void loss(Step& s) {
  splat::PhotometricImages images;
  images.rendered = s.image.data();
  images.target = s.target.data();
  images.gradient = s.v_image.data();
  images.cameras = 1;
  images.height = s.height;
  images.row = 3 * s.width;
  splat::PhotometricParams params = splat::in_strips(images);
  std::vector<double> ssim_sums(params.items()), l1_sums(params.items());
  const double values = static_cast<double>(3 * s.pixels);
  params.ssim_sums = ssim_sums.data();
  params.l1_sums = l1_sums.data();
  params.ssim_weight = static_cast<float>(-kSsimShare / values);
  params.l1_weight = static_cast<float>((1 - kSsimShare) / values);
  in_parallel([&] {
    const splat::PhotometricKernels kernels = splat::photometric_kernels();
    const Scratch workspace(kernels.workspace_floats);
    kernels.run(params, 0, params.items(), workspace.floats);
  });
  double ssim = 0, l1 = 0;
  for (const double sum : ssim_sums) ssim += sum;
  for (const double sum : l1_sums) l1 += sum;
  s.loss = params.l1_weight * l1 + kSsimShare * (1 - ssim / values);
}

void blend_backward(Step& s) {
  const splat::BlendBackward params{s.blending(),       s.slots.data(),  s.image.data(),
                                    s.transmittances.data(), s.blocks.data(), s.v_image.data(),
                                    s.v_transmittances.data(), false,         s.sums.data(), nullptr};
  const splat::BlendBackwardKernels kernels = splat::blend_backward_kernels();
  for_tiles(kernels, params, s.tiles_x() * s.tiles_y());
  const splat::BlendGather gather{s.conics.data(),    s.opacities.data(), s.gaussian_offsets.data(),
                                  s.sums.data(),      3,                  s.v_means2d.data(),
                                  s.v_conics.data(),  s.v_opacities.data(), s.v_colours.data(), nullptr};
  in_parallel([&] { kernels.gather(gather, 0, s.count); });
}

void project_backward(Step& s) {
  const splat::ProjectParams params = s.projection();
  for_blocks(s.count, [&](int64_t begin, int64_t end) {
    const splat::GaussianRows rows{s.v_means.data() + 3 * begin, s.v_quats.data() + 4 * begin,
                                   s.v_log_scales.data() + 3 * begin, s.v_opacity_logits.data() + begin,
                                   s.v_sh.data() + 3 * kCoefficients * begin};
    splat::project_backward()(params, s.cotangents(), rows, nullptr, begin, end);
  });
}

void project_adam(Step& s) {
  const auto rows = [](Floats (&t)[5]) {
    return splat::GaussianRows{t[0].data(), t[1].data(), t[2].data(), t[3].data(), t[4].data()};
  };
  splat::GaussianAdam adam;
  adam.params = {s.means.data(), s.quats.data(), s.log_scales.data(), s.opacity_logits.data(), s.sh.data()};
  adam.exp_avgs = rows(s.exp_avgs);
  adam.exp_avg_sqs = rows(s.exp_avg_sqs);
  adam.last_steps = s.last_steps.data();
  adam.step = kAdamStep;
  adam.number = 3;
  adam.log_beta1 = std::log(kAdamStep.beta1);
  adam.log_beta2 = std::log(kAdamStep.beta2);
  adam.mean_rate = adam.quat_rate = adam.log_scale_rate = adam.opacity_logit_rate = kRate;
  adam.sh_rate = adam.sh_rest_rate = kRate;
  const splat::ProjectParams params = s.projection();
  for_blocks(s.count, [&](int64_t begin, int64_t end) {
    splat::project_adam()(params, s.cotangents(), adam, begin, end);
  });
}

void adam(Step& s) {
  const Floats rates(512, kRate);  // as long as the binding makes them
  Floats* const params[] = {&s.means, &s.quats, &s.log_scales, &s.opacity_logits, &s.sh};
  const Floats* const grads[] = {&s.v_means, &s.v_quats, &s.v_log_scales, &s.v_opacity_logits, &s.v_sh};
  for (int t = 0; t < 5; ++t) {
    const int64_t size = static_cast<int64_t>(params[t]->size()), period = static_cast<int64_t>(rates.size());
    const splat::AdamParams a{params[t]->data(),       grads[t]->data(), s.exp_avgs[t].data(),
                              s.exp_avg_sqs[t].data(), rates.data(),     period, size};
    in_parallel([&] { splat::adam_kernels().update(a, kAdamStep, 0, size); });
  }
}

void tremor(Step& s) {
  const splat::Tremor all{80.0f, 0.005f, 100.0f, -0.731f};  // as mcmc has it
  const splat::TremorParams params{s.quats.data(),   s.log_scales.data(), s.opacity_logits.data(),
                                   s.offsets3d.data(), s.count,           1, all};
  in_parallel([&] {
    for (int64_t begin = 0; begin < s.count; begin += splat::kTremorBlock) {
      splat::tremor_kernel()(params, begin, std::min(begin + splat::kTremorBlock, s.count));
    }
  });
}

/// Sum of |x|: every element counts, and rounding moves it little.
double checksum(std::initializer_list<const Floats*> results) {
  double sum = 0;
  for (const Floats* floats : results) {
    for (const float x : *floats) sum += std::fabs(x);
  }
  return sum;
}

void write(const std::string& folder, const char* name, const Floats& floats) {
  FILE* file = std::fopen((folder + "/" + name + ".f32").c_str(), "wb");
  if (!file || std::fwrite(floats.data(), sizeof(float), floats.size(), file) != floats.size() || std::fclose(file)) {
    std::perror(name);
    std::exit(1);
  }
}

/// Runs a stage and prints its line. The units may be known only afterwards.
void run(const char* name, void (*stage)(Step&), Step& s, const char* unit, const int64_t& units,
         std::initializer_list<const Floats*> results) {
  stage_begins();
  stage(s);
  stage_ends();
  std::printf("%s\t%s\t%lld\t%.9g\n", name, unit, static_cast<long long>(units), checksum(results));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return std::fprintf(stderr, "usage: driver GAUSSIANS WIDTH HEIGHT [FOLDER]\n"), 2;
  Step s(std::atoll(argv[1]), std::atoi(argv[2]), std::atoi(argv[3]));
  run("project", project, s, "Gaussian", s.count, {&s.means2d, &s.depths, &s.conics, &s.opacities, &s.colours});
  run("tiles", tiles, s, "instance", s.instances, {});
  s.blocks.resize(s.instances);
  run("blend", blend, s, "instance", s.instances, {&s.image, &s.transmittances});
  run("loss", loss, s, "pixel", s.pixels, {&s.v_image});
  s.sums.resize(s.instances * splat::blend_row(3, false));
  run("blend backward", blend_backward, s, "instance", s.instances,
      {&s.v_means2d, &s.v_conics, &s.v_opacities, &s.v_colours});
  run("project backward", project_backward, s, "Gaussian", s.count,
      {&s.v_means, &s.v_quats, &s.v_log_scales, &s.v_opacity_logits, &s.v_sh});
  run("project adam", project_adam, s, "Gaussian", s.count,
      {&s.means, &s.quats, &s.log_scales, &s.opacity_logits, &s.sh});
  run("adam", adam, s, "Gaussian", s.count, {&s.means, &s.quats, &s.log_scales, &s.opacity_logits, &s.sh});
  run("tremor", tremor, s, "Gaussian", s.count, {&s.offsets3d});
  if (argc < 5) return 0;
  for (const auto& [name, floats] :
       {std::pair{"image", &s.image}, {"transmittances", &s.transmittances}, {"v_image", &s.v_image},
        {"v_means2d", &s.v_means2d}, {"v_conics", &s.v_conics}, {"v_opacities", &s.v_opacities},
        {"v_colours", &s.v_colours}, {"v_means", &s.v_means}, {"v_quats", &s.v_quats},
        {"v_log_scales", &s.v_log_scales}, {"v_opacity_logits", &s.v_opacity_logits}, {"v_sh", &s.v_sh},
        {"means", &s.means}, {"sh", &s.sh}, {"offsets3d", &s.offsets3d}}) {
    write(argv[4], name, *floats);
  }
}
