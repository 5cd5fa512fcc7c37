// What this machine can do at best, for scripts/bench_cpu.py: fused multiply-adds, memory, exp, and blending with
// everything in the first-level cache. Prints one JSON object.
// Usage: ceilings THREADS [cpu]     With cpu, time is what each thread spent on a core.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "splat/exp.h"
#include "splat/math/alpha.h"
#include "splat/simd.h"

namespace {

using splat::simd_float;
using V = simd_float;

constexpr int kRepeats = 80;          // the best counts: other programs only ever slow one down
constexpr double kSeconds = 0.008;    // of one measurement, about: short enough to fit between two interruptions
constexpr int64_t kTriad = 8 << 20;   // floats per array, 32 MiB each: more than caches hold
std::atomic<float> sink;              // results go here, so that the compiler keeps the work
bool cpu_time = false;

double seconds_now() {
#ifdef CLOCK_THREAD_CPUTIME_ID
  timespec spent;
  if (cpu_time && clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent) == 0) return spent.tv_sec + 1e-9 * spent.tv_nsec;
#endif
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Work per second of all threads together, `work` being what one call does; all threads run at the same time.
double rate(int threads, double work, const std::function<float(int thread, int64_t calls)>& run) {
  int64_t calls = 1;
  double best = 0;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    std::atomic<int> ready{0};
    std::vector<std::thread> pool;
    std::vector<double> seconds(threads);
    for (int thread = 0; thread < threads; ++thread) {
      pool.emplace_back([&, thread] {
        for (++ready; ready < threads;) std::this_thread::yield();
        const double start = seconds_now();
        sink = run(thread, calls);
        seconds[thread] = seconds_now() - start;
      });
    }
    for (auto& each : pool) each.join();
    const double slowest = *std::max_element(seconds.begin(), seconds.end());
    best = std::max(best, work * calls * threads / slowest);
    if (slowest < kSeconds / 2) {
      calls = std::max<int64_t>(calls + 1, static_cast<int64_t>(calls * std::min(100.0, kSeconds / slowest)));
      --repeat;
    }
  }
  return best;
}

/// Independent chains, enough of them to fill two pipelines of latency 5.
double multiply_adds(int threads) {
  constexpr int kChains = 12, kRounds = 1000;
  return rate(threads, 2.0 * kChains * kRounds * V::width, [](int, int64_t calls) {
    V chains[kChains];
    for (int i = 0; i < kChains; ++i) chains[i] = V(1.0f + static_cast<float>(i));
    const V factor(0.9999f), term(1e-4f);
    for (int64_t round = 0; round < calls * kRounds; ++round) {
#pragma GCC unroll 12
      for (int i = 0; i < kChains; ++i) chains[i] = fma(chains[i], factor, term);
    }
    V total(0.0f);
    for (int i = 0; i < kChains; ++i) total = total + chains[i];
    return sum(total);
  });
}

/// a = b + s c; 12 bytes an element, as STREAM counts (what a plain store reads first is not counted).
double triad(int threads) {
  const int64_t share = kTriad / threads / 64 * 64;
  struct Arrays {
    std::vector<float> a, b, c;
  };
  std::vector<Arrays> arrays(threads);
  std::vector<std::thread> pool;
  for (auto& own : arrays) {
    // Each thread touches its own arrays first, so that they lie in the memory nearest to it.
    pool.emplace_back([&own, share] {
      own.a.assign(share, 0.0f);
      own.b.assign(share, 1.0f);
      own.c.assign(share, 2.0f);
    });
  }
  for (auto& each : pool) each.join();
  return rate(threads, 12.0 * share, [&](int thread, int64_t calls) {
    Arrays& own = arrays[thread];
    for (int64_t call = 0; call < calls; ++call) {
      for (int64_t i = 0; i < share; i += V::width) {
        fma(V(0.5f), V::load(own.c.data() + i), V::load(own.b.data() + i)).store(own.a.data() + i);
      }
    }
    return own.a[share / 2];
  });
}

