#include "tests/failing_memory.h"

#include <dlfcn.h>

#include <cerrno>
#include <cstdlib>
#include <limits>
#include <new>

// A program's own malloc comes before that of the C library, for all libraries, too. What it is asked for goes on to
// the one that would have been asked: glibc's, or the address sanitizer's.
#if !defined(__SANITIZE_THREAD__)
namespace {

constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
std::int64_t asked = 0, first = kNone, last = kNone, refused_count = 0;

// Asked before the address sanitizer is ready to look at an access: neither this nor what it calls may be instrumented,
// as std::atomic's functions would be.
[[gnu::no_sanitize_address]] bool refuses() noexcept {
  if (__atomic_load_n(&first, __ATOMIC_SEQ_CST) == kNone) return false;
  const std::int64_t number = __atomic_fetch_add(&asked, 1, __ATOMIC_SEQ_CST);
  if (number < __atomic_load_n(&first, __ATOMIC_SEQ_CST) || number > __atomic_load_n(&last, __ATOMIC_SEQ_CST))
    return false;
  __atomic_fetch_add(&refused_count, 1, __ATOMIC_SEQ_CST);
  errno = ENOMEM;
  return true;
}

}  // namespace

extern "C" {
#if defined(__SANITIZE_ADDRESS__)
void* __interceptor_malloc(std::size_t bytes);
void* __interceptor_calloc(std::size_t count, std::size_t bytes);
void* __interceptor_realloc(void* memory, std::size_t bytes);
void* __interceptor_aligned_alloc(std::size_t alignment, std::size_t bytes);
constexpr auto real_malloc = __interceptor_malloc;
constexpr auto real_calloc = __interceptor_calloc;
constexpr auto real_realloc = __interceptor_realloc;
constexpr auto real_aligned_alloc = __interceptor_aligned_alloc;
#else
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
constexpr auto real_malloc = __libc_malloc;
constexpr auto real_calloc = __libc_calloc;
constexpr auto real_realloc = __libc_realloc;
constexpr auto real_aligned_alloc = __libc_memalign;
#endif

void* malloc(std::size_t bytes) { return refuses() ? nullptr : real_malloc(bytes); }
void* calloc(std::size_t count, std::size_t bytes) { return refuses() ? nullptr : real_calloc(count, bytes); }
void* realloc(void* memory, std::size_t bytes) { return refuses() ? nullptr : real_realloc(memory, bytes); }
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return refuses() ? nullptr : real_aligned_alloc(alignment, bytes);
}
}

#if defined(__SANITIZE_ADDRESS__)
// The sanitizer's operators do not ask malloc. They are asked themselves, so that it still tells new from new[].
namespace {

template <class... More>
void* from_sanitizer(const char* name, std::size_t bytes, More... more) {
  using Operator = void* (*)(std::size_t, More...);
  return reinterpret_cast<Operator>(dlsym(RTLD_NEXT, name))(bytes, more...);
}
template <class... More>
void* from_sanitizer_or_throw(const char* name, std::size_t bytes, More... more) {
  if (refuses()) throw std::bad_alloc();
  return from_sanitizer<More...>(name, bytes, more...);
}

}  // namespace

void* operator new(std::size_t bytes) { return from_sanitizer_or_throw("_Znwm", bytes); }
void* operator new[](std::size_t bytes) { return from_sanitizer_or_throw("_Znam", bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return from_sanitizer_or_throw("_ZnwmSt11align_val_t", bytes, alignment);
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return from_sanitizer_or_throw("_ZnamSt11align_val_t", bytes, alignment);
}
void* operator new(std::size_t bytes, const std::nothrow_t& nothrow) noexcept {
  return refuses() ? nullptr : from_sanitizer<const std::nothrow_t&>("_ZnwmRKSt9nothrow_t", bytes, nothrow);
}
#endif

namespace gesso {

FailingMemory::FailingMemory(std::int64_t number, OutOfMemory how) {
  __atomic_store_n(&asked, 0, __ATOMIC_SEQ_CST);
  __atomic_store_n(&refused_count, 0, __ATOMIC_SEQ_CST);
  __atomic_store_n(&last, how == OutOfMemory::once ? number : kNone, __ATOMIC_SEQ_CST);
  __atomic_store_n(&first, number, __ATOMIC_SEQ_CST);
}
FailingMemory::~FailingMemory() { __atomic_store_n(&first, kNone, __ATOMIC_SEQ_CST); }
std::int64_t FailingMemory::refused() { return __atomic_load_n(&refused_count, __ATOMIC_SEQ_CST); }

}  // namespace gesso
#endif
