// Switching between stacks: a few instructions where we know the calling convention, the system's ucontext elsewhere.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__)

namespace splat {

struct Context {
  void* stack_pointer = nullptr;
};

extern "C" void splat_switch_stacks(void** save, void* load);

// The registers that a function must keep, in the System V calling convention; how floats are rounded is the calling
// thread's business and the same for all its fibres.
asm(R"(
.text
.type splat_switch_stacks, @function
.hidden splat_switch_stacks
.globl splat_switch_stacks
splat_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

/// Makes `entry`, which must not return, the place where a first switch to the context goes.
inline void start_context(Context& context, char* stack, size_t size, void (*entry)()) {
  constexpr int kSaved = 6;
  uintptr_t top = reinterpret_cast<uintptr_t>(stack + size) & ~uintptr_t{15};
  void** at = reinterpret_cast<void**>(top);
  *--at = nullptr;  // where entry would return to; a function starts 8 bytes below a multiple of 16
  *--at = reinterpret_cast<void*>(entry);
  for (int i = 0; i < kSaved; ++i) *--at = nullptr;
  context.stack_pointer = at;
}

inline void switch_context(Context& from, Context& to) {
  splat_switch_stacks(&from.stack_pointer, to.stack_pointer);
}

}  // namespace splat

#else
#include <ucontext.h>

namespace splat {

struct Context {
  ucontext_t context;
};

inline void start_context(Context& context, char* stack, size_t size, void (*entry)()) {
  getcontext(&context.context);
  context.context.uc_stack.ss_sp = stack;
  context.context.uc_stack.ss_size = size;
  context.context.uc_link = nullptr;
  makecontext(&context.context, entry, 0);
}

inline void switch_context(Context& from, Context& to) { swapcontext(&from.context, &to.context); }

}  // namespace splat

#endif
