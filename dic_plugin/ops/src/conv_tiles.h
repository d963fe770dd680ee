// The tiles of conv_act.cpp for one instruction set, and the walk over them. Included once for each set, which names
// TARGET (the functions' attribute), ISA (their namespace), LANES (floats in a vector) and BROADCAST.

namespace ISA {

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef float unaligned_vec __attribute__((vector_size(LANES * 4), aligned(4)));

// Bias, activation and residual of an accumulated tile. Kept apart from the accumulation: together with it the compiler
// keeps the sums in memory.
template <int V, int R>
TARGET __attribute__((noinline)) void finish(const float* sums, const float* bias, float slope,
                                             const float* const* residual, float* const* out, int num_rows) {
  const vec zero = {}, slopes = BROADCAST(slope);
  for (int r = 0; r < num_rows; r++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
      const int at = v * LANES;
      const vec sum = *reinterpret_cast<const unaligned_vec*>(sums + r * V * LANES + at) +
                      *reinterpret_cast<const unaligned_vec*>(bias + at);
      vec y = sum > zero ? sum : sum * slopes;
      if (residual) y += *reinterpret_cast<const unaligned_vec*>(residual[r] + at);
      *reinterpret_cast<unaligned_vec*>(out[r] + at) = y;
    }
}

// R pixels by V vectors of channels: sums[r] = sum over segments s of input[s][r][0..length) x weight[s]. `inputs` has R
// pointers a segment, and R more for the segment that comes after the last, which is prefetched.
template <int V, int R>
TARGET __attribute__((noinline)) void accumulate(const float* const* inputs, const float* const* weights,
                                                 const int* lengths, int num_segments, int64_t weight_stride,
                                                 float* sums) {
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
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) *reinterpret_cast<unaligned_vec*>(sums + (r * V + v) * LANES) = c[r][v];
}

// What one thread needs to walk over the blocks of R pixels of one phase, group and panel of V vectors of channels.
template <int V, int R>
class Panel {
 public:
  static constexpr int WIDTH = V * LANES;

  explicit Panel(const Plan& plan) : plan_(plan), p_(plan.problem), bias_(WIDTH) {
    int64_t most = 0;
    for (int64_t i = 0; i < p_.num_maps; i++) most = std::max(most, p_.maps[i].channels);
    zeros_.assign(most, 0.f);
  }

  // Choose what to work on, and bring its weights into the order in which they are read.
  void select(const Phase& phase, int64_t group, int64_t first, int64_t num_blocks) {
    phase_ = &phase;
    group_ = group;
    channel_ = group * plan_.group_out + first;
    width_ = std::min<int64_t>(WIDTH, plan_.group_out - first);
    bias_.assign(WIDTH, 0.f);
    if (p_.bias) std::copy(p_.bias + channel_, p_.bias + channel_ + width_, bias_.begin());

    weights_.clear();
    lengths_.clear();
    const float* base = p_.weight + group * p_.weight_group + first * p_.weight_out;
    int64_t rows = 0;
    for (int64_t i = 0; i < p_.num_maps; i++) {
      const int64_t length = p_.maps[i].channels / p_.groups;
      for (const Tap& tap : phase.taps) {
        weights_.push_back(base + tap.weight);
        lengths_.push_back(static_cast<int>(length));
        rows += length;
      }
      base += length * p_.weight_in;
    }
    weight_stride_ = p_.weight_in;
    // read in place where that is as good: no gaps, or too few pixels for the copy to pay
    const bool whole = width_ == WIDTH && p_.weight_out == 1;
    if (whole && (weight_stride_ == WIDTH || num_blocks <= 2)) return;
    packed_.assign(rows * WIDTH, 0.f);
    float* to = packed_.data();
    for (size_t s = 0; s < weights_.size(); s++) {
      const float* from = weights_[s];
      weights_[s] = to;
      for (int k = 0; k < lengths_[s]; k++, from += p_.weight_in, to += WIDTH)
        if (p_.weight_out == 1) std::memcpy(to, from, width_ * sizeof(float));
        else for (int64_t n = 0; n < width_; n++) to[n] = from[n * p_.weight_out];
    }
    weight_stride_ = WIDTH;
  }

  void run(int64_t first_block, int64_t last_block) {
    const size_t cells = weights_.size() * R;
    inputs_.resize(2 * (cells + R));
    Block now, next;
    now.inputs = inputs_.data();
    next.inputs = inputs_.data() + cells + R;
    const int64_t pixel = first_block * R;
    x_ = pixel % phase_->width;
    y_ = pixel / phase_->width % phase_->height;
    image_ = pixel / phase_->width / phase_->height;
    place(now);
    for (int64_t block = first_block; block < last_block; block++, std::swap(now, next)) {
      place(next);
      std::copy(next.inputs, next.inputs + R, now.inputs + cells);
      for (int r = 0; r < next.num_rows; r++)
        for (int n = 0; n < WIDTH; n += 16) __builtin_prefetch(out(next.pixels[r]) + n, 1);
      accumulate<V, R>(now.inputs, weights_.data(), lengths_.data(), static_cast<int>(weights_.size()), weight_stride_, sums_);
      write(now);
    }
  }

