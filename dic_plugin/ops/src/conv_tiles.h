// The tiles of conv_act.cpp for one instruction set, and the walk over them. Included once for each set, which names
// TARGET (the functions' attribute), ISA (their namespace), LANES (floats in a vector) and BROADCAST.

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
      compute(now);
    }
  }

 private:
  struct Block {
    const float** inputs;  // R pointers a segment
    int64_t pixels[R];     // of the output
    int num_rows;          // fewer than R at the end
  };

  float* out(int64_t pixel) const { return p_.out + pixel * p_.out_stride + channel_; }

  // Fill in the table of the next R pixels, most often neighbours in one row.
  void place(Block& block) {
    const int height = p_.height, width = p_.width, step = plan_.in_step;
    int ys[R], xs[R];
    int64_t origins[R];
    bool inside = false;
    if (x_ + R <= phase_->width && image_ < p_.batch) {
      const int y = y_ * step, x = x_ * step;
      const int64_t origin = (image_ * height + y) * width + x, pixel = out_pixel();
      for (int r = 0; r < R; r++) {
        ys[r] = y;
        xs[r] = x + r * step;
        origins[r] = origin + r * step;
        block.pixels[r] = pixel + r * plan_.out_step;
      }
      block.num_rows = R;
      inside = y + phase_->top >= 0 && y + phase_->bottom < height && x + phase_->left >= 0 &&
               xs[R - 1] + phase_->right < width;
      advance(R);
    } else {
      block.num_rows = 0;
      for (int r = 0; r < R; r++) {
        if (image_ == p_.batch) {  // nothing is left: read zeros
          ys[r] = xs[r] = -(1 << 28);
          origins[r] = 0;
          continue;
        }
        block.num_rows = r + 1;
        ys[r] = y_ * step;
        xs[r] = x_ * step;
        origins[r] = (image_ * height + ys[r]) * width + xs[r];
        block.pixels[r] = out_pixel();
        advance(1);
      }
    }
    const float** to = block.inputs;
    for (int64_t i = 0; i < p_.num_maps; i++) {
      const ConvMap& map = p_.maps[i];
      const float* data = map.data + group_ * (map.channels / p_.groups);
      for (const Tap& tap : phase_->taps) {
        const float* shifted = data + (tap.dy * p_.width + tap.dx) * map.stride;
        if (inside) {
          for (int r = 0; r < R; r++) to[r] = shifted + origins[r] * map.stride;
        } else {
          for (int r = 0; r < R; r++) {
            const bool is_inside = static_cast<unsigned>(ys[r] + tap.dy) < static_cast<unsigned>(height) &&
                                   static_cast<unsigned>(xs[r] + tap.dx) < static_cast<unsigned>(width);
            to[r] = is_inside ? shifted + origins[r] * map.stride : zeros_.data();
          }
        }
        to += R;
      }
    }
  }

  int64_t out_pixel() const {
    return (image_ * p_.out_height + phase_->first_y + y_ * plan_.out_step) * p_.out_width + phase_->first_x +
           x_ * plan_.out_step;
  }

  void advance(int pixels) {
    x_ += pixels;
    if (x_ < phase_->width) return;
    x_ = 0;
    if (++y_ == phase_->height) y_ = 0, image_++;
  }

  void compute(const Block& block) {
    const bool is_whole = width_ == WIDTH && block.num_rows == R;
    const int num_segments = static_cast<int>(weights_.size());
    float* to[R];
    const float* residual[R];
    for (int r = 0; r < R; r++) {
      to[r] = is_whole ? out(block.pixels[r]) : part_ + r * WIDTH;
      if (is_whole && p_.residual) residual[r] = p_.residual + block.pixels[r] * p_.residual_stride + channel_;
    }
    tile<V, R>(block.inputs, weights_.data(), lengths_.data(), num_segments, weight_stride_, bias_.data(), p_.slope,
               is_whole && p_.residual ? residual : nullptr, to);
    if (is_whole) return;
    for (int r = 0; r < block.num_rows; r++)
      for (int64_t n = 0; n < width_; n++) {
        const float add = p_.residual ? p_.residual[block.pixels[r] * p_.residual_stride + channel_ + n] : 0.f;
        out(block.pixels[r])[n] = to[r][n] + add;
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
  alignas(64) float part_[R * V * LANES];  // of a tile that the output has only a part of
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
