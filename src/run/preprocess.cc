#include "run/preprocess.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "mpc/protocols.h"
#include "party/local_parties.h"
#include "run/local_run.h"

namespace treville {
namespace {

using Clock = std::chrono::steady_clock;

// The messages between the walks, on the set-up's channel. Their parts lie above those of any protocol's set-up.
enum class Between : uint16_t { kFirst = 0xff00, kLeft, kProposal, kReady, kMade };

constexpr uint32_t kNone = 0xffffffff;  // no record left

using Answers = std::array<Buffer, 3>;

// tell_all sends the same to both other parties and returns what they sent, with our own at our place.
Answers tell_all(Session& session, Between what, std::span<const std::byte> mine) {
  const MessageTag tag{.part = static_cast<uint16_t>(what)};
  Answers answers;
  const auto copy = [&] {
    Buffer buffer = Buffer::stored(mine.size());
    std::ranges::copy(mine, buffer.data());
    return buffer;
  };
  for (const PartyId peer : kAllParties)
    if (peer != session.self) session.network->channel(peer, Phase::kSetup).send(tag, copy());
  for (const PartyId peer : kAllParties) {
    Buffer& answer = answers[static_cast<size_t>(index_of(peer))];
    answer = peer == session.self ? copy() : session.network->channel(peer, Phase::kSetup).receive(tag, mine.size());
  }
  return answers;
}

template <class T>
std::array<T, 3> compare(Session& session, Between what, const T& mine) {
  const Answers answers = tell_all(session, what, std::as_bytes(std::span(&mine, 1)));
  std::array<T, 3> values;
  for (size_t i = 0; i < 3; ++i) std::memcpy(&values[i], answers[i].data(), sizeof(T));
  return values;
}

// fail_together throws what all three parties came to know in an exchange. Whoever throws ends the session, so each
// waits until all know; a party that is told of an end meanwhile knew already.
[[noreturn]] void fail_together(Session& session, const std::string& message) {
  try {
    tell_all(session, Between::kReady, {});
  } catch (const PeerError&) {
  }
  throw UserError(message);
}

// record_keys gives an inference keys of its own, from the session's keys, which serve nothing else. Whoever has them
// can compute neither the session's nor another inference's.
RecordKeys record_keys(const SessionKeys& session, const RecordId& id) {
  std::array<std::byte, 4 + sizeof(StoreId)> context{};
  std::memcpy(context.data(), &id.number, sizeof(id.number));
  std::ranges::copy(id.batch, context.begin() + 4);
  RecordKeys keys;
  if (session.dealer_evaluator) keys.dealer_evaluator = derive(*session.dealer_evaluator, "treville record", context);
  if (session.dealer_helper) keys.dealer_helper = derive(*session.dealer_helper, "treville record", context);
  return keys;
}

void use_keys(ProtocolPasses& passes, const RecordKeys& keys) {
  const SessionKeys held{keys.dealer_evaluator, keys.dealer_helper, std::nullopt};
  for (const auto& pass : passes.passes) pass->use_keys(held);
}

// record_reads takes what the online walk will want off the channels, in its order, and onto the disk.
void record_reads(Session& session, const std::vector<DryEvent>& reads, uint32_t inference, const Program& program,
                  RecordWriter& record) {
  uint32_t named = kNone;
  for (const DryEvent& read : reads) {
    MessageTag tag = read.tag;
    tag.inference = inference;
    if (tag.step != named) {
      named = tag.step;
      session.network->set_step_name(Phase::kOffline, fmt::format("step {} {}", named, program.steps.at(named).layer));
    }
    const Buffer payload =
        session.network->channel(read.peer, read.phase).receive(tag, static_cast<size_t>(read.bytes));
    record.message(read.peer, tag, payload);
  }
}

// shares_of_dealer rebuilds what the dealer's offline pass gave as its own shares; the other halves stay in `halves`.
std::vector<RevealedOutput> shares_of_dealer(const Program& program, std::vector<RingTensor>& halves) {
  std::vector<RevealedOutput> outputs;
  for (const Step& step : program.steps) {
    const auto* output = std::get_if<OutputStep>(&step.body);
    if (output == nullptr || output->policy != OutputPolicy::kShares) continue;
    outputs.push_back({output->name, step.type, {RingTensor(), step.type.modulus}, output->post, output->policy});
  }
  CHECK(outputs.size() <= halves.size(), "a record holds {} halves", halves.size());
  const auto first = halves.end() - static_cast<std::ptrdiff_t>(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    outputs[i].value.value = std::move(*(first + static_cast<std::ptrdiff_t>(i))).reshaped(outputs[i].type.shape);
  }
  halves.erase(first, halves.end());
  return outputs;
}

}  // namespace

std::vector<DryEvent> offline_reads(std::string_view protocol, const Program& program, PartyId party) {
  Session session = make_dry_session(party);
  const ProtocolPasses passes = find_protocol(protocol).set_up(session, weight_specs(program), nullptr);
  const auto& network = static_cast<const DryNetwork&>(*session.network);
  const size_t set_up = network.events().size();
  const DryTensors tensors(program);
  for (const auto& pass : passes.passes) {
    if (pass->phase() == Phase::kOnline)
      execute(program, *pass, run_inputs(program, party, false, tensors.constants, tensors.inputs));
  }
  std::vector<DryEvent> reads;
  std::copy_if(
      network.events().begin() + static_cast<std::ptrdiff_t>(set_up), network.events().end(), std::back_inserter(reads),
      [](const DryEvent& event) { return event.kind == DryEvent::Kind::kReceive && event.phase == Phase::kOffline; });
  return reads;
}

uint32_t agree_first(Session& session, Records& records) {
  const auto numbers = compare<uint32_t>(session, Between::kFirst, records.next_number());
  const uint32_t first = std::max({numbers[0], numbers[1], numbers[2]});
  if (first > kNone / 2) throw PeerError("a party counts records from {}, beyond the last number", first);
  records.start_at(first);
  return first;
}

void preprocess(std::string_view protocol, Session& session, ProtocolPasses& passes, const Program& program,
                Records& records, const PreprocessOptions& options) {
  const std::vector<DryEvent> reads = offline_reads(protocol, program, session.self);
  const RunInputs nothing;
  for (int64_t i = 0; i < options.count; ++i) {
    const RecordId id{options.first + static_cast<uint32_t>(i), session.id};
    const RecordKeys keys = record_keys(session.keys, id);
    use_keys(passes, keys);
    std::vector<Walk> walks;
    std::unique_ptr<RecordWriter> record;
    std::vector<RevealedOutput> kept;  // what the dealer's offline pass gives as its own share
    for (const auto& pass : passes.passes) {
      if (pass->phase() != Phase::kOffline) continue;
      walks.push_back([&, protocol_pass = pass.get()] {
        RunInputs inputs;
        inputs.inference = id.number;
        kept = execute(program, *protocol_pass, inputs,
                       options.observe ? options.observe(i, Phase::kOffline) : StepObserver{});
      });
    }
    walks.push_back([&] {
      record = records.make(id);
      record->keys(keys);
      record_reads(session, reads, id.number, program, *record);
    });
    run_walks(session, walks);
    for (const auto& pass : passes.passes) {
      if (pass->phase() == Phase::kOffline)
        for (const RingTensor& tensor : pass->take_handover()) record->handover(tensor);
    }
    for (const RevealedOutput& output : kept) record->handover(output.value.value);
    try {
      records.commit(*record);
    } catch (const std::exception& error) {
      session.network->abort(error.what());
      throw;
    }
    if (options.done) options.done(i + 1);
  }
  // The dealer sends and waits for nobody: only when all three have written all records is any of them done.
  tell_all(session, Between::kMade, {});
}

void check_left(Session& session, const Records& records, int64_t count, int64_t others) {
  const auto left = compare<int64_t>(session, Between::kLeft, records.left());
  if (std::min({left[0], left[1], left[2]}) >= count) return;
  const std::string elsewhere =
      others == 0 ? ""
                  : fmt::format(" (of another program or model there {} {} here)", others == 1 ? "is" : "are", others);
  fail_together(
      session, fmt::format("this run takes {} preprocessed inference{} of this program and model; left are {} at party "
                           "0, {} at party 1 and {} at party 2{}. Make more at all three with `treville preprocess "
                           "--count N`, or run without --preprocessed.",
                           count, count == 1 ? "" : "s", left[0], left[1], left[2], elsewhere));
}

PreprocessedRuns::PreprocessedRuns(Session& session, ProtocolPasses& passes, const Program& program, Records& records)
    : session_(session), passes_(passes), program_(program), records_(records) {
  auto network = std::make_unique<ReplayNetwork>(std::move(session.network));
  network_ = network.get();
  session.network = std::move(network);
}

PreprocessedRuns::~PreprocessedRuns() {
  std::unique_ptr<Network> inner = network_->release();
  session_.network = std::move(inner);
}

// agree: each party proposes its first unused record; the highest number wins, and records below it burn. Where a party
// has not got that one, it proposes again. Two records of one number and different batches burn both.
RecordId PreprocessedRuns::agree() {
  struct Proposal {
    uint32_t number = kNone;
    StoreId batch{};
  };
  static_assert(sizeof(Proposal) == 20);
  for (uint32_t from = 0;;) {
    const std::optional<RecordId> next = records_.next_unused(from);
    const auto all =
        compare<Proposal>(session_, Between::kProposal, next ? Proposal{next->number, next->batch} : Proposal{});
    uint32_t highest = 0;
    for (size_t i = 0; i < 3; ++i) {
      if (all[i].number == kNone) {
        fail_together(
            session_,
            fmt::format(
                "party {} has no preprocessed inference left that the other two have too. Make more at all three with "
                "`treville preprocess --count N`, or run without --preprocessed.",
                i));
      }
      highest = std::max(highest, all[i].number);
    }
    const bool same_number = std::ranges::all_of(all, [&](const Proposal& p) { return p.number == highest; });
    const bool same_batch = std::ranges::all_of(all, [&](const Proposal& p) { return p.batch == all[0].batch; });
    if (same_number && same_batch) return {highest, all[0].batch};
    from = same_number ? highest + 1 : highest;
    records_.burn_below(from);
  }
}

PreprocessedRuns::Result PreprocessedRuns::run(const RunInputs& inputs, const PassOptions& options) {
  Result result;
  result.record = agree();
  // From here on the record exists in the memory of this process alone.
  const std::unique_ptr<RecordReader> record = records_.take(result.record);
  use_keys(passes_, record->keys());
  std::vector<RingTensor> handover = record->handover();
  std::vector<RevealedOutput> kept;
  if (session_.self == PartyId::kDealer) kept = shares_of_dealer(program_, handover);
  for (const auto& pass : passes_.passes)
    if (pass->phase() == Phase::kOnline) pass->give_handover(std::move(handover));
  tell_all(session_, Between::kReady, {});
  const auto start = Clock::now();
  network_->use(record.get());
  RunInputs with_number = inputs;
  with_number.inference = result.record.number;
  PassOptions online = options;
  online.only = Phase::kOnline;
  result.outputs = run_passes(session_, passes_, program_, with_number, online);
  network_->use(nullptr);
  record->finish();
  std::move(kept.begin(), kept.end(), std::back_inserter(result.outputs.outputs));
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return result;
}

}  // namespace treville
