// The walk over an output: which pixels a tile takes next, where their inputs are, and which thread does what.
#pragma once
#include <utility>

#include "conv_problem.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

// What one thread needs to walk over the blocks of Tile::PIXELS pixels of one phase, group and panel of Tile::WIDTH
// output channels.
template <class Tile>
class Panel {
  using Element = typename Tile::Element;
  static constexpr int R = Tile::PIXELS, WIDTH = Tile::WIDTH, LINE = 64 / sizeof(Element);

 public:
  explicit Panel(const Plan& plan) : plan_(plan), p_(plan.problem), bias_(WIDTH) {
    int64_t most = 0;
    for (int64_t i = 0; i < p_.num_maps; i++) most = std::max(most, p_.maps[i].channels);
    zeros_.assign(most + LINE, Element{});
  }

  // Choose what to work on, and bring its weights into the order in which they are read.
  void select(const Phase& phase, int64_t group, int64_t first, int64_t num_blocks) {
    phase_ = &phase;
    group_ = group;
    channel_ = group * plan_.group_out + first;
    width_ = std::min<int64_t>(WIDTH, plan_.group_out - first);
    bias_.assign(WIDTH, 0.f);
    if (p_.bias) std::copy(p_.bias + channel_, p_.bias + channel_ + width_, bias_.begin());
    num_segments_ = p_.num_maps * phase.taps.size();

    Weights weights{{}, {}, {}, p_.weight_in, p_.weight_out, width_};
    const float* base = p_.weight + group * p_.weight_group + first * p_.weight_out;
    for (int64_t i = 0; i < p_.num_maps; i++) {
      const ConvMap& map = p_.maps[i];
      const int64_t length = map.channels / p_.groups, size = p_.batch * p_.height * p_.width * map.stride;
      const Element* end = map.stride == map.channels ? static_cast<const Element*>(map.data) + size : nullptr;
      for (const Tap& tap : phase.taps) {
        weights.segments.push_back(base + tap.weight);
        weights.lengths.push_back(static_cast<int>(length));
        weights.ends.push_back(end);
      }
      base += length * p_.weight_in;
    }
    tile_.select(std::move(weights), num_blocks);
  }

  void run(int64_t first_block, int64_t last_block) {
    const size_t cells = num_segments_ * R;
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
      if (Tile::PREFETCHES)
        for (int r = 0; r < next.num_rows; r++)
          for (int n = 0; n < WIDTH; n += LINE) __builtin_prefetch(out(next.pixels[r]) + n, 1);
      compute(now);
    }
  }

 private:
  struct Block {
    const Element** inputs;  // R pointers a segment
    int64_t pixels[R];       // of the output
    int num_rows;            // fewer than R at the end
  };

  Element* out(int64_t pixel) const { return static_cast<Element*>(p_.out) + pixel * p_.out_stride + channel_; }

  const Element* residual(int64_t pixel) const {
    return static_cast<const Element*>(p_.residual) + pixel * p_.residual_stride + channel_;
  }

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
    const Element** to = block.inputs;
    for (int64_t i = 0; i < p_.num_maps; i++) {
      const ConvMap& map = p_.maps[i];
      const Element* data = static_cast<const Element*>(map.data) + group_ * (map.channels / p_.groups);
      for (const Tap& tap : phase_->taps) {
        const Element* shifted = data + (tap.dy * p_.width + tap.dx) * map.stride;
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
    const int64_t y = phase_->first_y + y_ * plan_.out_step, x = phase_->first_x + x_ * plan_.out_step;
    return (image_ * p_.out_height + y) * p_.out_width + x;
  }

  void advance(int pixels) {
    x_ += pixels;
    if (x_ < phase_->width) return;
    x_ = 0;
    if (++y_ == phase_->height) y_ = 0, image_++;
  }

  void compute(const Block& block) {
    const bool is_whole = width_ == WIDTH && block.num_rows == R;
    Element* to[R];
    const Element* add[R];
    for (int r = 0; r < R; r++) {
      to[r] = is_whole ? out(block.pixels[r]) : part_ + r * WIDTH;
      if (!p_.residual) continue;
      add[r] = is_whole ? residual(block.pixels[r]) : residual_part_ + r * WIDTH;
      if (!is_whole && r < block.num_rows)
        std::copy(residual(block.pixels[r]), residual(block.pixels[r]) + width_, residual_part_ + r * WIDTH);
    }
    tile_.compute(block.inputs, bias_.data(), p_.slope, p_.residual ? add : nullptr, to);
    if (is_whole) return;
    for (int r = 0; r < block.num_rows; r++) std::copy(to[r], to[r] + width_, out(block.pixels[r]));
  }

  const Plan& plan_;
  const ConvProblem& p_;
  const Phase* phase_ = nullptr;
  Tile tile_;
  size_t num_segments_ = 0;
  int64_t group_ = 0, channel_ = 0, width_ = 0;
  int x_ = 0, y_ = 0;
  int64_t image_ = 0;
  std::vector<float> bias_;
  std::vector<Element> zeros_;
  std::vector<const Element*> inputs_;
  // a tile that the output has only a part of
  alignas(64) Element part_[R * WIDTH];
  alignas(64) Element residual_part_[R * WIDTH] = {};
};

// Every thread takes an equal run of all blocks of all phases, groups and panels.
template <class Tile>
void run(const Plan& plan) {
  constexpr int R = Tile::PIXELS, WIDTH = Tile::WIDTH;
  const ConvProblem& p = plan.problem;
  const int64_t num_panels = (plan.group_out + WIDTH - 1) / WIDTH;
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
    Panel<Tile> panel(plan);
    int64_t unit = total * thread / threads;
    const int64_t last = total * (thread + 1) / threads;
    while (unit < last) {
      const size_t i = std::upper_bound(ends.begin(), ends.end(), unit) - ends.begin();
      const Phase& phase = plan.phases[i];
      const int64_t num_blocks = (p.batch * phase.height * phase.width + R - 1) / R;
      const int64_t within = unit - (i ? ends[i - 1] : 0), column = within / num_blocks, block = within % num_blocks;
      const int64_t stop = std::min(num_blocks, block + last - unit);
      panel.select(phase, column / num_panels, column % num_panels * WIDTH, stop - block);
      panel.run(block, stop);
      unit += stop - block;
    }
  }
}

}  // namespace
