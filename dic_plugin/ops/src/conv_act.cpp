// Convolution of several maps at once, with bias, activation and residual, on a CPU.
//
// Computes  out = act(conv(cat(maps)) + bias) + residual  without writing the concatenation, the unactivated result or
// an im2col matrix. Every map is channels-last. Ordinary, strided, grouped and transposed convolutions are one
// thing here, an indirect convolution (Dukhan 2019): each output pixel has a table of pointers to the input pixels that
// it is made of, and a tile of pixels by channels is accumulated in registers over that table. A transposed convolution
// of stride s is s*s such convolutions, one for each position in an s by s block (a phase).
//
// The caller checks shapes; nothing here does.
#include <cstring>
#include <utility>
#include <vector>

#include "conv_problem.h"
#include "conv_walk.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAS_TILES 1
#if defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11
#define HAS_BF16_TILES 1
#include "conv_bf16.h"
#endif
#endif

#ifdef HAS_TILES

#define TARGET __attribute__((target("avx512f,avx512vl,fma")))
#define ISA Avx512
#define LANES 16
#define BROADCAST(x) (vec)_mm512_set1_ps(x)
#define SUM(x) _mm512_reduce_add_ps((__m512)(x))
#define FIRST(p, n) (vec)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << (n)) - 1), p)
#include "conv_tiles.h"
#undef TARGET
#undef ISA
#undef LANES
#undef BROADCAST
#undef SUM
#undef FIRST

#define TARGET __attribute__((target("avx2,fma")))
#define ISA Avx2
#define LANES 8
#define BROADCAST(x) (vec)_mm256_set1_ps(x)
#define SUM(x) ((x)[0] + (x)[1] + (x)[2] + (x)[3] + (x)[4] + (x)[5] + (x)[6] + (x)[7])
#define FIRST(p, n) \
  (vec)_mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)))
#include "conv_tiles.h"

namespace {

enum Level { NONE, AVX2, AVX512, EMULATED_AMX, AMX };

void run_float(const Plan& plan, int level) {
  const int64_t n = plan.group_out;
  // tiles of V vectors by R pixels that fill the registers, as wide as the output has use for; of 3 channels, an image
  if (level == AVX512) {
    if (n == 3) run<Avx512::NarrowTile<3, 8>>(plan);
    else if (n % 64 == 0) run<Avx512::Tile<4, 6>>(plan);
    else if (n > 32) run<Avx512::Tile<3, 8>>(plan);
    else if (n > 16) run<Avx512::Tile<2, 12>>(plan);
    else run<Avx512::Tile<1, 16>>(plan);
  } else {
    if (n == 3) run<Avx2::NarrowTile<3, 4>>(plan);
    else if (n > 8) run<Avx2::Tile<2, 6>>(plan);
    else run<Avx2::Tile<1, 8>>(plan);
  }
}

#ifdef HAS_BF16_TILES
template <class Unit>
void run_bf16(const Plan& plan) {
  const int64_t n = plan.group_out;
  if (n % 32 == 0) run<Bf16Tile<Unit, 2, 2>>(plan);
  else if (n > 32) run<Bf16Tile<Unit, 3, 1>>(plan);
  else if (n > 16) run<Bf16Tile<Unit, 2, 2>>(plan);
  else run<Bf16Tile<Unit, 1, 2>>(plan);
}
#endif

// Sums of rows in float32, of these sums in float64, in an order that does not depend on the number of threads.
void run_grad(const GradProblem& p, int level) {
  constexpr int64_t ROWS = 512;
  const int64_t num_parts = (p.pixels + ROWS - 1) / ROWS, width = 2 * p.channels;
  std::vector<float> sums(num_parts * width, 0.f);
#pragma omp parallel for num_threads(static_cast<int>(p.num_threads))
  for (int64_t i = 0; i < num_parts; i++) {
    const int64_t first = i * ROWS, last = std::min(p.pixels, first + ROWS);
    if (level == AVX512) Avx512::grad_rows(p, first, last, sums.data() + i * width);
    else Avx2::grad_rows(p, first, last, sums.data() + i * width);
  }
  std::vector<double> total(width, 0.);
  for (int64_t i = 0; i < num_parts; i++)
    for (int64_t n = 0; n < width; n++) total[n] += sums[i * width + n];
  double slope_sum = 0;
  for (int64_t n = 0; n < p.channels; n++) {
    p.bias_sum[n] = static_cast<float>(total[n]);
    slope_sum += total[p.channels + n];
  }
  *p.slope_sum = static_cast<float>(slope_sum);
}

}  // namespace

extern "C" {

// Tells a library that was built from other sources than the caller's apart.
int conv_act_version() { return static_cast<int>(sizeof(ConvProblem)) * 100 + VERSION; }

// The best way of this CPU to compute float32: AVX512, AVX2 (with FMA), or NONE that there are tiles for.
int conv_act_level() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) return AVX512;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? AVX2 : NONE;
}

// The best way to compute bfloat16: AMX, or EMULATED_AMX, which is slow and there for tests, or NONE.
int conv_act_bf16_level() {
#ifdef HAS_BF16_TILES
  if (has_amx()) return AMX;
  if (has_avx512_bf16()) return EMULATED_AMX;
#endif
  return NONE;
}

void conv_act(const ConvProblem* problem, int level) {
  const Plan plan = make_plan(*problem);
#ifdef HAS_BF16_TILES
  if (level == AMX) return run_bf16<Amx>(plan);
  if (level == EMULATED_AMX) return run_bf16<EmulatedAmx>(plan);
#endif
  run_float(plan, level);
}

void conv_act_grad(const GradProblem* problem, int level) { run_grad(*problem, level); }

}  // extern "C"

#else

extern "C" {
int conv_act_version() { return static_cast<int>(sizeof(ConvProblem)) * 100 + VERSION; }
int conv_act_level() { return 0; }
int conv_act_bf16_level() { return 0; }
void conv_act(const ConvProblem*, int) {}
void conv_act_grad(const GradProblem*, int) {}
}

#endif
