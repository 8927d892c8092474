// The C functions that model.py calls. Checked there: shapes, ids, positions, room in the cache.
#include "forward.h"
#include "sample.h"
#if defined(__linux__)
#include <sys/mman.h>
#endif

constexpr size_t HUGE_PAGE = size_t(2) << 20, SLAB = size_t(32) << 20;

static void* huge_pages(size_t bytes) {  // a token touches every weight once
  void* memory = nullptr;
  const size_t size = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  if (posix_memalign(&memory, HUGE_PAGE, size)) return nullptr;
#if defined(__linux__)
  madvise(memory, size, MADV_HUGEPAGE);
#endif
  return memory;
}

uint8_t* Model::allocate(size_t bytes) {
  if (bytes > slab_left) {
    const size_t size = bytes > SLAB ? bytes : SLAB;
    void* slab = huge_pages(size);
    if (!slab) return nullptr;
    slabs.push_back(slab);
    slab_at = (uint8_t*)slab, slab_left = size;
  }
  uint8_t* at = slab_at;
  slab_at += bytes, slab_left -= bytes;
  return at;
}

Model::~Model() {
  for (void* slab : slabs) free(slab);
}

namespace {

struct Packing : Work {
  const Matrix& matrix;
  int type;
  const uint8_t* raw;
  int parts;
  Packing(const Matrix& m, int t, const uint8_t* r, int p) : matrix(m), type(t), raw(r), parts(p) {}
  int phases() const override { return 1; }
  int pieces(int) const override { return parts; }
  void run(int, int piece) override {
    Forward::share(matrix.blocks(), parts, piece, [&](int block) { pack_block(matrix, block, type, raw); });
  }
};

enum Slot { EMBEDDING, HEAD, Q, K, V, PROJ, GATE, UP, DOWN, NORM_E, NORM_F, NORM_1, NORM_2, NORM_Q, NORM_K, BIAS_Q, BIAS_K, BIAS_V };

Matrix* matrix_of(Model& m, int slot, int layer) {
  if (slot == EMBEDDING) return &m.embedding;
  if (slot == HEAD) return &m.head;
  Layer& l = m.layers[size_t(layer)];
  Matrix* all[] = {&l.q, &l.k, &l.v, &l.proj, &l.gate, &l.up, &l.down};
  return slot >= Q && slot <= DOWN ? all[slot - Q] : nullptr;
}

std::vector<float>* vector_of(Model& m, int slot, int layer) {
  if (slot == NORM_E) return &m.norm_e;
  if (slot == NORM_F) return &m.norm_f;
  Layer& l = m.layers[size_t(layer)];
  std::vector<float>* all[] = {&l.norm_1, &l.norm_2, &l.norm_q, &l.norm_k, &l.bias_q, &l.bias_k, &l.bias_v};
  return slot >= NORM_1 && slot <= BIAS_V ? all[slot - NORM_1] : nullptr;
}

// Gate and up are read side by side, so their blocks lie in turns, wherever both are of one kind.
bool place(Model& m, int slot, int layer, Matrix& matrix) {
  const bool paired = slot == GATE || slot == UP;
  const size_t bytes = matrix.block_bytes();
  if (paired) {
    const Matrix& twin = slot == GATE ? m.layers[size_t(layer)].up : m.layers[size_t(layer)].gate;
    if (twin.data && twin.kind == matrix.kind && twin.rows == matrix.rows) {
      matrix.data = twin.data + bytes, matrix.step = twin.step;
      return true;
    }
  }
  matrix.step = paired ? 2 * bytes : bytes;
  matrix.data = m.allocate(matrix.step * size_t(matrix.blocks()));
  return matrix.data;
}

LoraExit* exit_of(LoraLayer& l, int slot) {
  LoraExit* all[] = {&l.q, &l.k, &l.v, &l.proj, &l.gate, &l.up, &l.down};
  return all[slot - Q];
}

LoraLayer::Input input_of(int slot) {
  return slot <= V ? LoraLayer::QKV : slot == PROJ ? LoraLayer::PROJ : slot == DOWN ? LoraLayer::DOWN : LoraLayer::GATE;
}

}  // namespace

