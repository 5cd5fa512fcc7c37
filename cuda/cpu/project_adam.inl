// Projection, backward, and Adam's step on what it gives: the gradients of one block of Gaussians lie in the first
// caches while they are used. SH, which are most of a Gaussian, are touched only where a camera sees it.
#include "cpu/project_common.h"

SPLAT_BEGIN

ProjectBackward project_backward();

namespace {

constexpr int kAhead = 8;  // Gaussians whose moments of sh are asked for before they are needed

struct alignas(64) BlockGradients {
  float means[3 * kProjectBlock], quats[4 * kProjectBlock], log_scales[3 * kProjectBlock];
  float opacity_logits[kProjectBlock], sh[3 * kMaxShCoefficients * kProjectBlock];

  GaussianRows rows() { return {means, quats, log_scales, opacity_logits, sh}; }
};

/// A Gaussian's numbers beside sh, as columns.
struct Geometry : Inputs {
  void gather_rows(const GaussianRows& from, int64_t begin, const int32_t* rows, int count) {
    gather<3>(kMean, from.means + 3 * begin, rows, count);
    gather<4>(kQuat, from.quats + 4 * begin, rows, count);
    gather<3>(kLogScale, from.log_scales + 3 * begin, rows, count);
    gather<1>(kLogit, from.opacity_logits + begin, rows, count);
  }
  void copy_rows(const GaussianRows& to, int64_t begin, const int32_t* rows, int count) const {
    for (int j = 0; j < count; ++j) {
      const int64_t i = begin + rows[j];
      copy<3>(kMean, j, to.means + 3 * i);
      copy<4>(kQuat, j, to.quats + 4 * i);
      copy<3>(kLogScale, j, to.log_scales + 3 * i);
      copy<1>(kLogit, j, to.opacity_logits + i);
    }
  }
};

/// How long the coefficients of a block's Gaussians have waited, a column each of what an AdamPause holds.
struct Pauses : Columns<3> {
  AdamPause<V> of_one(int place) const { return {values[0][place], values[1][place], values[2][place]}; }
};

/// The rows of a block that some camera sees, and the last one again up to a whole number of vectors.
int seen_rows(const ProjectParams& a, const ProjectCotangents& in, int64_t begin, int64_t end, int32_t* rows) {
  int count = 0;
  for (int64_t i = begin; i < end; ++i) {
    bool seen = false;
    for (int64_t c = 0; c < a.cameras; ++c) seen |= in.extents[2 * (c * a.count + i)] > 0.0f;
    rows[count] = static_cast<int32_t>(i - begin);
    count += seen;
  }
  padded(rows, count);
  return count;
}

void end_pauses(const GaussianAdam& adam, int64_t begin, const int32_t* rows, int count, Pauses& pauses) {
  for (int place = 0; place < count; place += V::width) {
    float skipped[V::width];
    for (int lane = 0; lane < V::width; ++lane) {
      const int steps = adam.number - 1 - adam.last_steps[begin + rows[place + lane]];
      skipped[lane] = static_cast<float>(steps > 0 ? steps : 0);
    }
    const AdamPause<V> pause = adam_pause(adam.log_beta1, adam.log_beta2, V::load(skipped));
    pauses.set3(0, place, {pause.exp_avg, pause.exp_avg_sq, pause.motion});
  }
  for (int j = 0; j < count; ++j) adam.last_steps[begin + rows[j]] = adam.number;
}

void move_geometry(const GaussianAdam& adam, const GaussianRows& gradients, int64_t begin, int count) {
  Geometry params, exp_avgs, exp_avg_sqs, v;
  int32_t rows[kProjectBlock];
  for (int i = 0; i < count; ++i) rows[i] = i;
  const int vectors_end = padded(rows, count);
  params.gather_rows(adam.params, begin, rows, vectors_end);
  exp_avgs.gather_rows(adam.exp_avgs, begin, rows, vectors_end);
  exp_avg_sqs.gather_rows(adam.exp_avg_sqs, begin, rows, vectors_end);
  v.gather_rows(gradients, 0, rows, vectors_end);
  for (int place = 0; place < count; place += V::width) {
    for (int column = 0; column < kFilter; ++column) {
      const float rate = column < kQuat       ? adam.mean_rate
                         : column < kLogScale ? adam.quat_rate
                         : column < kLogit    ? adam.log_scale_rate
                                              : adam.opacity_logit_rate;
      V p = params.at(column, place), m = exp_avgs.at(column, place), m2 = exp_avg_sqs.at(column, place);
      splat::adam(p, v.at(column, place), m, m2, V(rate), adam.step);
      params.set(column, place, p);
      exp_avgs.set(column, place, m);
      exp_avg_sqs.set(column, place, m2);
    }
  }
  params.copy_rows(adam.params, begin, rows, count);
  exp_avgs.copy_rows(adam.exp_avgs, begin, rows, count);
  exp_avg_sqs.copy_rows(adam.exp_avg_sqs, begin, rows, count);
}

/// Moves a vector of numbers in memory.
template <class Number>
void move_row(const GaussianAdam& adam, Number* param, Number* exp_avg, Number* exp_avg_sq, const float* gradient,
              V rate, const AdamPause<V>& pause, uint32_t random) {
  V p = load<V>(param), m = load<V>(exp_avg), m2 = load<V>(exp_avg_sq);
  if (any(pause.motion > V(0.0f))) catch_up(p, m, m2, rate, adam.step, pause);
  splat::adam(p, V::load(gradient), m, m2, rate, adam.step);
  store(p, param, random);
  store(m, exp_avg, random + kRandomOfMoment);
  store(m2, exp_avg_sq, random + 2 * kRandomOfMoment);
}

/// Fewer numbers than fill a vector.
template <class Number>
void move_few(const GaussianAdam& adam, Number* param, Number* exp_avg, Number* exp_avg_sq, const float* gradient,
              V rate, const AdamPause<V>& pause, uint32_t random, int count) {
  Number few[3][V::width] = {};
  float few_gradients[V::width] = {};
  const size_t size = count * sizeof(Number);
  memcpy(few[0], param, size);
  memcpy(few[1], exp_avg, size);
  memcpy(few[2], exp_avg_sq, size);
  memcpy(few_gradients, gradient, count * sizeof(float));
  move_row(adam, few[0], few[1], few[2], few_gradients, rate, pause, random);
  memcpy(param, few[0], size);
  memcpy(exp_avg, few[1], size);
  memcpy(exp_avg_sq, few[2], size);
}

template <class Number>
void move_sh(const ProjectParams& a, const GaussianAdam& adam, const float* v_sh, int64_t begin, const int32_t* rows,
             int count, const Pauses& pauses) {
  Number *const params = static_cast<Number*>(adam.params.sh), *const exp_avgs = static_cast<Number*>(adam.exp_avgs.sh);
  Number* const exp_avg_sqs = static_cast<Number*>(adam.exp_avg_sqs.sh);
  const int size = 3 * sh_used(a);
  const V first_rate = select(lane_numbers<V>() < V(3.0f), V(adam.sh_rate), V(adam.sh_rest_rate));
  for (int j = 0; j < count; ++j) {
    if (j + kAhead < count) {
      const int64_t ahead = sh_stride(a) * (begin + rows[j + kAhead]);
      for (int k = 0; k < size; k += kCacheLine / sizeof(Number)) {
        prefetch(exp_avgs + ahead + k);
        prefetch(exp_avg_sqs + ahead + k);
      }
    }
    const AdamPause<V> pause = pauses.of_one(j);
    const int64_t at = sh_stride(a) * (begin + rows[j]);
    Number *param = params + at, *exp_avg = exp_avgs + at, *exp_avg_sq = exp_avg_sqs + at;
    const float* gradient = v_sh + sh_stride(a) * rows[j];
    uint32_t random = row_random(adam.number, static_cast<uint32_t>(begin + rows[j]));
    V rate = first_rate;
    int k = 0;
    for (; k + V::width <= size; k += V::width, rate = V(adam.sh_rest_rate), random += V::width * kRandomStride) {
      move_row(adam, param + k, exp_avg + k, exp_avg_sq + k, gradient + k, rate, pause, random);
    }
    if (k < size) move_few(adam, param + k, exp_avg + k, exp_avg_sq + k, gradient + k, rate, pause, random, size - k);
  }
}

void update(const ProjectParams& a, const ProjectCotangents& in, const GaussianAdam& adam, int64_t begin, int64_t end) {
  BlockGradients gradients;
  project_backward()(a, in, gradients.rows(), nullptr, begin, end);
  move_geometry(adam, gradients.rows(), begin, static_cast<int>(end - begin));
  if (a.sh_degree < 0) return;
  int32_t rows[kProjectBlock];
  const int count = seen_rows(a, in, begin, end, rows);
  Pauses pauses;
  end_pauses(adam, begin, rows, count, pauses);
  const auto move = a.half_sh ? move_sh<bfloat16> : move_sh<float>;
  move(a, adam, gradients.sh, begin, rows, count, pauses);
}

}  // namespace

ProjectAdam project_adam() { return update; }

SPLAT_END
