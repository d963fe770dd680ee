// The float32 tiles for one instruction set. Included once for each, which names TARGET (the functions' attribute), ISA
// (their namespace), LANES (floats in a vector), BROADCAST, SUM (of a vector's lanes) and FIRST (a vector of the first n
// floats at p and zeros, which reads no others).

namespace ISA {

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef float unaligned_vec __attribute__((vector_size(LANES * 4), aligned(4)));

// R pixels by V vectors of channels: to[r] = act(sum over segments s of inputs[s][r] x weights[s] + bias) + residual[r].
// `inputs` has R pointers a segment, and R more for the segment that comes after the last, which is prefetched.
template <int V, int R>
TARGET __attribute__((noinline)) void tile(const float* const* inputs, const float* const* weights, const int* lengths,
                                           int num_segments, int64_t weight_stride, const float* bias, float slope,
                                           const float* const* residual, float* const* to) {
  vec c[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) c[r][v] = vec{};
  for (int s = 0; s < num_segments; s++, inputs += R) {
    const float* input[R];
    const float* next[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      input[r] = inputs[r];
      next[r] = inputs[R + r];
    }
    const float* weight = weights[s];
    const int length = lengths[s];
    int k = 0;
    for (; k + 16 <= length; k += 16) {  // 16 floats are a cache line
#pragma GCC unroll 16
      for (int r = 0; r < R; r++) __builtin_prefetch(next[r] + k);
#pragma GCC unroll 16
      for (int i = 0; i < 16; i++, weight += weight_stride) {
        vec w[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) w[v] = *reinterpret_cast<const unaligned_vec*>(weight + v * LANES);
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
          const vec x = BROADCAST(input[r][k + i]);
#pragma GCC unroll 4
          for (int v = 0; v < V; v++) c[r][v] += x * w[v];
        }
      }
    }
    for (; k < length; k++, weight += weight_stride) {
        vec w[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) w[v] = *reinterpret_cast<const unaligned_vec*>(weight + v * LANES);
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
          const vec x = BROADCAST(input[r][k]);
#pragma GCC unroll 4
          for (int v = 0; v < V; v++) c[r][v] += x * w[v];
        }
      }
  }
  const vec zero = {}, slopes = BROADCAST(slope);
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
      const int at = v * LANES;
      const vec sum = c[r][v] + *reinterpret_cast<const unaligned_vec*>(bias + at);
      vec y = sum > zero ? sum : sum * slopes;
      if (residual) y += *reinterpret_cast<const unaligned_vec*>(residual[r] + at);
      *reinterpret_cast<unaligned_vec*>(to[r] + at) = y;
    }
}

template <int V, int R>
class Tile {
 public:
  using Element = float;
  static constexpr int PIXELS = R, WIDTH = V * LANES;
  static constexpr bool PREFETCHES = true;

  void select(Weights&& weights, int64_t num_blocks) {
    weights_ = std::move(weights);
    // read in place where that is as good: no gaps, or too few pixels for the copy to pay
    const bool whole = weights_.width == WIDTH && weights_.out_stride == 1;
    if (whole && (weights_.in_stride == WIDTH || num_blocks <= 2)) return;
    int64_t rows = 0;
    for (int length : weights_.lengths) rows += length;
    packed_.assign(rows * WIDTH, 0.f);
    float* to = packed_.data();
    for (size_t s = 0; s < weights_.segments.size(); s++) {
      const float* from = weights_.segments[s];
      weights_.segments[s] = to;
      for (int k = 0; k < weights_.lengths[s]; k++, from += weights_.in_stride, to += WIDTH)
        if (weights_.out_stride == 1) std::memcpy(to, from, weights_.width * sizeof(float));
        else for (int64_t n = 0; n < weights_.width; n++) to[n] = from[n * weights_.out_stride];
    }
    weights_.in_stride = WIDTH;
  }

  void compute(const float* const* inputs, const float* bias, float slope, const float* const* residual,
               float* const* to) const {
    tile<V, R>(inputs, weights_.segments.data(), weights_.lengths.data(), static_cast<int>(weights_.segments.size()),
               weights_.in_stride, bias, slope, residual, to);
  }

 private:
  Weights weights_;
  std::vector<float> packed_;
};

// As tile, for N output channels, too few to fill a vector: R pixels by N channels, of which the lanes run along the
// input channels. `weights` has, for every segment and vector of input channels, N vectors; zeros fill the last ones up.
template <int N, int R>
TARGET __attribute__((noinline)) void narrow_tile(const float* const* inputs, const float* weights, const int* lengths,
                                                  int num_segments, const float* bias, float slope,
                                                  const float* const* residual, float* const* to) {
  vec c[R][N];
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) c[r][n] = vec{};
  for (int s = 0; s < num_segments; s++, inputs += R) {
    for (int k = 0; k < lengths[s]; k += LANES, weights += N * LANES) {
      const int rest = lengths[s] - k;
      vec w[N];
#pragma GCC unroll 4
      for (int n = 0; n < N; n++) w[n] = *reinterpret_cast<const unaligned_vec*>(weights + n * LANES);
#pragma GCC unroll 16
      for (int r = 0; r < R; r++) {
        const float* input = inputs[r] + k;
        const vec x = rest < LANES ? FIRST(input, rest) : vec(*reinterpret_cast<const unaligned_vec*>(input));
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) c[r][n] += x * w[n];
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) {
      const float sum = SUM(c[r][n]) + bias[n];
      to[r][n] = (sum > 0 ? sum : sum * slope) + (residual ? residual[r][n] : 0.f);
    }
}

template <int N, int R>
class NarrowTile {
 public:
  using Element = float;
  static constexpr int PIXELS = R, WIDTH = N;
  static constexpr bool PREFETCHES = false;

  void select(Weights&& weights, int64_t) {
    lengths_ = std::move(weights.lengths);
    packed_.clear();
    for (size_t s = 0; s < lengths_.size(); s++)
      for (int first = 0; first < lengths_[s]; first += LANES)
        for (int n = 0; n < N; n++)
          for (int k = first; k < first + LANES; k++)
            packed_.push_back(k < lengths_[s] ? weights.segments[s][k * weights.in_stride + n * weights.out_stride] : 0.f);
  }

  void compute(const float* const* inputs, const float* bias, float slope, const float* const* residual,
               float* const* to) const {
    narrow_tile<N, R>(inputs, packed_.data(), lengths_.data(), static_cast<int>(lengths_.size()), bias, slope, residual,
                      to);
  }

 private:
  std::vector<int> lengths_;
  std::vector<float> packed_;
};

// The part of a GradProblem from pixel `first` up to `last`. `sums`: `channels` of the bias, then as many of the slope.
TARGET __attribute__((noinline)) void grad_rows(const GradProblem& p, int64_t first, int64_t last, float* sums) {
  float* __restrict bias_sum = sums;
  float* __restrict slope_sum = sums + p.channels;
  const float slope = p.slope;
  for (int64_t pixel = first; pixel < last; pixel++) {
    const float* __restrict grad = p.grad + pixel * p.grad_stride;
    const float* __restrict out = p.out + pixel * p.out_stride;
    float* __restrict before = p.before + pixel * p.channels;
    for (int64_t n = 0; n < p.channels; n++) {
      before[n] = out[n] > 0 ? grad[n] : grad[n] * slope;
      bias_sum[n] += before[n];
      slope_sum[n] += out[n] > 0 ? 0.f : grad[n] * out[n];
    }
  }
}

}  // namespace ISA