extern "C" {

const char* akane_isa() { return ISA_NAME; }

void* akane_new(const Config* config, int threads) {
  try {
    return new Model(*config, threads);
  } catch (...) {
    return nullptr;
  }
}

void akane_free(void* model) { delete (Model*)model; }

// Bytes of one row of the file's type; 0 for a type that cannot be packed.
int64_t akane_row_bytes(int type, int cols) { return kind_of(type) == NO_KIND ? 0 : int64_t(row_bytes(type, cols)); }

// Packs rows x cols weights of a ggml type. Returns 0, or 1 without memory, 2 for an unknown slot or type.
int akane_matrix(void* model, int slot, int layer, int type, int rows, int cols, const uint8_t* raw) {
  Model& m = *(Model*)model;
  Matrix* matrix = matrix_of(m, slot, layer);
  if (!matrix || kind_of(type) == NO_KIND) return 2;
  matrix->kind = kind_of(type), matrix->rows = rows, matrix->cols = cols;
  if (!place(m, slot, layer, *matrix)) return 1;
  Packing packing(*matrix, type, raw, matrix->blocks() < 64 ? matrix->blocks() : 64);
  m.pool.run(packing);
  if (slot == EMBEDDING && m.c.tied_head) m.head = *matrix;
  return 0;
}

int akane_vector(void* model, int slot, int layer, int count, const float* values) {
  std::vector<float>* target = vector_of(*(Model*)model, slot, layer);
  if (!target) return 2;
  target->assign(values, values + count);
  target->resize(size_t(up_to(count, LANES)));
  return 0;
}

void akane_rotary(void* model, int positions, const float* cos, const float* sin) {
  Model& m = *(Model*)model;
  m.cos.assign(cos, cos + size_t(positions) * m.c.head_size);
  m.sin.assign(sin, sin + size_t(positions) * m.c.head_size);
}

// `count` columns; the logits of those in `wanted` go to logits[n_out][vocab]. Returns 0, or 1 without memory.
int akane_forward(void* model, const Cache* cache, int count, const int32_t* tokens, const int32_t* rows, const int32_t* positions, int n_out,
                  const int32_t* wanted, float* logits) {
  try {
    Model& m = *(Model*)model;
    Forward forward(m, *cache, count, tokens, rows, positions, n_out, wanted, logits);
    m.pool.run(forward);
    return 0;
  } catch (...) {
    return 1;
  }
}

// `count` layers by slot and number, ascending by number and then by slot; a is (rank, in) and b (out, rank) of each,
// bfloat16. Takes the place of the adapter before. Returns 0, or 1 without memory: then nothing has changed.
int akane_adapter_set(void* model, int count, const int32_t* slots, const int32_t* numbers, int rank, float scale, const uint16_t* const* a,
                      const uint16_t* const* b) {
  Model& m = *(Model*)model;
  try {
    Lora lora;
    lora.rank = rank, lora.padded = up_to(rank, LANES), lora.scale = scale;
    std::vector<LoraLayer> layers(m.layers.size());
    size_t size = 0;
    for (int i = 0; i < count; i++) {
      const Matrix& w = *matrix_of(m, slots[i], numbers[i]);
      LoraEntry& entry = layers[size_t(numbers[i])].entry[input_of(slots[i])];
      exit_of(layers[size_t(numbers[i])], slots[i])->at = entry.width;
      entry.width += lora.padded, entry.blocks = up_to(w.cols, LANES) / LANES;
      size += size_t(up_to(w.cols, LANES) + up_to(w.rows, LANES)) * lora.padded;
    }
    uint16_t* at = (uint16_t*)(lora.slab = huge_pages(size * sizeof(uint16_t)));
    if (!at) return 1;
    std::memset(at, 0, size * sizeof(uint16_t));
    for (int i = 0; i < count; i++) {
      const Matrix& w = *matrix_of(m, slots[i], numbers[i]);
      LoraLayer& layer = layers[size_t(numbers[i])];
      LoraEntry& entry = layer.entry[input_of(slots[i])];
      LoraExit& exit = *exit_of(layer, slots[i]);
      const size_t pieces = size_t(entry.blocks) * entry.width;
      if (!entry.a) entry.a = at, at += pieces * LANES;
      exit.b = at, at += size_t(up_to(w.rows, LANES)) * lora.padded;
      for (int k = 0; k < rank; k++) {
        for (int in = 0; in < w.cols; in++) entry.a[(size_t(in / 2) * entry.width + exit.at + k) * 2 + in % 2] = a[i][size_t(k) * w.cols + in];
        for (int out = 0; out < w.rows; out++)
          exit.b[((size_t(out / LANES) * lora.padded + k / 2 * 2) * LANES) + out % LANES * 2 + k % 2] = b[i][size_t(out) * rank + k];
      }
      lora.most_pieces = pieces > lora.most_pieces ? pieces : lora.most_pieces;
      lora.most_u = size_t(entry.width) > lora.most_u ? size_t(entry.width) : lora.most_u;
    }
    for (size_t i = 0; i < layers.size(); i++) m.layers[i].lora = layers[i];
    m.lora = std::move(lora);
    return 0;
  } catch (...) {
    return 1;
  }
}

void akane_adapter_clear(void* model) {
  Model& m = *(Model*)model;
  for (Layer& layer : m.layers) layer.lora = LoraLayer{};
  m.lora = Lora{};
}

// The id chosen from row[count], or -1: see Sampling; -2 without memory. The ids in `seen`, each once, bear the
// repetition penalty while this runs; afterwards the row is as it was.
int akane_sample(float* row, int count, const Draw* draw, const int32_t* seen, int n_seen) {
  static thread_local Sampling sampling;
  try {
    const Penalised penalised(row, seen, n_seen, draw->penalty);
    return sampling.choose(row, count, *draw);
  } catch (...) {
    return -2;
  }
}

void akane_unpacked(void* model, int slot, int layer, int row, float* out) { unpack_row(*matrix_of(*(Model*)model, slot, layer), row, out); }
}
