// One forward pass of a GPT as a list of phases: embed, then per layer norm, qkv, rotary, attention, merge,
// projection, norm, gate and up, round, down; then norm and head for the columns whose logits are wanted.
#pragma once
#include <cstdlib>

#include "attention.h"
#include "lora.h"
#include "pool.h"

struct Config {  // int32 each but the last: ctypes fills it
  int32_t n_layer, n_head, n_kv_head, n_embd, head_size, hidden, vocab;
  int32_t emb_norm, qk_norm, tied_head, interleaved;  // qk_norm: 0 none, 1 before the rotary, 2 after it
  float eps;
};

struct Layer {
  Matrix q, k, v, proj, gate, up, down;
  std::vector<float> norm_1, norm_2, bias_q, bias_k, bias_v, norm_q, norm_k;
  LoraLayer lora;
};

struct Cache {  // as in cache.py: [row][chunk][layer][head], strides in float16 elements
  uint16_t* data;
  int64_t row, chunk, layer, head;
};

static inline int up_to(int value, int step) { return (value + step - 1) / step * step; }

struct Model {
  Config c;
  Pool pool;
  std::vector<Layer> layers;
  Lora lora;
  Matrix embedding, head;
  std::vector<float> norm_f, norm_e, cos, sin;  // cos, sin: [position][head_size], sines signed
  Columns x, normed, attended, hidden;          // x is the residual stream
  std::vector<float> qkv, partial_values;
  std::vector<Partial> partials;
  std::vector<void*> slabs;
  size_t slab_left = 0;
  uint8_t* slab_at = nullptr;

  Model(const Config& config, int threads) : c(config), pool(threads), layers(size_t(config.n_layer)) {}
  ~Model();
  uint8_t* allocate(size_t bytes);
  int padded() const { return up_to(c.head_size, LANES); }
  int group() const { return c.n_head / c.n_kv_head; }
  int q_rows() const { return up_to(c.n_head * c.head_size, LANES); }
  int kv_rows() const { return up_to(c.n_kv_head * c.head_size, LANES); }
  int qkv_rows() const { return q_rows() + 2 * kv_rows(); }
};

// y = x / rms(x) * weight over n values; x may be y. Returns 1 / rms(x).
static float rms_norm(const float* x, const float* weight, int n, float eps, float* y) {
  vf squares[2] = {};
  int i = 0;
  for (; i + 2 * W <= n; i += 2 * W)
    for (int u = 0; u < 2; u++) {
      const vf v = load<vf>(x + i + u * W);
      squares[u] = fma(v, v, squares[u]);
    }
  float total = sum_lanes(squares[0] + squares[1]);
  for (; i < n; i++) total += x[i] * x[i];
  const float factor = 1.f / std::sqrt(total / float(n) + eps);
  for (i = 0; i + W <= n; i += W) store(y + i, load<vf>(x + i) * factor * load<vf>(weight + i));
  for (; i < n; i++) y[i] = x[i] * factor * weight[i];
  return factor;
}

static void rotate(const Model& m, float* x, int position) {
  const int size = m.c.head_size, half = size / 2;
  const float *cos = m.cos.data() + size_t(position) * size, *sin = m.sin.data() + size_t(position) * size;
  const auto turn = [&](int a, int b) {
    const float first = x[a], second = x[b];
    x[a] = first * cos[a] + second * sin[a];
    x[b] = second * cos[b] + first * sin[b];
  };
  int i = 0;
  if (m.c.interleaved) {
    for (; i + W <= size; i += W) {
      const vf v = load<vf>(x + i);
      store(x + i, v * load<vf>(cos + i) + swap_pairs(v) * load<vf>(sin + i));
    }
    for (; i < size; i += 2) turn(i, i + 1);
  } else {
    for (; i + W <= half; i += W) {
      const vf first = load<vf>(x + i), second = load<vf>(x + i + half);
      store(x + i, first * load<vf>(cos + i) + second * load<vf>(sin + i));
      store(x + i + half, second * load<vf>(cos + i + half) + first * load<vf>(sin + i + half));
    }
    for (; i < half; i++) turn(i, i + half);
  }
}

