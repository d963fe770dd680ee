// What conv_act is asked, and how it goes about it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#define VERSION 3  // another whenever the functions or the meaning of their arguments change; as in native_conv.py

extern "C" {

// Maps, output and residual are of one type, float32 or bfloat16, which the level says; weights and bias are float32.
struct ConvMap {
  const void* data;
  int64_t channels;
  int64_t stride;  // elements between neighbouring pixels; rows and images follow without gaps
};

struct ConvProblem {
  const ConvMap* maps;
  int64_t num_maps;
  int64_t batch, height, width;  // of every map
  void* out;
  int64_t out_stride, out_height, out_width, out_channels;
  const void* residual;  // of the output's size, or null
  int64_t residual_stride;
  const float* weight;
  int64_t weight_group, weight_out, weight_in, weight_y, weight_x;  // floats between neighbours along each dimension
  const float* bias;  // or null
  int64_t kernel_height, kernel_width, step, padding, groups, transposed;
  float slope;  // of the activation for negative values: 1 is none, 0 a ReLU
  int64_t num_threads;
};

// Of `pixels` rows of `channels`: the gradient before the activation from that after it and the result, both with strides
// in floats between pixels, and its sums over the pixels; slope_sum: of gradient times the result's negative part.
struct GradProblem {
  const float* grad;
  const float* out;
  float* before;  // without gaps
  float* bias_sum;
  float* slope_sum;
  int64_t pixels, channels, grad_stride, out_stride;
  float slope;
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

inline int count(int64_t length, int first, int step) { return static_cast<int>((length - first + step - 1) / step); }

inline Plan make_plan(const ConvProblem& p) {
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

// The weights of one phase, group and panel: for every map and tap, `length` rows (input channels) of `width` weights
// (output channels).
struct Weights {
  std::vector<const float*> segments;
  std::vector<int> lengths;
  std::vector<const void*> ends;  // of the inputs: up to where what follows a row may be read, too
  int64_t in_stride, out_stride;  // floats between neighbouring rows and within a row
  int64_t width;
};

}  // namespace
