// Adam on the GPU: bound by memory, so each thread takes four numbers in one load where they are aligned.
#include "gpu/device.h"
#include "splat/ops/adam.h"

SPLAT_BEGIN
namespace {

constexpr int kThreads = 256;
constexpr int kRounds = 4;  // that a thread makes, so that the rates are fetched once for several

struct Rates {
  float values[kAdamRatesMax];
};

template <int WIDTH>
struct alignas(WIDTH * sizeof(float)) Numbers {
  float at[WIDTH];
};

template <int WIDTH>
__global__ void __launch_bounds__(kThreads) update(AdamParams p, AdamStep step, Rates given, int period) {
  using Wide = Numbers<WIDTH>;
  SPLAT_SHARED(Rates, rates);
  for (int i = threadIdx.x; i < period; i += kThreads) rates.values[i] = given.values[i];
  __syncthreads();
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads * kRounds + threadIdx.x;
  for (int round = 0; round < kRounds; ++round) {
    const int64_t place = first + round * kThreads, begin = place * WIDTH;
    if (begin >= p.count) return;
    Wide param = reinterpret_cast<Wide*>(p.param)[place];
    const Wide grad = reinterpret_cast<const Wide*>(p.grad)[place];
    Wide exp_avg = reinterpret_cast<Wide*>(p.exp_avg)[place];
    Wide exp_avg_sq = reinterpret_cast<Wide*>(p.exp_avg_sq)[place];
    int phase = period == 1 ? 0 : static_cast<int>(begin % period);
    for (int i = 0; i < WIDTH; ++i) {
      adam(param.at[i], grad.at[i], exp_avg.at[i], exp_avg_sq.at[i], rates.values[phase], step);
      phase = phase + 1 == period ? 0 : phase + 1;
    }
    reinterpret_cast<Wide*>(p.param)[place] = param;
    reinterpret_cast<Wide*>(p.exp_avg)[place] = exp_avg;
    reinterpret_cast<Wide*>(p.exp_avg_sq)[place] = exp_avg_sq;
  }
}

bool is_aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % (4 * sizeof(float)) == 0; }

}  // namespace
SPLAT_END

namespace splat {

void adam_on_gpu(const AdamParams& p, const AdamStep& step, Stream stream) {
  Rates rates;
  for (int64_t i = 0; i < p.period; ++i) rates.values[i] = p.rates[i];
  const bool wide = p.count % 4 == 0 && is_aligned(p.param) && is_aligned(p.grad) && is_aligned(p.exp_avg) &&
                    is_aligned(p.exp_avg_sq);
  const int64_t places = wide ? p.count / 4 : p.count;
  launch(wide ? update<4> : update<1>, blocks_for(places, kThreads * kRounds), kThreads, stream, p, step, rates,
         static_cast<int>(p.period));
}

}  // namespace splat
