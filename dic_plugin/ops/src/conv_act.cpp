// Convolution of several maps at once, with bias, activation and residual, on a CPU.
//
// Computes  out = act(conv(cat(maps)) + bias) + residual  without writing the concatenation, the unactivated result or
// an im2col matrix. Every map is channels-last float32. Ordinary, strided, grouped and transposed convolutions are one
// thing here, an indirect convolution (Dukhan 2019): each output pixel has a table of pointers to the input pixels that
// it is made of, and a tile of pixels by channels is accumulated in registers over that table. A transposed convolution
// of stride s is s*s such convolutions, one for each position in an s by s block (a phase).
//
// The caller checks shapes; nothing here does.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAS_TILES 1
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

#define VERSION 1  // another whenever the meaning of ConvProblem changes; as in native_conv.py

extern "C" {

struct ConvMap {
  const float* data;
  int64_t channels;
  int64_t stride;  // floats between neighbouring pixels; rows and images follow without gaps
};

struct ConvProblem {
  const ConvMap* maps;
  int64_t num_maps;
  int64_t batch, height, width;  // of every map
  float* out;
  int64_t out_stride, out_height, out_width, out_channels;
  const float* residual;  // of the output's size, or null
  int64_t residual_stride;
  const float* weight;
  int64_t weight_group, weight_out, weight_in, weight_y, weight_x;  // floats between neighbours along each dimension
  const float* bias;  // or null
  int64_t kernel_height, kernel_width, step, padding, groups, transposed;
  float slope;  // of the activation for negative values: 1 is none, 0 a ReLU
  int64_t num_threads;
};

}  // extern "C"

namespace {

// A kernel position: where it reads, relative to the pixel, and where its weights begin.
struct Tap {
  int dy, dx;
  int64_t weight;
};

// Output pixels (first_y + i*out_step, first_x + j*out_step), all with the same taps.
struct Phase {
  int first_y, first_x, height, width;
  std::vector<Tap> taps;
  int top = 0, bottom = 0, left = 0, right = 0;  // how far the taps reach

  void add(const Tap& tap) {
    taps.push_back(tap);
    top = std::min(top, tap.dy);
    bottom = std::max(bottom, tap.dy);
    left = std::min(left, tap.dx);
    right = std::max(right, tap.dx);
  }
};

struct Plan {
  const ConvProblem& problem;
  int64_t group_out;      // output channels of a group
  int in_step, out_step;  // pixels between neighbours of a phase, in the input and in the output
  std::vector<Phase> phases;
};

int count(int64_t length, int first, int step) { return static_cast<int>((length - first + step - 1) / step); }

Plan make_plan(const ConvProblem& p) {
  const int step = static_cast<int>(p.step), padding = static_cast<int>(p.padding);
  Plan plan{p, p.out_channels / p.groups, p.transposed ? 1 : step, p.transposed ? step : 1, {}};
  const int phases = p.transposed ? step : 1;  // along each side
  for (int first_y = 0; first_y < phases; first_y++)
    for (int first_x = 0; first_x < phases; first_x++) {
      Phase phase{first_y, first_x, count(p.out_height, first_y, plan.out_step), count(p.out_width, first_x, plan.out_step), {}};
      // transposed: only kernel positions that lead from an input pixel to this phase
      const int y0 = p.transposed ? (first_y + padding) % step : 0, x0 = p.transposed ? (first_x + padding) % step : 0;
      for (int y = y0; y < p.kernel_height; y += plan.out_step)
        for (int x = x0; x < p.kernel_width; x += plan.out_step) {
          const int dy = p.transposed ? (first_y + padding - y) / step : y - padding;
          const int dx = p.transposed ? (first_x + padding - x) / step : x - padding;
          phase.add({dy, dx, y * p.weight_y + x * p.weight_x});
        }
      if (phase.height > 0 && phase.width > 0) plan.phases.push_back(phase);
    }
  return plan;
}

}  // namespace

#ifdef HAS_TILES

#define TARGET __attribute__((target("avx512f,avx512vl,fma")))
#define ISA Avx512
#define LANES 16
#define BROADCAST(x) (vec)_mm512_set1_ps(x)
#include "conv_tiles.h"
#undef TARGET
#undef ISA
#undef LANES
#undef BROADCAST

#define TARGET __attribute__((target("avx2,fma")))
#define ISA Avx2
#define LANES 8
#define BROADCAST(x) (vec)_mm256_set1_ps(x)
#include "conv_tiles.h"

extern "C" {

// Tells a library that was built from other sources than the caller's apart.
int conv_act_version() { return static_cast<int>(sizeof(ConvProblem)) * 100 + VERSION; }

// The best instruction set of this CPU: 2 AVX-512, 1 AVX2 with FMA, 0 none that there are tiles for.
int conv_act_level() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) return 2;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 1 : 0;
}

void conv_act(const ConvProblem* problem, int level) {
  const Plan plan = make_plan(*problem);
  const int64_t n = plan.group_out;
  // tiles of V vectors by R pixels that fill the registers, as wide as the output has use for
  if (level == 2) {
    if (n % 64 == 0) Avx512::run<4, 6>(plan);
    else if (n > 32) Avx512::run<3, 8>(plan);
    else if (n > 16) Avx512::run<2, 12>(plan);
    else Avx512::run<1, 16>(plan);
  } else {
    if (n > 8) Avx2::run<2, 6>(plan);
    else Avx2::run<1, 8>(plan);
  }
}

}  // extern "C"

#else

extern "C" {
int conv_act_version() { return static_cast<int>(sizeof(ConvProblem)) * 100 + VERSION; }
int conv_act_level() { return 0; }
void conv_act(const ConvProblem*, int) {}
}

#endif