struct Forward : Work {
  Model& m;
  const Cache& cache;
  const int n;  // columns: tokens of one row in order, or one token each of different rows
  const int32_t *tokens, *rows, *positions;
  const int n_out;
  const int32_t* wanted;  // columns whose logits go to logits[n_out][vocab]
  float* logits;
  const bool one_row;     // many columns of one row: attention by tiles of queries
  int tile_tokens, chunks_limit = 0;
  std::vector<int> first_unit;  // else: column t has the units first_unit[t] .. first_unit[t + 1]

  enum { NORM_1, QKV, ROTARY, ATTEND, MERGE, PROJ, NORM_2, GATE, ROUND, DOWN, PER_LAYER };

  Forward(Model& model, const Cache& view, int count, const int32_t* ids, const int32_t* row, const int32_t* position, int outputs, const int32_t* which, float* out)
      : m(model), cache(view), n(count), tokens(ids), rows(row), positions(position), n_out(outputs), wanted(which), logits(out),
        one_row(count > 4 && row[0] == row[count - 1]) {
    m.x.shape(n, m.c.n_embd);
    m.normed.shape(n, m.c.n_embd);
    m.attended.shape(n, m.c.n_head * m.c.head_size);
    m.hidden.shape(n, m.c.hidden);
    m.lora.reserve(n);
    if (m.qkv.size() < size_t(n) * m.qkv_rows()) m.qkv.resize(size_t(n) * m.qkv_rows());
    tile_tokens = m.group() >= 8 ? 2 : 24 / m.group();
    if (one_row) return;
    first_unit.push_back(0);
    for (int t = 0; t < n; t++) first_unit.push_back(first_unit.back() + m.c.n_kv_head * chunks(t));
    const size_t parts = size_t(first_unit.back()) * m.group();
    if (m.partials.size() < parts) m.partials.resize(parts), m.partial_values.resize(parts * m.padded());
  }

  bool long_phases() const override { return n > 2; }
  int chunks(int t) const { return positions[t] / CHUNK + 1; }
  int phases() const override { return m.c.n_layer * PER_LAYER + 3; }
  // Phase 0 embeds; the last two are the final norm and the head.
  int layer_of(int phase) const { return (phase - 1) / PER_LAYER; }

  int by_token() const { return n <= 2 ? 1 : m.x.tiles() < 512 ? m.x.tiles() : 512; }
  int by_block(int blocks) const {
    const int wanted_pieces = m.pool.threads() * 4;
    return m.pool.threads() == 1 ? 1 : blocks < wanted_pieces ? blocks : wanted_pieces;
  }
  int qkv_blocks() const { return m.qkv_rows() / LANES; }

  int pieces(int phase) const override {
    if (phase == 0) return by_token();
    const int last = m.c.n_layer * PER_LAYER + 1;
    if (phase == last) return n_out ? 1 : 0;
    if (phase == last + 1) return n_out ? by_block(m.head.blocks()) : 0;
    switch ((phase - 1) % PER_LAYER) {
      case QKV: return by_block(qkv_blocks());
      case ATTEND: return one_row ? m.c.n_kv_head * ((n + tile_tokens - 1) / tile_tokens) : attend_pieces();
      case PROJ: case DOWN: return by_block(m.normed.ld / LANES);
      case GATE: return by_block(m.hidden.ld / LANES);
      default: return by_token();
    }
  }
  int attend_pieces() const { return by_block(first_unit.back()); }  // long runs: each unit fetches the next

  static constexpr size_t AHEAD = size_t(96) << 10;  // what a core reads in 3 microseconds

  Span ahead(int phase, int lane, int lanes) const override {
    int next = phase + 1;
    while (next < phases() && pieces(next) < 2) next++;
    if (n > 2 || next == phases()) return {};
    const int of = pieces(next), piece = of * lane / lanes;
    const auto from = [&](const Matrix& matrix, int block) { return Span{matrix.block(block), AHEAD}; };
    const auto share_of = [&](const Matrix& matrix, int blocks) { return from(matrix, int(int64_t(blocks) * piece / of)); };
    if (next == phases() - 1) return share_of(m.head, m.head.blocks());
    const Layer& l = m.layers[size_t(layer_of(next))];
    switch ((next - 1) % PER_LAYER) {
      case QKV: {
        const int block = qkv_blocks() * piece / of, q = m.q_rows() / LANES, kv = m.kv_rows() / LANES;
        return block < q ? from(l.q, block) : block < q + kv ? from(l.k, block - q) : from(l.v, block - q - kv);
      }
      case PROJ: return share_of(l.proj, m.normed.ld / LANES);
      case GATE: return share_of(l.gate, m.hidden.ld / LANES);
      case DOWN: return share_of(l.down, m.normed.ld / LANES);
      default: return {};
    }
  }

