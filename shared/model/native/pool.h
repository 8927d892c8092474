// Threads that work through a list of phases together. Each has a run of pieces of its own and takes from the others'
// when that is done; nobody waits for a thread that the system has put aside unless it holds a piece. Waiting fetches
// what comes next, spins briefly, then sleeps: beside another busy process, spinning would only keep the piece that
// is waited for from being finished.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#ifndef POOL_GAP  // where a test has threads put aside
#define POOL_GAP() ((void)0)
#endif

struct Span {  // memory that will be read
  const uint8_t* at = nullptr;
  size_t bytes = 0;
};

struct Work {
  virtual int phases() const = 0;
  virtual int pieces(int phase) const = 0;  // 0 skips the phase; with 1 it runs between two others without a hand-over
  virtual void run(int phase, int piece) = 0;
  // What the thread whose pieces are the `lane`th of `lanes` runs will read first after this phase.
  virtual Span ahead(int phase, int lane, int lanes) const { return {}; }
  virtual bool long_phases() const { return true; }  // else a helper that fell asleep is left so until the next work
  virtual ~Work() = default;
};

class Pool {
 public:
  explicit Pool(int threads) : lanes_(size_t(threads)) {
    for (int i = 1; i < threads; i++) workers_.emplace_back([this, i] { work(i); });
  }
  ~Pool() {
    stop_ = true;
    publish(phase_ + 1, false);  // wakes all of them
    for (auto& worker : workers_) worker.join();
  }
  int threads() const { return int(lanes_.size()); }

  void run(Work& work) {
    work_ = &work;
    base_ = phase_ + 1;
    end_ = base_ + uint32_t(work.phases());
    advance(base_ - 1);
    helpers_.wake();
    while (true) {
      const uint32_t seen = phase_.load(std::memory_order_acquire);
      if (seen == end_) return;
      Span next;
      if (!take(0, next)) wait(owner_, seen, next);
    }
  }

 private:
  // A ticket is phase (32 bits), end (16), next piece (16): a late thread can claim nothing of a phase gone by.
  struct alignas(64) Lane {
    std::atomic<uint64_t> ticket{0};
  };

  void work(int lane) {
    while (!stop_) {
      const uint32_t seen = phase_.load(std::memory_order_acquire);
      Span next;
      if (!take(lane, next)) wait(helpers_, seen, next);
    }
  }

  bool claim(Lane& lane, uint32_t& phase, uint32_t& piece) {
    uint64_t ticket = lane.ticket.load(std::memory_order_acquire);
    while ((ticket & 0xffff) < (ticket >> 16 & 0xffff))
      if (lane.ticket.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) {
        phase = uint32_t(ticket >> 32), piece = ticket & 0xffff;
        return true;
      }
    return false;
  }

  // Pieces while there are any; true if the next phase has begun with the last of them.
  bool take(int own, Span& next) {
    uint32_t phase = 0, piece = 0, count = 0;
    for (int i = 0; i < threads(); i++)
      for (Lane& lane = lanes_[size_t((own + i) % threads())]; claim(lane, phase, piece); count++) work_->run(int(phase - base_), int(piece));
    if (!count) return false;
    // Both before the count: after it the next phase may begin, or the work be over and gone.
    const uint32_t all = pieces_;
    next = work_->ahead(int(phase - base_), own, threads());
    if (done_.fetch_add(count, std::memory_order_acq_rel) + count != all) return false;
    done_.store(0, std::memory_order_relaxed);
    advance(phase);
    return true;
  }

  void advance(uint32_t phase) {
    while (++phase != end_) {
      const int pieces = work_->pieces(int(phase - base_));
      if (pieces == 1) work_->run(int(phase - base_), 0);
      if (pieces <= 1) continue;
      const bool all = work_->long_phases();  // once it is published, the work may be over and gone
      pieces_ = uint32_t(pieces);
      for (int i = 0; i < threads(); i++) {
        const uint64_t begin = uint64_t(pieces) * i / threads(), end = uint64_t(pieces) * (i + 1) / threads();
        lanes_[size_t(i)].ticket.store(uint64_t(phase) << 32 | end << 16 | begin, std::memory_order_release);
      }
      return publish(phase, !all);
    }
    publish(phase, true);
  }

  // The pieces may be taken, and even all done, before their phase is published: the number only ever grows, or a
  // thread that was put aside here would call the others back to a phase gone by, and they would wait for ever.
  void publish(uint32_t phase, bool let_sleep) {
    POOL_GAP();
    uint32_t now = phase_.load();
    while (int32_t(phase - now) > 0 && !phase_.compare_exchange_weak(now, phase)) {
    }
    owner_.wake();
    if (!let_sleep) helpers_.wake();
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

  void wait(Bed& bed, uint32_t seen, Span next) {
    const auto changed = [&] { return phase_.load(std::memory_order_acquire) != seen; };
    for (size_t at = 0; at < next.bytes && !changed(); at += 256)
      for (size_t line = at; line < at + 256; line += 64) __builtin_prefetch(next.at + line, 0, 2);
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
    bed.awake.wait(lock, [&] { return phase_.load() != seen; });
    bed.sleepers.fetch_sub(1);
  }

  static constexpr int SPINS = 1500;  // about 30 microseconds
  std::vector<Lane> lanes_;
  alignas(64) std::atomic<uint32_t> phase_{0};
  alignas(64) std::atomic<uint32_t> done_{0};
  Bed owner_, helpers_;
  std::atomic<bool> stop_{false};
  Work* work_ = nullptr;
  uint32_t base_ = 0, end_ = 0, pieces_ = 0;
  std::vector<std::thread> workers_;
};
