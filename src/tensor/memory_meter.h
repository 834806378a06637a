// MemoryMeter counts the bytes of live buffers. A walk (one pass of one party) installs its own meter for its
// thread with MeterScope; every Buffer made in that scope counts there until it is freed, wherever that happens.
// A dry buffer counts as if it had storage, so that a dry run yields the peak of the real one.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace treville {

class MemoryMeter {
 public:
  void add(int64_t bytes);
  void remove(int64_t bytes) { live_.fetch_sub(bytes, std::memory_order_relaxed); }
  int64_t live() const { return live_.load(std::memory_order_relaxed); }
  int64_t peak() const { return peak_.load(std::memory_order_relaxed); }
  // reset_peak starts a new measurement (for instance per layer) from what is live now.
  void reset_peak() { peak_.store(live(), std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> live_{0};
  std::atomic<int64_t> peak_{0};
};

class MeterScope {
 public:
  explicit MeterScope(std::shared_ptr<MemoryMeter> meter);
  ~MeterScope();
  MeterScope(const MeterScope&) = delete;
  MeterScope& operator=(const MeterScope&) = delete;
  // current is the meter of this thread, or null.
  static const std::shared_ptr<MemoryMeter>& current();

 private:
  std::shared_ptr<MemoryMeter> previous_;
};

}  // namespace treville
