#include "tensor/memory_meter.h"

#include <utility>

namespace treville {
namespace {

thread_local std::shared_ptr<MemoryMeter> current_meter;

}  // namespace

void MemoryMeter::add(int64_t bytes) {
  const int64_t live = live_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t peak = peak_.load(std::memory_order_relaxed);
  while (live > peak && !peak_.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {
  }
}

MeterScope::MeterScope(std::shared_ptr<MemoryMeter> meter) : previous_(std::move(current_meter)) {
  current_meter = std::move(meter);
}

MeterScope::~MeterScope() { current_meter = std::move(previous_); }

const std::shared_ptr<MemoryMeter>& MeterScope::current() { return current_meter; }

}  // namespace treville
