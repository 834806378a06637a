#include "cost/replay.h"

#include <algorithm>
#include <deque>
#include <map>
#include <tuple>

#include "base/error.h"

namespace treville {
namespace {

using Link = std::tuple<PartyId, PartyId, Phase>;  // from, to, channel

Link link_of(PartyId self, const DryEvent& event) {
  return event.kind == DryEvent::Kind::kSend ? Link{self, event.peer, event.phase}
                                             : Link{event.peer, self, event.phase};
}

std::string describe(const Link& link, const DryEvent& event) {
  return fmt::format("from party {} to party {}, {}, step {}, part {}, block {}, {} bytes", std::get<0>(link),
                     std::get<1>(link), name_of(std::get<2>(link)), event.tag.step, event.tag.part, event.tag.block,
                     event.bytes);
}

// Replay runs all walks as far as their messages allow. A Clock has
//   Stamp                       what a walk carries and a message brings, with max
//   Stamp send(link, event, Stamp now)   the stamp of a message
template <class Clock>
class Replay {
 public:
  using Stamp = typename Clock::Stamp;

  Replay(const Trace& trace, Clock clock) : trace_(trace), clock_(std::move(clock)), walks_(trace.size()) {
    for (size_t w = 0; w < trace.size(); ++w) walks_[w].ends.reserve(trace[w].step_ends.size());
    run();
  }

  Stamp end(size_t walk) const { return walks_[walk].now; }
  const std::vector<Stamp>& step_ends(size_t walk) const { return walks_[walk].ends; }
  const Clock& clock() const { return clock_; }

 private:
  struct Walk {
    size_t next = 0;  // event
    Stamp now{};
    std::vector<Stamp> ends;
  };

  void run() {
    bool moved = true;
    while (moved) {
      moved = false;
      for (size_t w = 0; w < walks_.size(); ++w) moved |= advance(w);
    }
    for (size_t w = 0; w < walks_.size(); ++w) {
      if (walks_[w].next == trace_[w].events.size()) continue;
      const DryEvent& event = trace_[w].events[walks_[w].next];
      CHECK(false, "the walks wait for each other: party {} for the message {}", trace_[w].party,
            describe(link_of(trace_[w].party, event), event));
    }
  }

  bool advance(size_t w) {
    Walk& walk = walks_[w];
    const WalkTrace& trace = trace_[w];
    bool moved = false;
    while (true) {
      while (walk.ends.size() < trace.step_ends.size() && trace.step_ends[walk.ends.size()] == walk.next) {
        walk.ends.push_back(walk.now);
        moved = true;
      }
      if (walk.next == trace.events.size()) return moved;
      if (!clock_.wait_for_offline(trace, walk.ends.size(), *this, walk.now)) return moved;
      const DryEvent& event = trace.events[walk.next];
      const Link link = link_of(trace.party, event);
      std::deque<Stamp>& queue = queues_[link];
      if (event.kind == DryEvent::Kind::kSend) {
        queue.push_back(clock_.send(link, event, walk.now));
      } else {
        if (queue.empty()) return moved;
        walk.now = std::max(walk.now, queue.front());
        queue.pop_front();
      }
      ++walk.next;
      moved = true;
    }
  }

  const Trace& trace_;
  Clock clock_;
  std::vector<Walk> walks_;
  std::map<Link, std::deque<Stamp>> queues_;

 public:
  // offline_end finds when a party's offline walk ended a step; false while it has not.
  bool offline_end(PartyId party, size_t step, Stamp& now) const {
    for (size_t w = 0; w < walks_.size(); ++w) {
      if (trace_[w].party != party || trace_[w].phase != Phase::kOffline) continue;
      if (walks_[w].ends.size() <= step) return false;
      now = std::max(now, walks_[w].ends[step]);
    }
    return true;
  }
};

// ChainClock counts messages of one phase.
struct ChainClock {
  using Stamp = int;
  Phase phase;
  int longest = 0;

  Stamp send(const Link&, const DryEvent& event, Stamp now) {
    const Stamp stamp = now + (event.phase == phase);
    longest = std::max(longest, stamp);
    return stamp;
  }
  template <class R>
  bool wait_for_offline(const WalkTrace&, size_t, const R&, Stamp&) const {
    return true;
  }
};

// TimeClock: messages of one connection follow each other at the bandwidth, and arrive half a round trip later.
struct TimeClock {
  using Stamp = double;
  const NetModel& network;
  bool offline_is_done;  // messages and walks of the offline phase take no time
  std::map<Link, double> free_at = {};
  std::array<double, 3> last_arrival = {};

