// The functions that g++ calls from kernels compiled with -fsanitize=thread,alignment, in place of libtsan and
// libubsan. They bring the checker into a program; one without such kernels never links this file.
#include <fmt/format.h>

#include "cuda/emulator/check.h"

using gesso::emulator::Access;

namespace {

// Each hook's return address names the instruction that is about to access memory.
[[gnu::always_inline]] inline void report(const void* memory, std::size_t bytes, Access access) {
  gesso::emulator::touch(memory, bytes, access, {__builtin_return_address(0), -1});
}

// As g++ lays out its data for the handler below.
struct UbsanMismatch {
  const char* file;
  std::uint32_t line, column;
  const void* type;
  unsigned char log_alignment, kind;
};

void check_alignment(const UbsanMismatch& data, std::uintptr_t address) {
  const std::uintptr_t alignment = std::uintptr_t{1} << data.log_alignment;
  if (!gesso::emulator::current || address % alignment == 0) return;
  gesso::emulator::stop(fmt::format("misaligned access, {} bytes are needed,{}", alignment,
                                    gesso::emulator::at({data.file, static_cast<int>(data.line)})));
}

}  // namespace

extern "C" {
void __tsan_read1(void* p) { report(p, 1, Access::read); }
void __tsan_read2(void* p) { report(p, 2, Access::read); }
void __tsan_read4(void* p) { report(p, 4, Access::read); }
void __tsan_read8(void* p) { report(p, 8, Access::read); }
void __tsan_read16(void* p) { report(p, 16, Access::read); }
void __tsan_write1(void* p) { report(p, 1, Access::write); }
void __tsan_write2(void* p) { report(p, 2, Access::write); }
void __tsan_write4(void* p) { report(p, 4, Access::write); }
void __tsan_write8(void* p) { report(p, 8, Access::write); }
void __tsan_write16(void* p) { report(p, 16, Access::write); }
void __tsan_unaligned_read2(void* p) { report(p, 2, Access::read); }
void __tsan_unaligned_read4(void* p) { report(p, 4, Access::read); }
void __tsan_unaligned_read8(void* p) { report(p, 8, Access::read); }
void __tsan_unaligned_read16(void* p) { report(p, 16, Access::read); }
void __tsan_unaligned_write2(void* p) { report(p, 2, Access::write); }
void __tsan_unaligned_write4(void* p) { report(p, 4, Access::write); }
void __tsan_unaligned_write8(void* p) { report(p, 8, Access::write); }
void __tsan_unaligned_write16(void* p) { report(p, 16, Access::write); }
void __tsan_read_range(void* p, std::size_t bytes) { report(p, bytes, Access::read); }
void __tsan_write_range(void* p, std::size_t bytes) { report(p, bytes, Access::write); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() { gesso::emulator::install_checker(); }  // before any kernel of the object can run
void __ubsan_handle_type_mismatch_v1(UbsanMismatch* data, std::uintptr_t p) { check_alignment(*data, p); }
void __ubsan_handle_type_mismatch_v1_abort(UbsanMismatch* data, std::uintptr_t p) { check_alignment(*data, p); }
}
