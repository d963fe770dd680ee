// Tiles that multiply bfloat16 and sum in float32, on the matrix unit of newer CPUs (AMX).
//
// The matrix unit reads rows at equal distances, which neighbouring pixels most often are; elsewhere their inputs are
// brought together first. `Unit` is the matrix unit: the CPU's, or one in plain C++ by which the tests try all the rest
// on any CPU with AVX512_BF16.
#pragma once
#include <cpuid.h>
#include <immintrin.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstring>
#include <utility>

#include "conv_problem.h"

#define BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

namespace {

typedef uint16_t bf16;

// A matrix unit has 8 registers of 16 rows of 64 bytes. multiply: 16x16 floats += 16 pixels of 32 channels x 32 rows of 16
// weights, interleaved in pairs.
struct Amx {
  Amx() {
    struct {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    static_assert(sizeof(config) == 64, "");
    asm volatile("ldtilecfg %0" ::"m"(config));
  }
  ~Amx() { asm volatile("tilerelease"); }
  Amx(const Amx&) = delete;

  template <int T>
  void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(T));
  }
  template <int T>
  void load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(T) : "memory");
  }
  template <int T>
  void store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(T) : "memory");
  }
  template <int TO, int PIXELS, int WEIGHTS>
  void multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(TO), "i"(PIXELS), "i"(WEIGHTS));
  }
};

struct EmulatedAmx {
  union {
    float sums[8][16][16];
    bf16 values[8][16][32];
  };

  template <int T>
  void zero() {
    std::memset(sums[T], 0, sizeof(sums[T]));
  }
  template <int T>
  void load(const void* from, int64_t stride) {
    for (int r = 0; r < 16; r++) std::memcpy(values[T][r], static_cast<const char*>(from) + r * stride, 64);
  }
  template <int T>
  void store(void* to, int64_t stride) {
    for (int r = 0; r < 16; r++) std::memcpy(static_cast<char*>(to) + r * stride, values[T][r], 64);
  }
  template <int TO, int PIXELS, int WEIGHTS>
  void multiply() {
    for (int r = 0; r < 16; r++)
      for (int k = 0; k < 16; k++)
        for (int n = 0; n < 16; n++)
          sums[TO][r][n] += wide(values[PIXELS][r][2 * k]) * wide(values[WEIGHTS][k][2 * n]) +
                            wide(values[PIXELS][r][2 * k + 1]) * wide(values[WEIGHTS][k][2 * n + 1]);
  }
  static float wide(bf16 x) {
    const uint32_t bits = static_cast<uint32_t>(x) << 16;
    float y;
    std::memcpy(&y, &bits, sizeof(y));
    return y;
  }
};

BF16 inline __m512 widen(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }

BF16 inline __m512i narrow(__m512 x) { return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x)); }

// R times 16 pixels by V times 16 channels; R*V + R + V registers.
template <class Unit, int V, int R>
class Bf16Tile {
 public:
  using Element = bf16;
  static constexpr int PIXELS = R * 16, WIDTH = V * 16;
  static constexpr bool PREFETCHES = false;

  BF16 void select(Weights&& weights, int64_t) {
    lengths_ = std::move(weights.lengths);
    ends_ = std::move(weights.ends);
    int num_chunks = 0;
    for (int length : lengths_) num_chunks += (length + 31) / 32;
    // an odd number of cache lines, so that 16 rows do not meet in the same sets of the cache
    row_length_ = (num_chunks | 1) * 32;
    inputs_.assign(PIXELS * row_length_ + 32, 0);
    weights_.assign(num_chunks * V * 512 + 32, 0);
    tables_.resize(lengths_.size() * R);
    bf16* to = aligned(weights_);
    for (size_t s = 0; s < lengths_.size(); s++) {
      const float* from = weights.segments[s];
      for (int k = 0; k < lengths_[s]; k += 2, from += 2 * weights.in_stride) {
        bf16* pair = to + k / 32 * V * 512 + k % 32 / 2 * 32;
        pack(from, k + 1 < lengths_[s] ? from + weights.in_stride : nullptr, weights.out_stride, weights.width, pair);
      }
      to += (lengths_[s] + 31) / 32 * V * 512;
    }
  }

  BF16 void compute(const bf16* const* inputs, const float* bias, float slope, const bf16* const* residual,
                    bf16* const* to) {
    locate(inputs);
    multiply();
    const __m512 slopes = _mm512_set1_ps(slope);
    for (int r = 0; r < PIXELS; r++)
      for (int v = 0; v < V; v++) {
        const __m512 sum = _mm512_add_ps(_mm512_load_ps(sums_ + r * WIDTH + v * 16), _mm512_loadu_ps(bias + v * 16));
        const __mmask16 negative = _mm512_cmp_ps_mask(sum, _mm512_setzero_ps(), _CMP_NGT_UQ);
        __m512 y = _mm512_mask_mul_ps(sum, negative, sum, slopes);
        if (residual) y = _mm512_add_ps(y, widen(_mm256_loadu_si256((const __m256i*)(residual[r] + v * 16))));
        _mm256_storeu_si256((__m256i*)(to[r] + v * 16), (__m256i)_mm512_cvtneps_pbh(y));
      }
  }

 private:
  // The inputs of 16 pixels in one segment.
  struct Rows {
    const bf16* first;
    int64_t stride;  // bytes
  };