  template <class F> static void share(int count, int pieces, int piece, F each) {
    for (int i = int(int64_t(count) * piece / pieces), end = int(int64_t(count) * (piece + 1) / pieces); i < end; i++) each(i);
  }
  // Runs of blocks whose products fit the scratch memory: the weights of a run are read in one stream.
  template <class F> void runs(int blocks, int pieces, int piece, F each) {
    const int end = int(int64_t(blocks) * (piece + 1) / pieces), longest = n < RUN ? RUN / n : 1;
    for (int i = int(int64_t(blocks) * piece / pieces); i < end; i += longest) each(i, i + longest < end ? i + longest : end);
  }
  int token_of(int pieces, int piece) const {  // by whole tiles: they share cache lines
    const int t = int(int64_t(m.x.tiles()) * piece / pieces) * m.x.width;
    return t < n ? t : n;
  }
  template <class F> void each_token(int pieces, int piece, F each) {
    for (int t = token_of(pieces, piece), end = token_of(pieces, piece + 1); t < end; t++) each(t);
  }

  static bool coded(const Matrix& a) { return a.kind < BF16; }

  void run(int phase, int piece) override {
    const int of = pieces(phase), last = m.c.n_layer * PER_LAYER + 1;
    if (phase == 0) {
      each_token(of, piece, [&](int t) { embed(t); });
      return m.lora.enter_all(m.layers[0].lora.entry[LoraLayer::QKV], m.x, m.layers[0].norm_1.data(), token_of(of, piece), token_of(of, piece + 1));
    }
    if (phase == last) return final_norm();
    if (phase == last + 1) return share(m.head.blocks(), of, piece, [&](int block) { head(block); });
    const int layer = layer_of(phase);
    const Layer& l = m.layers[size_t(layer)];
    switch ((phase - 1) % PER_LAYER) {
      case NORM_1: return each_token(of, piece, [&](int t) { norm(t, l.norm_1, coded(l.q) || coded(l.k) || coded(l.v), l.lora.entry[LoraLayer::QKV]); });
      case QKV: return runs(qkv_blocks(), of, piece, [&](int first, int end) { qkv(l, first, end); });
      case ROTARY: return each_token(of, piece, [&](int t) { write_cache(l, layer, t); });
      case ATTEND:
        if (one_row) return attend_tile(layer, piece);
        return share(first_unit.back(), of, piece, [&](int unit) { attend_unit(layer, unit); });
      case MERGE:
        each_token(of, piece, [&](int t) {
          if (!one_row) merge_units(t);
          if (coded(l.proj)) quantize(m.attended, t);
        });
        m.lora.enter_all(l.lora.entry[LoraLayer::PROJ], m.attended, nullptr, token_of(of, piece), token_of(of, piece + 1));
        return each_token(of, piece, [&](int t) { m.lora.settle(l.lora.entry[LoraLayer::PROJ], t, 1.f); });
      case PROJ:
        runs(m.normed.ld / LANES, of, piece, [&](int first, int end) { add(l.proj, l.lora.proj, m.attended, first, end); });
        return share(l.lora.entry[LoraLayer::GATE].blocks, of, piece, [&](int block) { m.lora.enter(l.lora.entry[LoraLayer::GATE], block, m.x, l.norm_2.data(), 0, n); });
      case NORM_2: return each_token(of, piece, [&](int t) { norm(t, l.norm_2, coded(l.gate) || coded(l.up), l.lora.entry[LoraLayer::GATE]); });
      case GATE:
        runs(m.hidden.ld / LANES, of, piece, [&](int first, int end) { gate(l, first, end); });
        return share(l.lora.entry[LoraLayer::DOWN].blocks, of, piece, [&](int block) { m.lora.enter(l.lora.entry[LoraLayer::DOWN], block, m.hidden, nullptr, 0, n); });
      case ROUND:
        return each_token(of, piece, [&](int t) {
          if (coded(l.down)) quantize(m.hidden, t);
          m.lora.settle(l.lora.entry[LoraLayer::DOWN], t, 1.f);
        });
      default: {
        const Layer& next = m.layers[size_t(layer + 1 < m.c.n_layer ? layer + 1 : layer)];  // after the last, in vain
        runs(m.normed.ld / LANES, of, piece, [&](int first, int end) { add(l.down, l.lora.down, m.hidden, first, end); });
        if (layer + 1 == m.c.n_layer) return;
        return share(next.lora.entry[LoraLayer::QKV].blocks, of, piece, [&](int block) { m.lora.enter(next.lora.entry[LoraLayer::QKV], block, m.x, next.norm_1.data(), 0, n); });
      }
    }
  }

