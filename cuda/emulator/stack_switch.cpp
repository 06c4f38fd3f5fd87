// Fibers: a stack each, and the few instructions that go from one to another.
#include "cuda/emulator/scheduler.h"

namespace gesso::emulator {

// Saves the registers that a callee must keep on the old stack and loads them from the new one.
#if defined(__x86_64__)
asm(R"(
.text
.globl gesso_emulator_switch
.type gesso_emulator_switch,@function
gesso_emulator_switch:
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
.size gesso_emulator_switch,.-gesso_emulator_switch
)");

void* fresh_frame(std::byte* stack, void (*entry)()) {
  constexpr int kSavedRegisters = 6;
  auto* top = reinterpret_cast<void**>(stack + kStackBytes);
  *--top = nullptr;  // in place of a return address: rsp % 16 == 8 at entry, as after a call
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < kSavedRegisters; ++i) *--top = nullptr;
  return top;
}
#elif defined(__aarch64__)
asm(R"(
.text
.globl gesso_emulator_switch
.type gesso_emulator_switch,%function
gesso_emulator_switch:
    sub sp, sp, #160
    stp x19, x20, [sp]; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]; stp x27, x28, [sp, #64]; stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]; stp d12, d13, [sp, #128]; stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp]; ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]; ldp x27, x28, [sp, #64]; ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]; ldp d12, d13, [sp, #128]; ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
)");

void* fresh_frame(std::byte* stack, void (*entry)()) {
  constexpr int kFrameWords = 20, kLinkRegister = 11;
  auto* top = reinterpret_cast<void**>(stack + kStackBytes) - kFrameWords;
  for (int i = 0; i < kFrameWords; ++i) top[i] = nullptr;
  top[kLinkRegister] = reinterpret_cast<void*>(entry);
  return top;
}
#else
#error "the emulator's fibers need gesso_emulator_switch for this processor"
#endif

}  // namespace gesso::emulator
