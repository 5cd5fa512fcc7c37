#include "host/fibres.h"

#include <string.h>

#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/context.h"
#include "host/device.h"

namespace splat {
namespace {

constexpr int kLanes = 32;
constexpr size_t kStackBytes = 64 * 1024;
constexpr uint64_t kStackEnd = 0x73746f7068657265;  // stands at a stack's end for as long as it has not overflowed
constexpr size_t kSharedBytes = 48 * 1024;  // what every GPU gives a block

enum class State { ready, at_barrier, in_warp_call, ended };

struct Thread {
  Context context;
  char* stack = nullptr;
  State state = State::ended;
  Size3 index{};
  uint64_t waits_for = 0;  // the generation after which it may go on
};

/// A barrier for those of a group that have not ended.
struct Meeting {
  int alive = 0, arrived = 0;
  uint64_t generation = 0;

  void arrive() {
    ++arrived;
    end_if_complete();
  }
  void leave() {
    --alive;
    end_if_complete();
  }
  void end_if_complete() {
    if (arrived == 0 || arrived < alive) return;
    arrived = 0;
    ++generation;
  }
};

struct Warp {
  Meeting meeting;
  WarpCall call{};
  uint32_t values[2][kLanes];  // of this call and, for who has not read it yet, of the one before
};

struct SharedVariable {
  const void* tag;
  void* memory;
};

/// All that is known of the block that runs.
struct Block {
  std::vector<Thread> threads;
  std::unique_ptr<char[]> stacks;  // below the first thread's there is room for what overflows
  std::vector<Warp> warps;
  Meeting meeting;
  int votes[2] = {};  // by generation, like a warp's values
  std::vector<SharedVariable> shared;
  alignas(128) char arena[kSharedBytes];  // NaN beyond what is used
  size_t arena_used = 0;
  Context scheduler;
  int64_t running = 0;
  const std::function<void()>* body = nullptr;
  std::string problem;

  Block() { memset(arena, 0xff, sizeof(arena)); }
};

Block block;
std::mutex one_grid_at_a_time;
bool descending = false;

Thread& self() { return block.threads[block.running]; }
Warp& own_warp() { return block.warps[block.running / kLanes]; }

void yield() { switch_context(self().context, block.scheduler); }

[[noreturn]] void fail(const std::string& problem) { throw std::runtime_error("CUDA on the host: " + problem); }

/// What a fibre does. An exception must not leave its stack, so the scheduler throws the problem again.
void thread_main() {
  try {
    (*block.body)();
  } catch (const std::exception& error) {
    block.problem = error.what();
  }
  self().state = State::ended;
  own_warp().meeting.leave();
  block.meeting.leave();
  for (;;) yield();
}

bool can_go_on(const Thread& thread, int64_t index) {
  switch (thread.state) {
    case State::ready:
      return true;
    case State::at_barrier:
      return block.meeting.generation >= thread.waits_for;
    case State::in_warp_call:
      return block.warps[index / kLanes].meeting.generation >= thread.waits_for;
    case State::ended:
      return false;
  }
  return false;
}

void resume(int64_t index) {
  Thread& thread = block.threads[index];
  block.running = index;
  threadIdx = {thread.index.x, thread.index.y, thread.index.z};
  thread.state = State::ready;
  switch_context(block.scheduler, thread.context);
  if (memcmp(thread.stack, &kStackEnd, sizeof(kStackEnd)) != 0) fail("a thread needs more than 64 KiB of stack");
}

void prepare(Size3 size) {
  const int64_t count = size.count();
  if (count % kLanes != 0) fail("a block must be a whole number of warps");
  if (count > 1024) fail("a block has 1024 threads at most");
  if (block.threads.size() != static_cast<size_t>(count)) {
    block.threads.assign(count, {});
    block.stacks.reset(new char[(count + 1) * kStackBytes]);
    block.warps.resize(count / kLanes);
  }
  for (int64_t i = 0; i < count; ++i) {
    Thread& thread = block.threads[i];
    thread.state = State::ready;
    thread.index = {static_cast<unsigned>(i % size.x), static_cast<unsigned>(i / size.x % size.y),
                    static_cast<unsigned>(i / size.x / size.y)};
    thread.stack = block.stacks.get() + (i + 1) * kStackBytes;
    memcpy(thread.stack, &kStackEnd, sizeof(kStackEnd));
    start_context(thread.context, thread.stack, kStackBytes, thread_main);
  }
  for (Warp& warp : block.warps) {
    warp.meeting = {};
    warp.meeting.alive = kLanes;
  }
  block.meeting = {};
  block.meeting.alive = static_cast<int>(count);
  block.votes[0] = block.votes[1] = 0;
  block.shared.clear();
  memset(block.arena, 0xff, block.arena_used);
  block.arena_used = 0;
  block.problem.clear();
}

void run_block() {
  const int64_t count = static_cast<int64_t>(block.threads.size());
  for (bool progress = true; progress;) {
    progress = false;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t index = descending ? count - 1 - i : i;
      if (!can_go_on(block.threads[index], index)) continue;
      resume(index);
      progress = true;
      if (!block.problem.empty()) throw std::runtime_error(block.problem);
    }
  }
  for (const Thread& thread : block.threads) {
    if (thread.state != State::ended) fail("some threads of a block wait for others that never come");
  }
}

}  // namespace