  Stamp send(const Link& link, const DryEvent& event, Stamp now) {
    if (offline_is_done && event.phase == Phase::kOffline) return 0;
    double& free = free_at[link];
    free = std::max(free, now) + transfer(event.bytes + kFrameHeaderBytes);
    const Stamp arrival = free + network.rtt_seconds / 2;
    double& last = last_arrival[static_cast<size_t>(event.phase)];
    last = std::max(last, arrival);
    return arrival;
  }
  double transfer(int64_t bytes) const { return static_cast<double>(bytes) * 8 / network.bits_per_second; }
  // An online walk uses the material of its own party's offline walk of the same step.
  template <class R>
  bool wait_for_offline(const WalkTrace& walk, size_t step, const R& replay, Stamp& now) const {
    if (offline_is_done || walk.phase != Phase::kOnline || step >= walk.step_ends.size()) return true;
    return replay.offline_end(walk.party, step, now);
  }
};

Trace only(const Trace& trace, bool setup) {
  Trace part;
  std::copy_if(trace.begin(), trace.end(), std::back_inserter(part),
               [&](const WalkTrace& walk) { return (walk.phase == Phase::kSetup) == setup; });
  return part;
}

// busiest is the time the busiest direction of a pair needs for all its bytes.
double busiest(const Trace& trace, const TimeClock& clock) {
  std::map<std::pair<PartyId, PartyId>, int64_t> bytes;
  for (const WalkTrace& walk : trace) {
    for (const DryEvent& event : walk.events) {
      if (event.kind == DryEvent::Kind::kSend) bytes[{walk.party, event.peer}] += event.bytes + kFrameHeaderBytes;
    }
  }
  double longest = 0;
  for (const auto& [pair, count] : bytes)
    longest = std::max(longest, clock.transfer(count) + clock.network.rtt_seconds / 2);
  return longest;
}

}  // namespace

void check_matched(const Trace& trace) {
  std::map<Link, std::array<std::vector<DryEvent>, 2>> links;
  for (const WalkTrace& walk : trace) {
    for (const DryEvent& event : walk.events)
      links[link_of(walk.party, event)][static_cast<size_t>(event.kind)].push_back(event);
  }
  for (const auto& [link, ends] : links) {
    const auto& [sent, received] = ends;
    for (size_t i = 0; i < std::max(sent.size(), received.size()); ++i) {
      CHECK(i < received.size(), "nobody receives the message {}", describe(link, sent[i]));
      CHECK(i < sent.size(), "nobody sends the message {}", describe(link, received[i]));
      CHECK(sent[i].tag == received[i].tag && sent[i].bytes == received[i].bytes, "the message {} is expected as {}",
            describe(link, sent[i]), describe(link, received[i]));
    }
  }
}

Rounds count_rounds(const Trace& trace) {
  Rounds rounds;
  for (Phase phase : {Phase::kOffline, Phase::kOnline, Phase::kSetup}) {
    const Replay<ChainClock> replay(trace, {phase});
    rounds.by_phase[static_cast<size_t>(phase)] = replay.clock().longest;
    if (phase != Phase::kOnline) continue;
    int longest = 0;
    size_t steps = 0;
    for (const WalkTrace& walk : trace) steps = std::max(steps, walk.step_ends.size());
    for (size_t step = 0; step < steps; ++step) {
      int end = longest;
      for (size_t w = 0; w < trace.size(); ++w)
        if (step < trace[w].step_ends.size()) end = std::max(end, replay.step_ends(w)[step]);
      rounds.online_by_step.push_back(end - longest);
      longest = end;
    }
  }
  return rounds;
}

Estimate estimate(const Trace& trace, const NetModel& network) {
  Estimate result{network};
  const Trace setup = only(trace, true), passes = only(trace, false);
  const TimeClock all_clock{network, false}, online_clock{network, true};
  result.setup_seconds = Replay<TimeClock>(setup, all_clock).clock().last_arrival[static_cast<size_t>(Phase::kSetup)];
  const TimeClock together = Replay<TimeClock>(passes, all_clock).clock();
  const auto at = [](const TimeClock& clock, Phase phase) { return clock.last_arrival[static_cast<size_t>(phase)]; };
  result.offline_seconds = at(together, Phase::kOffline);
  result.online_seconds = at(Replay<TimeClock>(passes, online_clock).clock(), Phase::kOnline);
  result.total_seconds =
      std::max({at(together, Phase::kOffline), at(together, Phase::kOnline), busiest(passes, all_clock)});
  return result;
}

}  // namespace treville
