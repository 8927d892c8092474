// From a row of logits to an id: the steps of shared/model/sampling.py in the same order and in double, so that
// both choose the same id, bit by bit. Only sums, products and comparisons: library functions differ in the last bit.
#pragma once
#include <algorithm>
#include <cfloat>
#include <limits>
#include <vector>
#include "vectors.h"

struct Draw {  // `_Draw` of sampling.py
  double temperature, top_p, min_p, uniform;
  float penalty;
  int32_t top_k;
};

// Repetition penalty on the logits of some ids, each named once, for as long as it lives.
class Penalised {
 public:
  Penalised(float* row, const int32_t* ids, int count, float penalty) : row_(row), ids_(ids), kept_(size_t(count)) {
    for (size_t i = 0; i < kept_.size(); i++) {
      float& logit = row[ids[i]];
      kept_[i] = logit;
      logit = logit > 0 ? logit / penalty : logit * penalty;
    }
  }
  ~Penalised() {
    for (size_t i = 0; i < kept_.size(); i++) row_[ids_[i]] = kept_[i];
  }

 private:
  float* row_;
  const int32_t* ids_;
  std::vector<float> kept_;
};

class Sampling {
 public:
  // The id, or -1 if a logit is NaN or +inf, or all are -inf.
  int choose(const float* row, int count, const Draw& draw) {
    row_ = row, n_ = count, draw_ = &draw;
    if (!scan()) return -1;
    if (draw.temperature == 0.0) return first_best();
    if (0 < draw.top_k && draw.top_k < count) {
      take(draw.top_k);
      return ids_[pick(cut(draw.top_p * sum()))];
    }
    weigh(row, count);
    if (draw.top_p == 1.0) {
      for (double& weight : weights_) weight = weight >= draw.min_p ? weight : 0.0;
      return int(pick(weights_.size()));
    }
    const double share = draw.top_p * sum();
    int look = std::min(FIRST, count);
    for (take(look); look < count && sum() < share; take(look)) look = std::min(4 * look, count);
    return ids_[pick(cut(share))];
  }

 private:
  static constexpr int BLOCK = 32, FIRST = 256;
  static constexpr float LEAST = -std::numeric_limits<float>::infinity();

  // The largest logit of each block and of all; false if the row cannot be used.
  bool scan() {
    most_.clear();
    vi fine = splat_int(-1);
    int at = 0;
    for (; at + BLOCK <= n_; at += BLOCK) {
      vf most = splat(LEAST);
      for (int i = at; i < at + BLOCK; i += W) {
        const vf x = load<vf>(row_ + i);
        fine &= (vi)(x <= splat(FLT_MAX));
        most = vmax(most, x);
      }
      most_.push_back(max_lanes(most));
    }
    bool good = true;
    for (int lane = 0; lane < W; lane++) good &= fine[lane] != 0;
    if (at < n_) most_.push_back(LEAST);
    for (; at < n_; at++) {
      good &= row_[at] <= FLT_MAX;
      most_.back() = std::max(most_.back(), row_[at]);
    }
    best_ = most_.empty() ? LEAST : *std::max_element(most_.begin(), most_.end());
    return good && best_ > LEAST;
  }

  int first_best() const {
    const auto block = std::find(most_.begin(), most_.end(), best_) - most_.begin();
    return int(std::find(row_ + block * BLOCK, row_ + n_, best_) - row_);
  }

  // The `count` best with their weights, best first, of equal ones the lowest ids. `count` logits or more reach the
  // count-th largest of the blocks' maxima, but seldom many more.
  void take(int count) {
    float bound = LEAST;
    if (count <= int(most_.size())) {
      logits_ = most_;
      std::nth_element(logits_.begin(), logits_.begin() + (count - 1), logits_.end(), [](float a, float b) { return a > b; });
      bound = logits_[size_t(count - 1)];
    }
    ids_.clear();
    for (int b = 0; b < int(most_.size()); b++)
      if (most_[size_t(b)] >= bound)
        for (int i = b * BLOCK; i < std::min((b + 1) * BLOCK, n_); i++)
          if (row_[i] >= bound) ids_.push_back(i);
    const auto better = [this](int a, int b) { return row_[a] != row_[b] ? row_[a] > row_[b] : a < b; };
    std::nth_element(ids_.begin(), ids_.begin() + (count - 1), ids_.end(), better);
    ids_.resize(size_t(count));
    std::sort(ids_.begin(), ids_.end(), better);
    logits_.clear();
    for (int id : ids_) logits_.push_back(row_[id]);
    weigh(logits_.data(), count);
  }

  // Probabilities as multiples of the best one's: e to the distance from it over the temperature.
  void weigh(const float* logits, int count) {
    weights_.resize(size_t(count));
    double* weights = weights_.data();
    const double best = best_, temperature = draw_->temperature;
    for (int i = 0; i < count; i++) weights[i] = power((double(logits[i]) - best) / temperature);
  }

  // e^x for x <= 0 to two units in the last place, 0 below -100 (no uniform number is as small): x = n ln 2 + r, a Taylor series of r, 2^n.
  static double power(double x) {
    const double y = x < -100.0 ? -100.0 : x;
    const double shifted = y * 1.4426950408889634 + 6755399441055744.0;  // 1.5 * 2^52: leaves n in the low bits
    const double n = shifted - 6755399441055744.0;
    const double r = (y - n * 0.693145751953125) - n * 1.4286068203094173e-06;
    double series = 1.0 / 6227020800.0;
    for (double factorial : {479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0})
      series = series * r + 1.0 / factorial;
    uint64_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    double scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return x < -100.0 ? 0.0 : series * scale;
  }

  double sum() const {  // one after the other, as a cumulative sum does
    double total = 0.0;
    for (double weight : weights_) total += weight;
    return total;
  }

  // How many of the best stay: the fewest whose weights reach `share`, of these all of at least min_p.
  size_t cut(double share) const {
    size_t keep = 1;
    double before = weights_[0];
    while (keep < weights_.size() && weights_[keep] >= draw_->min_p && (draw_->top_p == 1.0 || before < share)) before += weights_[keep++];
    return keep;
  }

  // The cumulative sum of the first `count` weights inverted at the uniform number.
  size_t pick(size_t count) const {
    double total = 0.0, reached = 0.0;
    for (size_t i = 0; i < count; i++) total += weights_[i];
    const double wanted = draw_->uniform * total;
    for (size_t i = 0; i + 1 < count; i++)
      if ((reached += weights_[i]) > wanted) return i;
    return count - 1;
  }

  const float* row_ = nullptr;
  int n_ = 0;
  const Draw* draw_ = nullptr;
  float best_ = 0.f;
  std::vector<float> most_, logits_;
  std::vector<int> ids_;
  std::vector<double> weights_;
};
