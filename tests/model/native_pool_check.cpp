// Lists of phases of random lengths through the pool: every piece must run once, and no phase before the last is over.
#include <cstdio>
#include <cstdlib>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <thread>

static void put_aside() {  // as the system may do at any place; here it is where the others can run ahead
  static thread_local unsigned calls = 0;
  if (++calls % 7 == 0) std::this_thread::yield();
}
#define POOL_GAP put_aside

#include "../../shared/model/native/pool.h"

struct Checked : Work {
  static constexpr int PHASES = 60;
  int counts[PHASES];
  std::atomic<int> ran[PHASES], wrong{0};
  const bool awake;
  Checked(unsigned& seed, bool long_ones) : awake(long_ones) {
    for (int i = 0; i < PHASES; i++) counts[i] = rand_r(&seed) / 256 % 10, ran[i] = 0;
  }
  int phases() const override { return PHASES; }
  int pieces(int phase) const override { return counts[phase]; }
  bool long_phases() const override { return awake; }
  void run(int phase, int piece) override {
    if (piece >= counts[phase] || (phase && ran[phase - 1] != counts[phase - 1])) wrong++;
    for (volatile int i = 0; i < piece * 37 % 50 * 10; i = i + 1) {
    }
    ran[phase]++;
  }
};

int main() {
  for (int threads = 1; threads <= 5; threads++) {
    Pool pool(threads);
    unsigned seed = unsigned(threads);
    for (int i = 0; i < 400; i++) {
      Checked work(seed, i % 2);
      pool.run(work);
      for (int phase = 0; phase < Checked::PHASES; phase++)
        if (work.ran[phase] != work.counts[phase]) work.wrong++;
      if (work.wrong) return std::printf("%d threads, list %d: %d wrong\n", threads, i, int(work.wrong)), 1;
    }
  }
}