  void embed(int t) {
    unpack_row(m.embedding, tokens[t], m.x.column(t));
    if (m.c.emb_norm) rms_norm(m.x.column(t), m.norm_e.data(), m.c.n_embd, m.c.eps, m.x.column(t));
  }

  void norm(int t, const std::vector<float>& weight, bool round, const LoraEntry& entry) {
    const float factor = rms_norm(m.x.column(t), weight.data(), m.c.n_embd, m.c.eps, m.normed.column(t));
    if (round) quantize(m.normed, t);
    m.lora.settle(entry, t, factor);
  }

  static constexpr int RUN = 64;  // blocks times columns
  static float* scratch(int products) {
    static thread_local std::vector<float> memory;
    if (memory.size() < size_t(products) * LANES + 16) memory.resize(size_t(products) * LANES + 16);
    return (float*)((uintptr_t(memory.data()) + 63) / 64 * 64);
  }

  void qkv(const Layer& l, int first, int end) {
    const int q_blocks = m.q_rows() / LANES, kv_blocks = m.kv_rows() / LANES;
    float* out = scratch((end - first) * n);
    const auto each = [&](auto work) {  // block of q, k or v: whose, number in it, its products
      for (int block = first; block < end; block++) {
        const int which = block < q_blocks ? 0 : block < q_blocks + kv_blocks ? 1 : 2;
        work(which, which ? (block - q_blocks) % kv_blocks : block, out + size_t(block - first) * n * LANES, block);
      }
    };
    const Matrix* matrices[] = {&l.q, &l.k, &l.v};
    const LoraExit* sides[] = {&l.lora.q, &l.lora.k, &l.lora.v};
    const std::vector<float>* biases[] = {&l.bias_q, &l.bias_k, &l.bias_v};
    each([&](int which, int own, float* products, int) { multiply(*matrices[which], own, m.normed, products); });
    each([&](int which, int own, float* products, int) { m.lora.leave(*sides[which], own, n, products); });
    each([&](int which, int own, float* products, int block) {
      const std::vector<float>& bias = *biases[which];
      for (int t = 0; t < n; t++) {
        float* to = m.qkv.data() + size_t(t) * m.qkv_rows() + block * LANES;
        for (int i = 0; i < LANES; i += W) {
          vf value = load<vf>(products + t * LANES + i);
          if (!bias.empty()) value += load<vf>(bias.data() + own * LANES + i);
          store(to + i, value);
        }
      }
    });
  }

  void write_cache(const Layer& l, int layer, int t) {
    const int size = m.c.head_size, position = positions[t];
    float *q = m.qkv.data() + size_t(t) * m.qkv_rows(), *k = q + m.q_rows(), *v = k + m.kv_rows();
    const float scale = 1.f / std::sqrt(float(size));
    for (int h = 0; h < m.c.n_head + m.c.n_kv_head; h++) {
      const bool is_q = h < m.c.n_head;
      float* x = is_q ? q + h * size : k + (h - m.c.n_head) * size;
      const float* weight = is_q ? l.norm_q.data() : l.norm_k.data();
      if (m.c.qk_norm == 1) rms_norm(x, weight, size, m.c.eps, x);
      rotate(m, x, position);
      if (m.c.qk_norm == 2) rms_norm(x, weight, size, m.c.eps, x);
      if (is_q)
        for (int d = 0; d < size; d++) x[d] *= scale;
    }
    const int at = position % CHUNK;
    for (int h = 0; h < m.c.n_kv_head; h++) {
      uint16_t* keys = record(layer, rows[t], h, position / CHUNK);
      uint16_t* values = keys + CHUNK * size + size_t(at) * m.padded();
      keys += size_t(at / LANES) * size * LANES + at % LANES;
      int d = 0;
      for (; d + W <= size; d += W) {
        uint16_t halves[W];
        store_half(halves, load<vf>(k + h * size + d));
        for (int lane = 0; lane < W; lane++) keys[(d + lane) * LANES] = halves[lane];
        store_half(values + d, load<vf>(v + h * size + d));
      }
      for (; d < size; d++) keys[d * LANES] = float_to_half(k[h * size + d]), values[d] = float_to_half(v[h * size + d]);
    }
  }

