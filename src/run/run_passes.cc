#include "run/run_passes.h"

#include <mutex>
#include <thread>

namespace treville {
namespace {

// Failure keeps the first error of several threads.
class Failure {
 public:
  void keep(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!first_) first_ = std::move(error);
  }
  void rethrow() const {
    if (first_) std::rethrow_exception(first_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr first_;
};

}  // namespace

std::string message_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an unknown error";
  }
}

PartyOutputs run_passes(Session& session, ProtocolPasses& passes, const Program& program, const RunInputs& inputs,
                        const PassOptions& options) {
  const size_t count = passes.passes.size();
  std::vector<std::vector<RevealedOutput>> outputs(count);
  std::vector<std::shared_ptr<MemoryMeter>> meters(count);
  Failure failure;
  const auto walk = [&](size_t i) {
    try {
      Protocol& pass = *passes.passes[i];
      const MeterScope scope(meters[i]);
      outputs[i] = execute(program, pass, inputs, options.observe ? options.observe(pass.phase()) : StepObserver{});
    } catch (...) {
      const std::exception_ptr error = std::current_exception();
      failure.keep(error);
      if (options.on_error) options.on_error(error);
      if (session.network) session.network->abort(message_of(error));
    }
  };
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < count; ++i) {
      meters[i] = std::make_shared<MemoryMeter>();
      threads.emplace_back(walk, i);
    }
  }
  failure.rethrow();
  PartyOutputs result;
  for (size_t i = 0; i < count; ++i) {
    for (RevealedOutput& output : outputs[i]) result.outputs.push_back(std::move(output));
    result.peaks.push_back({session.self, passes.passes[i]->phase(), meters[i]->peak()});
  }
  return result;
}

}  // namespace treville
