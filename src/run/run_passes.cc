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

void run_walks(Session& session, const std::vector<Walk>& walks,
               const std::function<void(std::exception_ptr)>& on_error) {
  Failure failure;
  const auto run = [&](const Walk& walk) {
    try {
      walk();
    } catch (...) {
      const std::exception_ptr error = std::current_exception();
      failure.keep(error);
      if (on_error) on_error(error);
      if (session.network) session.network->abort(message_of(error));
    }
  };
  {
    std::vector<std::jthread> threads;
    for (const Walk& walk : walks) threads.emplace_back([&run, &walk] { run(walk); });
  }
  failure.rethrow();
}

PartyOutputs run_passes(Session& session, ProtocolPasses& passes, const Program& program, const RunInputs& inputs,
                        const PassOptions& options) {
  std::vector<Protocol*> chosen;
  for (const auto& pass : passes.passes)
    if (!options.only || pass->phase() == *options.only) chosen.push_back(pass.get());
  std::vector<std::vector<RevealedOutput>> outputs(chosen.size());
  std::vector<std::shared_ptr<MemoryMeter>> meters;
  std::vector<Walk> walks;
  for (size_t i = 0; i < chosen.size(); ++i) {
    meters.push_back(std::make_shared<MemoryMeter>());
    walks.push_back([&, i] {
      Protocol& pass = *chosen[i];
      const MeterScope scope(meters[i]);
      outputs[i] = execute(program, pass, inputs, options.observe ? options.observe(pass.phase()) : StepObserver{});
    });
  }
  run_walks(session, walks, options.on_error);
  PartyOutputs result;
  for (size_t i = 0; i < chosen.size(); ++i) {
    for (RevealedOutput& output : outputs[i]) result.outputs.push_back(std::move(output));
    result.peaks.push_back({session.self, chosen[i]->phase(), meters[i]->peak()});
  }
  return result;
}

}  // namespace treville