  static bf16* aligned(std::vector<bf16>& memory) {
    return reinterpret_cast<bf16*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~uintptr_t{63});
  }

  // Two rows of weights as the matrix unit wants them: in pairs, the upper row's first. The lower may be missing.
  BF16 static void pack(const float* upper, const float* lower, int64_t stride, int64_t width, bf16* to) {
    float rows[2][WIDTH];
    if (stride != 1) {
      for (int n = 0; n < width; n++) {
        rows[0][n] = upper[n * stride];
        rows[1][n] = lower ? lower[n * stride] : 0.f;
      }
      upper = rows[0], lower = lower ? rows[1] : nullptr;
    }
    for (int v = 0; v * 16 < width; v++, to += 512) {
      const int64_t rest = std::min<int64_t>(16, width - v * 16);
      const __mmask16 columns = static_cast<__mmask16>((1u << rest) - 1), none = 0;
      const __m512i a = narrow(_mm512_maskz_loadu_ps(columns, upper + v * 16));
      const __m512i b = narrow(_mm512_maskz_loadu_ps(lower ? columns : none, (lower ? lower : upper) + v * 16));
      _mm512_storeu_si512(to, _mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
    }
  }

  // Where the inputs are that the matrix unit will read: rows at equal distances in place, others copied into rows.
  BF16 void locate(const bf16* const* inputs) {
    const __m512i numbers = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    bf16* buffer = aligned(inputs_);
    Rows* rows = tables_.data();
    for (size_t s = 0; s < lengths_.size(); s++) {
      const int length = lengths_[s], padded = (length + 31) / 32 * 32;
      for (int r = 0; r < R; r++, inputs += 16, rows++) {
        const int64_t stride = (inputs[1] - inputs[0]) * static_cast<int64_t>(sizeof(bf16));
        const __m512i expected = _mm512_add_epi64(_mm512_set1_epi64(reinterpret_cast<int64_t>(inputs[0])),
                                                  _mm512_mullo_epi64(numbers, _mm512_set1_epi64(stride)));
        const bool is_even =
            _mm512_cmpneq_epi64_mask(_mm512_loadu_si512(inputs), expected) == 0 &&
            _mm512_cmpneq_epi64_mask(_mm512_loadu_si512(inputs + 8),
                                     _mm512_add_epi64(expected, _mm512_set1_epi64(8 * stride))) == 0;
        // what follows a row is multiplied by zero: it has to be there, and a number
        if (is_even && (padded == length || static_cast<const void*>(std::max(inputs[0], inputs[15]) + padded) <= ends_[s])) {
          *rows = {inputs[0], stride};
          continue;
        }
        bf16* to = buffer + r * 16 * row_length_;
        *rows = {to, row_length_ * static_cast<int64_t>(sizeof(bf16))};
        const __mmask32 rest = (1u << length % 32) - 1;
        for (int i = 0; i < 16; i++, to += row_length_) {
          int k = 0;
          for (; k + 32 <= length; k += 32) _mm512_storeu_si512(to + k, _mm512_loadu_si512(inputs[i] + k));
          if (rest) _mm512_storeu_si512(to + k, _mm512_maskz_loadu_epi16(rest, inputs[i] + k));
        }
      }
      buffer += padded;
    }
  }

  // Registers: first the sums, then a column of pixels, then a row of weights.
  void multiply() {
    const bf16* weights = aligned(weights_);
    const Rows* rows = tables_.data();
    each<R>([&](auto r) { each<V>([&](auto v) { unit_.template zero<r() * V + v()>(); }); });
    for (int length : lengths_) {
      for (int k = 0; k < length; k += 32, weights += V * 512) {
        each<V>([&](auto v) { unit_.template load<R * V + R + v()>(weights + v() * 512, 64); });
        each<R>([&](auto r) {
          unit_.template load<R * V + r()>(rows[r()].first + k, rows[r()].stride);
          each<V>([&](auto v) { unit_.template multiply<r() * V + v(), R * V + r(), R * V + R + v()>(); });
        });
      }
      rows += R;
    }
    each<R>([&](auto r) {
      each<V>([&](auto v) { unit_.template store<r() * V + v()>(sums_ + r() * 16 * WIDTH + v() * 16, WIDTH * sizeof(float)); });
    });
  }

  // act(0), ..., act(N - 1), with numbers that are known when this is compiled.
  template <int N, class Act>
  static void each(Act&& act) {
    if constexpr (N > 1) each<N - 1>(act);
    act(std::integral_constant<int, N - 1>{});
  }

  Unit unit_;
  std::vector<int> lengths_;
  std::vector<const void*> ends_;
  std::vector<bf16> weights_, inputs_;
  std::vector<Rows> tables_;
  int64_t row_length_ = 0;
  alignas(64) float sums_[PIXELS * WIDTH];
};

// Whether this CPU has AVX512_BF16, and whether AMX besides, which the system lends on demand only.
inline bool has_avx512_bf16() {
  unsigned a, b, c, d;
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
         (a >> 5 & 1);
}

inline bool has_amx() {
#ifdef __linux__
  unsigned a, b, c, d;
  if (!has_avx512_bf16() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1)) return false;
  constexpr long ARCH_REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18;
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
#else
  return false;
#endif
}

}  // namespace