 private:
  struct Block {
    const float** inputs;  // R pointers a segment
    int64_t pixels[R];     // of the output
    int num_rows;          // fewer than R at the end
  };

  float* out(int64_t pixel) const { return p_.out + pixel * p_.out_stride + channel_; }

  // Fill in the next R pixels' table.
  void place(Block& block) {
    const int height = p_.height, width = p_.width;
    int ys[R], xs[R];
    int64_t origins[R];
    block.num_rows = 0;
    for (int r = 0; r < R; r++) {
      if (image_ == p_.batch) {  // nothing is left: read zeros
        ys[r] = xs[r] = -(1 << 28);
        origins[r] = 0;
        continue;
      }
      block.num_rows = r + 1;
      ys[r] = y_ * plan_.in_step;
      xs[r] = x_ * plan_.in_step;
      origins[r] = (image_ * p_.height + ys[r]) * p_.width + xs[r];
      block.pixels[r] = (image_ * p_.out_height + phase_->first_y + y_ * plan_.out_step) * p_.out_width +
                        phase_->first_x + x_ * plan_.out_step;
      if (++x_ == phase_->width) {
        x_ = 0;
        if (++y_ == phase_->height) y_ = 0, image_++;
      }
    }
    const float** to = block.inputs;
    for (int64_t i = 0; i < p_.num_maps; i++) {
      const ConvMap& map = p_.maps[i];
      const float* data = map.data + group_ * (map.channels / p_.groups);
      for (const Tap& tap : phase_->taps) {
        const float* shifted = data + (tap.dy * p_.width + tap.dx) * map.stride;
        for (int r = 0; r < R; r++) {
          const bool inside = static_cast<unsigned>(ys[r] + tap.dy) < static_cast<unsigned>(height) &&
                              static_cast<unsigned>(xs[r] + tap.dx) < static_cast<unsigned>(width);
          *to++ = inside ? shifted + origins[r] * map.stride : zeros_.data();
        }
      }
    }
  }

  void write(const Block& block) {
    float* to[R];
    const float* residual[R];
    for (int r = 0; r < block.num_rows; r++) {
      to[r] = out(block.pixels[r]);
      if (p_.residual) residual[r] = p_.residual + block.pixels[r] * p_.residual_stride + channel_;
    }
    if (width_ == WIDTH) {
      finish<V, R>(sums_, bias_.data(), p_.slope, p_.residual ? residual : nullptr, to, block.num_rows);
      return;
    }
    for (int r = 0; r < block.num_rows; r++)
      for (int64_t n = 0; n < width_; n++) {
        const float sum = sums_[r * WIDTH + n] + bias_[n];
        const float y = sum > 0 ? sum : sum * p_.slope;
        to[r][n] = p_.residual ? y + residual[r][n] : y;
      }
  }

  const Plan& plan_;
  const ConvProblem& p_;
  const Phase* phase_ = nullptr;
  int64_t group_ = 0, channel_ = 0, width_ = 0, weight_stride_ = 0;
  int x_ = 0, y_ = 0;
  int64_t image_ = 0;
  std::vector<float> bias_, zeros_, packed_;
  std::vector<const float*> weights_, inputs_;
  std::vector<int> lengths_;
  alignas(64) float sums_[R * V * LANES];
};

// Every thread takes an equal run of all blocks of all phases, groups and panels.
template <int V, int R>
void run(const Plan& plan) {
  const ConvProblem& p = plan.problem;
  const int64_t num_panels = (plan.group_out + V * LANES - 1) / (V * LANES);
  std::vector<int64_t> ends;  // of the phases
  int64_t total = 0;
  for (const Phase& phase : plan.phases) {
    total += (p.batch * phase.height * phase.width + R - 1) / R * num_panels * p.groups;
    ends.push_back(total);
  }
#pragma omp parallel num_threads(static_cast<int>(p.num_threads))
  {
    int64_t threads = 1, thread = 0;
#ifdef _OPENMP
    threads = omp_get_num_threads();
    thread = omp_get_thread_num();
#endif
    Panel<V, R> panel(plan);
    int64_t unit = total * thread / threads;
    const int64_t last = total * (thread + 1) / threads;
    while (unit < last) {
      const size_t i = std::upper_bound(ends.begin(), ends.end(), unit) - ends.begin();
      const Phase& phase = plan.phases[i];
      const int64_t num_blocks = (p.batch * phase.height * phase.width + R - 1) / R;
      const int64_t within = unit - (i ? ends[i - 1] : 0), column = within / num_blocks, block = within % num_blocks;
      const int64_t stop = std::min(num_blocks, block + last - unit);
      panel.select(phase, column / num_panels, column % num_panels * V * LANES, stop - block);
      panel.run(block, stop);
      unit += stop - block;
    }
  }
}

}  // namespace ISA