void run_grid(Size3 grid, Size3 size, const std::function<void()>& thread) {
  const std::lock_guard<std::mutex> lock(one_grid_at_a_time);
  if (grid.x >= 1u << 31 || grid.y >= 1u << 16 || grid.z >= 1u << 16) fail("a grid is larger than a GPU takes");
  block.body = &thread;
  gridDim = {grid.x, grid.y, grid.z};
  blockDim = {size.x, size.y, size.z};
  const int64_t count = grid.count();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t b = descending ? count - 1 - i : i;
    blockIdx = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                static_cast<unsigned>(b / grid.x / grid.y)};
    prepare(size);
    run_block();
  }
}

void run_in_descending_order(bool value) { descending = value; }

int64_t linear_thread() { return block.running; }

int block_barrier(bool predicate) {
  const uint64_t generation = block.meeting.generation;
  int& votes = block.votes[generation % 2];
  if (block.meeting.arrived == 0) votes = 0;
  votes += predicate;
  block.meeting.arrive();
  self().state = State::at_barrier;
  self().waits_for = generation + 1;
  yield();
  return votes;
}

const uint32_t* warp_exchange(WarpCall call, unsigned mask, uint32_t value) {
  if (mask != ~0u) fail("a warp-wide function was called for a part of the warp");
  Warp& warp = own_warp();
  const uint64_t generation = warp.meeting.generation;
  uint32_t* values = warp.values[generation % 2];
  if (warp.meeting.arrived == 0) {
    warp.call = call;
    memset(values, 0xff, sizeof(warp.values[0]));  // what a lane that has ended would hand in is undefined: NaN
  }
  if (warp.call != call) fail("the threads of a warp called different warp-wide functions");
  values[block.running % kLanes] = value;
  warp.meeting.arrive();
  self().state = State::in_warp_call;
  self().waits_for = generation + 1;
  yield();
  return values;
}

unsigned warp_ballot(unsigned mask, bool predicate) {
  const uint32_t* votes = warp_exchange(WarpCall::ballot, mask, predicate);
  unsigned bits = 0;
  for (int lane = 0; lane < kLanes; ++lane) {
    if (votes[lane] == 1) bits |= 1u << lane;
  }
  return bits;
}

void* shared_memory(const void* tag, size_t size, size_t alignment) {
  for (const SharedVariable& variable : block.shared) {
    if (variable.tag == tag) return variable.memory;
  }
  size_t at = (block.arena_used + alignment - 1) / alignment * alignment;
  if (at + size > kSharedBytes) fail("a block uses more than 48 KiB of shared memory");
  block.arena_used = at + size;
  void* memory = block.arena + at;
  block.shared.push_back({tag, memory});
  return memory;
}

}  // namespace splat
