// Projection, backward, and Adam's step on what it gives: the gradients of one block of Gaussians lie in the first
// caches while they are used, and those that no camera sees cost nothing.
#include "cpu/project_common.h"

SPLAT_BEGIN

ProjectBackward project_backward();

namespace {

constexpr int kGeometry = kInputColumns;  // numbers of a Gaussian beside sh
constexpr int kAhead = 8;                 // Gaussians whose sh and its moments are asked for before they are needed

struct alignas(64) BlockGradients {
  float means[3 * kProjectBlock], quats[4 * kProjectBlock], log_scales[3 * kProjectBlock];
  float opacity_logits[kProjectBlock], sh[3 * kMaxShCoefficients * kProjectBlock];

  GaussianRows rows() { return {means, quats, log_scales, opacity_logits, sh}; }
};

/// What is known of a few numbers, side by side, for vectors to be loaded from.
struct alignas(64) Numbers {
  static constexpr int kSize = 16;
  static_assert(kGeometry <= kSize && kSize % V::width == 0, "a Gaussian's geometry is a whole number of vectors");
  float param[kSize], gradient[kSize], exp_avg[kSize], exp_avg_sq[kSize];
};

void pack(const GaussianRows& rows, int64_t i, float* out) {
  memcpy(out + kMean, rows.means + 3 * i, 3 * sizeof(float));
  memcpy(out + kQuat, rows.quats + 4 * i, 4 * sizeof(float));
  memcpy(out + kLogScale, rows.log_scales + 3 * i, 3 * sizeof(float));
  out[kLogit] = rows.opacity_logits[i];
}

void unpack(const float* in, const GaussianRows& rows, int64_t i) {
  memcpy(rows.means + 3 * i, in + kMean, 3 * sizeof(float));
  memcpy(rows.quats + 4 * i, in + kQuat, 4 * sizeof(float));
  memcpy(rows.log_scales + 3 * i, in + kLogScale, 3 * sizeof(float));
  rows.opacity_logits[i] = in[kLogit];
}

/// Moves one vector of numbers.
void move(const AdamStep& step, const AdamPause& pause, const float* rates, const float* gradient, float* param,
          float* exp_avg, float* exp_avg_sq) {
  V p = V::load(param), m = V::load(exp_avg), v = V::load(exp_avg_sq);
  const V rate = V::load(rates);
  if (pause.motion != 0.0f) catch_up(p, m, v, rate, step, pause);
  adam(p, V::load(gradient), m, v, rate, step);
  p.store(param);
  m.store(exp_avg);
  v.store(exp_avg_sq);
}

void move_geometry(const GaussianAdam& adam, const AdamPause& pause, const float* rates, const GaussianRows& gradients,
                   int row, int64_t i) {
  Numbers numbers = {};
  pack(adam.params, i, numbers.param);
  pack(gradients, row, numbers.gradient);
  pack(adam.exp_avgs, i, numbers.exp_avg);
  pack(adam.exp_avg_sqs, i, numbers.exp_avg_sq);
  for (int k = 0; k < kGeometry; k += V::width) {
    move(adam.step, pause, rates + k, numbers.gradient + k, numbers.param + k, numbers.exp_avg + k,
         numbers.exp_avg_sq + k);
  }
  unpack(numbers.param, adam.params, i);
  unpack(numbers.exp_avg, adam.exp_avgs, i);
  unpack(numbers.exp_avg_sq, adam.exp_avg_sqs, i);
}

/// `at` is where the Gaussian's coefficients begin; the last ones may fill no vector.
void move_sh(const GaussianAdam& adam, const AdamPause& pause, const float* rates, const float* gradient, int64_t at,
             int count) {
  float *param = adam.params.sh + at, *exp_avg = adam.exp_avgs.sh + at, *exp_avg_sq = adam.exp_avg_sqs.sh + at;
  int k = 0;
  for (; k + V::width <= count; k += V::width) {
    move(adam.step, pause, rates + k, gradient + k, param + k, exp_avg + k, exp_avg_sq + k);
  }
  if (k == count) return;
  Numbers numbers = {};
  const size_t left = (count - k) * sizeof(float);
  memcpy(numbers.param, param + k, left);
  memcpy(numbers.gradient, gradient + k, left);
  memcpy(numbers.exp_avg, exp_avg + k, left);
  memcpy(numbers.exp_avg_sq, exp_avg_sq + k, left);
  move(adam.step, pause, rates + k, numbers.gradient, numbers.param, numbers.exp_avg, numbers.exp_avg_sq);
  memcpy(param + k, numbers.param, left);
  memcpy(exp_avg + k, numbers.exp_avg, left);
  memcpy(exp_avg_sq + k, numbers.exp_avg_sq, left);
}

/// The rows of a block that some camera sees. Returns how many.
int seen_rows(const ProjectParams& a, const ProjectCotangents& in, int64_t begin, int64_t end, int32_t* rows) {
  int count = 0;
  for (int64_t i = begin; i < end; ++i) {
    bool seen = false;
    for (int64_t c = 0; c < a.cameras; ++c) seen |= in.extents[2 * (c * a.count + i)] > 0.0f;
    rows[count] = static_cast<int32_t>(i - begin);
    count += seen;
  }
  return count;
}

void update(const ProjectParams& a, const ProjectCotangents& in, const GaussianAdam& adam, int64_t begin, int64_t end) {
  BlockGradients gradients;
  project_backward()(a, in, gradients.rows(), nullptr, begin, end);

  const int sh_numbers = a.sh_degree < 0 ? 0 : 3 * sh_used(a);
  const float mean = adam.mean_rate, quat = adam.quat_rate, scale = adam.log_scale_rate;
  const float geometry_rates[Numbers::kSize] = {mean, mean, mean, quat, quat, quat, quat, scale, scale, scale,
                                                adam.opacity_logit_rate};
  float sh_rates[3 * kMaxShCoefficients + Numbers::kSize];
  for (float& rate : sh_rates) rate = adam.sh_rest_rate;
  for (int k = 0; k < 3; ++k) sh_rates[k] = adam.sh_rate;

  int32_t rows[kProjectBlock];
  const int count = seen_rows(a, in, begin, end, rows);
  for (int j = 0; j < count; ++j) {
    const int row = rows[j];
    const int64_t i = begin + row, sh_at = sh_stride(a) * i;
    if (j + kAhead < count) {
      const int64_t ahead = sh_stride(a) * (begin + rows[j + kAhead]);
      for (int k = 0; k < sh_numbers; k += 16) {
        prefetch(adam.exp_avgs.sh + ahead + k);
        prefetch(adam.exp_avg_sqs.sh + ahead + k);
      }
    }
    const int skipped = adam.number - 1 - adam.last_steps[i];
    const AdamPause pause = skipped > 0 ? adam_pause(adam.log_beta1, adam.log_beta2, skipped) : AdamPause{};
    adam.last_steps[i] = adam.number;
    move_geometry(adam, pause, geometry_rates, gradients.rows(), row, i);
    move_sh(adam, pause, sh_rates, gradients.sh + sh_stride(a) * row, sh_at, sh_numbers);
  }
}

}  // namespace

ProjectAdam project_adam() { return update; }

SPLAT_END
