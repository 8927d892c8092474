// Threads that work through a list of phases together. Whoever is awake takes the next piece; nobody waits for a
// thread that the system has put aside unless it holds a piece. Waiting spins briefly, then sleeps: beside another
// busy process, spinning would only keep the piece that is waited for from being finished.
#pragma once
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

struct Work {
  virtual int phases() const = 0;
  virtual int pieces(int phase) const = 0;  // 0 skips the phase; with 1 it runs between two others without a hand-over
  virtual void run(int phase, int piece) = 0;
  virtual bool long_phases() const { return true; }  // else a helper that fell asleep is left so until the next work
  virtual ~Work() = default;
};

class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 1; i < threads; i++) workers_.emplace_back([this] { work(); });
  }
  ~Pool() {
    stop_ = true;
    publish(phase_of(ticket_.load()) + 1, 0);
    helpers_.wake();
    for (auto& worker : workers_) worker.join();
  }
  int threads() const { return int(workers_.size()) + 1; }

  void run(Work& work) {
    work_ = &work;
    base_ = phase_of(ticket_.load()) + 1;
    end_ = base_ + uint32_t(work.phases());
    advance(base_ - 1);
    if (!work.long_phases()) helpers_.wake();
    while (true) {
      const uint64_t ticket = ticket_.load(std::memory_order_acquire);
      if (phase_of(ticket) == end_) return;
      if (!take(ticket)) wait(owner_, ticket);
    }
  }

 private:
  // A ticket is phase (32 bits), pieces (16), next piece (16): a late thread can claim nothing of a phase gone by.
  static uint32_t phase_of(uint64_t ticket) { return uint32_t(ticket >> 32); }

  void work() {
    while (!stop_) {
      const uint64_t ticket = ticket_.load(std::memory_order_acquire);
      if (!take(ticket)) wait(helpers_, ticket);
    }
  }

  bool take(uint64_t ticket) {
    const uint32_t pieces = ticket >> 16 & 0xffff, next = ticket & 0xffff;
    if (next >= pieces) return false;
    if (!ticket_.compare_exchange_strong(ticket, ticket + 1, std::memory_order_acq_rel)) return true;
    const uint32_t phase = phase_of(ticket);
    work_->run(int(phase - base_), int(next));
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == pieces) {
      done_.store(0, std::memory_order_relaxed);
      advance(phase);
    }
    return true;
  }

  void advance(uint32_t phase) {
    while (++phase != end_) {
      const int pieces = work_->pieces(int(phase - base_));
      if (pieces == 1) work_->run(int(phase - base_), 0);
      else if (pieces > 1) return publish(phase, uint32_t(pieces));
    }
    publish(phase, 0);
  }

  void publish(uint32_t phase, uint32_t pieces) {
    const bool all = pieces > 0 && work_->long_phases();  // once it is published, the work may be over and gone
    ticket_.store(uint64_t(phase) << 32 | pieces << 16);
    owner_.wake();
    if (all) helpers_.wake();
  }

  struct Bed {
    std::mutex mutex;
    std::condition_variable awake;
    alignas(64) std::atomic<int> sleepers{0};
    void wake() {
      if (sleepers.load() == 0) return;
      std::lock_guard<std::mutex> lock(mutex);
      awake.notify_all();
    }
  };

  void wait(Bed& bed, uint64_t seen) {
    const auto changed = [&] { return ticket_.load(std::memory_order_acquire) != seen; };
    for (int i = 0; i < SPINS; i++) {
      if (changed()) return;
#if defined(__x86_64__)
      _mm_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#endif
    }
    std::unique_lock<std::mutex> lock(bed.mutex);
    bed.sleepers.fetch_add(1);
    bed.awake.wait(lock, [&] { return ticket_.load() != seen; });
    bed.sleepers.fetch_sub(1);
  }

  static constexpr int SPINS = 1500;  // about 30 microseconds
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<uint32_t> done_{0};
  Bed owner_, helpers_;
  std::atomic<bool> stop_{false};
  Work* work_ = nullptr;
  uint32_t base_ = 0, end_ = 0;
  std::vector<std::thread> workers_;
};