  uint16_t* record(int layer, int row, int head, int chunk) const { return cache.data + row * cache.row + chunk * cache.chunk + layer * cache.layer + head * cache.head; }
  Chunk view(int layer, int row, int head, int chunk, const uint16_t* next) const {
    const uint16_t* keys = record(layer, row, head, chunk);
    return {keys, keys + CHUNK * m.c.head_size, m.c.head_size, m.padded(), next};
  }

  void attend_unit(int layer, int unit) {  // units of a column: chunk by chunk, the key heads of each as they lie
    int t = 0;
    while (unit >= first_unit[size_t(t) + 1]) t++;
    const int heads = m.c.n_kv_head, own = unit - first_unit[size_t(t)], head = own % heads, chunk = own / heads, group = m.group();
    const bool over = head + 1 == heads, last = unit + 1 == first_unit[size_t(t) + 1];
    const uint16_t* next = record(layer, rows[t], over ? 0 : head + 1, over && !last ? chunk + 1 : chunk);
    const float* q = m.qkv.data() + size_t(t) * m.qkv_rows() + head * group * m.c.head_size;
    attend(group, view(layer, rows[t], head, chunk, next), q, m.c.head_size, same_limits(positions[t] + 1).data(), chunk,
           m.partial_values.data() + size_t(unit) * group * m.padded(), m.padded(), m.partials.data() + size_t(unit) * group);
  }
  const std::vector<int>& same_limits(int limit) const {
    static thread_local std::vector<int> limits;
    limits.assign(size_t(m.group()), limit);
    return limits;
  }

  void finish_head(int t, int head, float sum, const float* values) {
    float* out = m.attended.column(t) + head * m.c.head_size;
    const float share = 1.f / sum;
    int d = 0;
    for (; d + W <= m.c.head_size; d += W) store(out + d, load<vf>(values + d) * share);
    for (; d < m.c.head_size; d++) out[d] = values[d] * share;
  }

  void merge_units(int t) {
    static thread_local std::vector<float> values, weights;
    const int group = m.group(), padded = m.padded(), count = chunks(t);
    values.resize(size_t(padded));
    weights.resize(size_t(up_to(count, W)));
    for (int h = 0; h < m.c.n_head; h++) {
      const size_t first = size_t(first_unit[size_t(t)] + h / group) * group + h % group;
      const int step = m.c.n_kv_head * group;
      const Partial* parts = m.partials.data() + first;
      float most = -INFINITY, sum = 0;
      for (int i = 0; i < count; i++) most = parts[i * step].most > most ? parts[i * step].most : most;
      for (int i = 0; i < count; i++) weights[size_t(i)] = parts[i * step].most - most;
      for (int i = 0; i < count; i += W) store(weights.data() + i, vexp(load<vf>(weights.data() + i)));
      for (int i = 0; i < count; i++) sum += parts[i * step].sum * weights[size_t(i)];
      for (int d = 0; d < padded; d += W) {
        const float* from = m.partial_values.data() + first * padded + d;
        vf total{};
        for (int i = 0; i < count; i++) total = fma(load<vf>(from + size_t(i) * step * padded), splat(weights[size_t(i)]), total);
        store(values.data() + d, total);
      }
      finish_head(t, h, sum, values.data());
    }
  }

