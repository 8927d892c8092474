// Products and a whole small model on fixed inputs, as float32 on standard output: built for two processors, both
// must print the same numbers but for rounding. First every type's products, then logits of a prompt and of steps.
#include <cstdio>

#include "../../shared/model/native/engine.cpp"

static uint64_t state = 88172645463325252ull;
static uint32_t next_bits() {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return uint32_t(state >> 32);
}
static float next_float() { return float(int32_t(next_bits())) / 2147483648.f; }

// Random blocks of a ggml type, with scales that leave weights of about one tenth.
static std::vector<uint8_t> random_blocks(int type, int rows, int cols) {
  std::vector<uint8_t> raw(row_bytes(type, cols) * size_t(rows));
  for (uint8_t& byte : raw) byte = uint8_t(next_bits());
  struct { int type, bytes, halves[2]; float scales[2]; } table[] = {
      {G_Q4_0, 18, {0, 0}, {.02f, .02f}},  {G_Q4_1, 20, {0, 2}, {.02f, -.15f}}, {G_Q5_0, 22, {0, 0}, {.01f, .01f}},
      {G_Q5_1, 24, {0, 2}, {.01f, -.15f}}, {G_Q8_0, 34, {0, 0}, {.001f, .001f}}, {G_Q4_K, 144, {0, 2}, {.0004f, .003f}},
      {G_Q5_K, 176, {0, 2}, {.0002f, .003f}}, {G_Q6_K, 210, {208, 208}, {.0001f, .0001f}}};
  for (const auto& entry : table)
    if (entry.type == type)
      for (size_t at = 0; at < raw.size(); at += size_t(entry.bytes))
        for (int i = 0; i < 2; i++) {
          const uint16_t half = float_to_half(entry.scales[i]);
          std::memcpy(&raw[at + size_t(entry.halves[i])], &half, 2);
        }
  for (size_t i = 0; i < size_t(rows) * cols; i++) {
    const float value = next_float() * .1f;
    if (type == G_F32) std::memcpy(&raw[i * 4], &value, 4);
    if (type == G_BF16) std::memcpy(&raw[i * 2], (const uint8_t*)&value + 2, 2);
  }
  return raw;
}

static void print(const float* values, size_t count) { std::fwrite(values, sizeof *values, count, stdout); }

static void products(int type) {
  Matrix matrix;
  matrix.kind = kind_of(type), matrix.rows = 40, matrix.cols = 512, matrix.step = matrix.block_bytes();
  std::vector<uint8_t> memory(matrix.step * size_t(matrix.blocks()));
  matrix.data = memory.data();
  const auto raw = random_blocks(type, matrix.rows, matrix.cols);
  for (int block = 0; block < matrix.blocks(); block++) pack_block(matrix, block, type, raw.data());
  for (int count : {1, 2, 3, 7, 16, 29}) {
    Columns x;
    x.shape(count, matrix.cols);
    for (int t = 0; t < count; t++) {
      for (int i = 0; i < matrix.cols; i++) x.column(t)[i] = next_float();
      quantize(x, t);
    }
    std::vector<float> out(size_t(count) * LANES);
    for (int block = 0; block < matrix.blocks(); block++) {
      multiply(matrix, block, x, out.data());
      print(out.data(), out.size());
    }
  }
}

static void model(int type, int interleaved) {
  const int width = 256, hidden = 512, heads = 8, kv_heads = 2, size = 32, vocab = 80, positions = 192, layers = 2;
  const Config config{layers, heads, kv_heads, width, size, hidden, vocab, 0, 0, 1, interleaved, 1e-5f};
  void* handle = akane_new(&config, 2);
  const std::vector<float> ones(width, 1.f);
  const struct { int slot, rows, cols; } slots[] = {{Q, width, width}, {K, 64, width}, {V, 64, width}, {PROJ, width, width},
                                                    {GATE, hidden, width}, {UP, hidden, width}, {DOWN, width, hidden}};
  akane_matrix(handle, EMBEDDING, 0, type, vocab, width, random_blocks(type, vocab, width).data());
  akane_vector(handle, NORM_F, 0, width, ones.data());
  for (int layer = 0; layer < layers; layer++) {
    for (const auto& s : slots) akane_matrix(handle, s.slot, layer, type, s.rows, s.cols, random_blocks(type, s.rows, s.cols).data());
    for (int slot : {NORM_1, NORM_2}) akane_vector(handle, slot, layer, width, ones.data());
  }
  std::vector<float> cos(positions * size), sin(positions * size);
  for (float& x : cos) x = next_float();
  for (float& x : sin) x = next_float();
  akane_rotary(handle, positions, cos.data(), sin.data());
  const int64_t head = CHUNK * 2 * size, layer = head * kv_heads, chunk = layer * layers;
  std::vector<uint16_t> memory(size_t(chunk) * 2);
  const Cache cache{memory.data(), chunk * 2, chunk, layer, head};
  std::vector<float> logits(vocab);
  for (int begin = 0, count; begin < 170; begin += count) {  // 140 at once, then single ones: over a chunk's end
    count = begin ? 1 : 140;
    std::vector<int32_t> tokens, rows(size_t(count), 0), places;
    for (int i = 0; i < count; i++) tokens.push_back((begin + i) * 37 % vocab), places.push_back(begin + i);
    const int32_t wanted = count - 1;
    akane_forward(handle, &cache, count, tokens.data(), rows.data(), places.data(), 1, &wanted, logits.data());
    print(logits.data(), logits.size());
  }
  akane_free(handle);
}

int main() {
  std::fprintf(stderr, "%s\n", akane_isa());
  for (int type : {G_F32, G_BF16, G_Q4_0, G_Q4_1, G_Q5_0, G_Q5_1, G_Q8_0, G_Q4_K, G_Q5_K, G_Q6_K}) products(type);
  model(G_F32, 1);
  model(G_Q8_0, 0);
}