/// Several sums, so that adding up is not what takes the time.
double exponentials(int threads) {
  constexpr int kCount = 2048, kSums = 4;
  return rate(threads, kCount, [](int, int64_t calls) {
    float values[kCount];
    for (int i = 0; i < kCount; ++i) values[i] = -5.0f * static_cast<float>(i) / kCount;
    V sums[kSums] = {V(0.0f), V(0.0f), V(0.0f), V(0.0f)};
    for (int64_t call = 0; call < calls; ++call) {
      for (int i = 0; i < kCount; i += kSums * V::width) {
#pragma GCC unroll 4
        for (int k = 0; k < kSums; ++k) sums[k] = sums[k] + splat::exp(V::load(values + i + k * V::width));
      }
    }
    return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  });
}

/// Pixel-Gaussian pairs: 64 Gaussians over a 16 x 16 tile, each step as the blend kernel takes it (math/alpha.h).
double pairs(int threads) {
  constexpr int kGaussians = 64, kPixels = 256, kLanes = V::width, kAtOnce = 2;
  return rate(threads, 1.0 * kGaussians * kPixels, [](int, int64_t calls) {
    float g[kGaussians][10];
    for (int i = 0; i < kGaussians; ++i) {
      const float value[10] = {static_cast<float>(i % 8) + 4.0f, static_cast<float>(i / 8) + 4.0f, 0.002f, 0.0005f,
                               0.003f, 0.05f, 2.5f, 0.2f, 0.5f, 0.8f};
      for (int k = 0; k < 10; ++k) g[i][k] = value[k];
    }
    float numbers[kLanes];
    for (int i = 0; i < kLanes; ++i) numbers[i] = static_cast<float>(i) + 0.5f;
    V total(0.0f);
    for (int64_t call = 0; call < calls; ++call) {
      for (int pixel = 0; pixel < kPixels; pixel += kAtOnce * kLanes) {
        V x[kAtOnce], y[kAtOnce], t[kAtOnce], colour[kAtOnce][3];
        for (int j = 0; j < kAtOnce; ++j) {
          const int first = pixel + j * kLanes;
          x[j] = V::load(numbers) + V(static_cast<float>(first % 16));
          y[j] = V(static_cast<float>(first / 16) + 0.5f);
          t[j] = V(1.0f);
          for (int k = 0; k < 3; ++k) colour[j][k] = V(0.0f);
        }
        for (int i = 0; i < kGaussians; ++i) {
          const splat::Splat2d<V> splat2d{V(g[i][0]), V(g[i][1]), V(g[i][2]), V(g[i][3]),
                                          V(g[i][4]), V(g[i][5]), V(g[i][6])};
#pragma GCC unroll 2
          for (int j = 0; j < kAtOnce; ++j) {
            const auto step = splat::blend(splat::coverage(splat2d, x[j], y[j]), t[j]);
            for (int k = 0; k < 3; ++k) colour[j][k] = fma(step.weight, V(g[i][7 + k]), colour[j][k]);
            t[j] = step.next;
          }
        }
        for (int j = 0; j < kAtOnce; ++j) total = total + colour[j][0] + colour[j][1] + colour[j][2];
      }
    }
    return sum(total);
  });
}

}  // namespace

int main(int count, char** arguments) {
  const int threads = count > 1 ? std::atoi(arguments[1]) : 1;
  cpu_time = count > 2;
  const double fma = multiply_adds(threads), bytes = triad(threads), exps = exponentials(threads);
  std::printf("{\"fma_gflops\": %.2f, \"triad_gbs\": %.3f, \"exp_gs\": %.4f, \"pairs_gs\": %.4f}\n", fma * 1e-9,
              bytes * 1e-9, exps * 1e-9, pairs(threads) * 1e-9);
}