  void attend_tile(int layer, int unit) {
    const int tiles = (n + tile_tokens - 1) / tile_tokens, head = unit / tiles, begin = unit % tiles * tile_tokens;
    const int end = begin + tile_tokens < n ? begin + tile_tokens : n, group = m.group(), padded = m.padded(), size = m.c.head_size;
    const int queries = (end - begin) * group;
    static thread_local std::vector<float> q, values, other;
    static thread_local std::vector<int> limits;
    static thread_local std::vector<Partial> totals, partials;
    q.resize(size_t(queries) * size);
    limits.resize(size_t(queries));
    totals.assign(size_t(queries), Partial{});
    partials.resize(size_t(queries));
    values.assign(size_t(queries) * padded, 0.f);
    other.resize(size_t(queries) * padded);
    for (int t = begin; t < end; t++)
      for (int g = 0; g < group; g++) {
        const int i = (t - begin) * group + g;
        std::memcpy(q.data() + size_t(i) * size, m.qkv.data() + size_t(t) * m.qkv_rows() + (head * group + g) * size, size_t(size) * 4);
        limits[size_t(i)] = positions[t] + 1;
      }
    for (int chunk = 0; chunk < chunks(end - 1); chunk++) {
      attend(queries, view(layer, rows[0], head, chunk, record(layer, rows[0], head, chunk)), q.data(), size, limits.data(), chunk, other.data(), padded, partials.data());
      for (int i = 0; i < queries; i++) merge(totals[size_t(i)], values.data() + size_t(i) * padded, partials[size_t(i)], other.data() + size_t(i) * padded, padded);
    }
    for (int i = 0; i < queries; i++) finish_head(begin + i / group, head * group + i % group, totals[size_t(i)].sum, values.data() + size_t(i) * padded);
  }

  void add(const Matrix& matrix, const LoraExit& side, const Columns& from, int first, int end) {
    float* out = scratch((end - first) * n);
    for (int block = first; block < end; block++) multiply(matrix, block, from, out + size_t(block - first) * n * LANES);
    for (int block = first; block < end; block++, out += n * LANES) {
      m.lora.leave(side, block, n, out);
      for (int t = 0; t < n; t++) {
        float* to = m.x.column(t) + block * LANES;
        for (int i = 0; i < LANES; i += W) store(to + i, load<vf>(to + i) + load<vf>(out + t * LANES + i));
      }
    }
  }

  void gate(const Layer& l, int first, int end) {
    float *out = scratch((end - first) * n * 2), *a = out, *b = out + n * LANES;
    for (int block = first; block < end; block++, a += 2 * n * LANES, b += 2 * n * LANES) {
      multiply(l.gate, block, m.normed, a);
      multiply(l.up, block, m.normed, b);
    }
    a = out, b = out + n * LANES;
    for (int block = first; block < end; block++, a += 2 * n * LANES, b += 2 * n * LANES) {
      m.lora.leave(l.lora.gate, block, n, a);
      m.lora.leave(l.lora.up, block, n, b);
      for (int t = 0; t < n; t++)
        for (int i = 0; i < LANES; i += W) {
          const vf x = load<vf>(a + t * LANES + i);
          store(m.hidden.column(t) + block * LANES + i, x / (vexp(-x) + 1.f) * load<vf>(b + t * LANES + i));
        }
    }
  }

  // The head decides which token wins, and reading it costs more than multiplying: it gets 16-bit activations.
  int head_columns() const { return coded(m.head) ? 2 : 1; }

  void final_norm() {  // the wanted columns move to the front of `normed`
    const int each = head_columns();
    m.normed.shape(n_out * each, m.c.n_embd);
    for (int i = 0; i < n_out; i++) {
      rms_norm(m.x.column(wanted[i]), m.norm_f.data(), m.c.n_embd, m.c.eps, m.normed.column(i * each));
      if (each == 1) continue;
      quantize(m.normed, i * 2);
      quantize_rest(m.normed, i * 2);
    }
  }

  void head(int block) {
    const int each = head_columns(), first = block * LANES, present = m.c.vocab - first < LANES ? m.c.vocab - first : LANES;
    float* out = scratch(n_out * each);
    multiply(m.head, block, m.normed, out);
    for (int i = 0; i < n_out; i++) {
      float* to = out + size_t(i) * each * LANES;
      for (int lane = 0; lane < LANES && each == 2; lane++) to[lane] += to[LANES + lane];
      std::memcpy(logits + size_t(i) * m.c.vocab + first, to, size_t(present) * 4);
    }
  }
};
