#include "compile/reuse_slots.h"

#include <algorithm>
#include <queue>
#include <vector>

#include "compile/program_edit.h"

namespace treville {
namespace {

// last_reads gives for each slot the index of the last step that reads it (its own step when none does).
std::vector<size_t> last_reads(const Program& program) {
  std::vector<size_t> last(program.slots, 0);
  for (size_t i = 0; i < program.steps.size(); ++i) {
    last[index_of(program.steps[i].result)] = i;
    for (SlotId slot : operands(program.steps[i].body)) last[index_of(slot)] = i;
  }
  return last;
}

}  // namespace

void reuse_slots(Program& program) {
  const std::vector<size_t> last = last_reads(program);
  std::vector<SlotId> renamed(program.slots);
  std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> free;
  uint32_t used = 0;
  for (size_t i = 0; i < program.steps.size(); ++i) {
    Step& step = program.steps[i];
    std::vector<SlotId> read = operands(step.body);
    const SlotId result = step.result;
    rename_operands(step.body, [&](SlotId slot) { return renamed[index_of(slot)]; });
    if (is_output(step)) {
      step.result = renamed[index_of(result)];
    } else {
      if (free.empty()) free.push(used++);
      step.result = renamed[index_of(result)] = SlotId(free.top());
      free.pop();
      if (last[index_of(result)] == i) read.push_back(result);
    }
    std::sort(read.begin(), read.end());
    read.erase(std::unique(read.begin(), read.end()), read.end());
    for (SlotId slot : read)
      if (last[index_of(slot)] == i) free.push(index_of(renamed[index_of(slot)]));
  }
  program.slots = used;
}

}  // namespace treville
