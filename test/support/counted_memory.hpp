// SPDX-License-Identifier: MIT
// Counts what is allocated, OpenSSL's apart from all else. Replaces operator new and delete, so one
// file of a program may include this.
#pragma once

#include <openssl/crypto.h>

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace ringtls::test {

struct memory_count {
    std::atomic<long> allocations = 0;
    std::atomic<long> live_bytes = 0; ///< as malloc rounds them up

    void* add(void* made) noexcept {
        ++allocations;
        live_bytes += static_cast<long>(malloc_usable_size(made));
        return made;
    }
    void remove(void* old) noexcept { live_bytes -= static_cast<long>(malloc_usable_size(old)); }
};

inline memory_count ours;
inline memory_count openssls;

/// CRYPTO_set_mem_functions(3) works only before OpenSSL's first allocation.
inline const bool counts_openssl = [] {
    return CRYPTO_set_mem_functions(
               [](std::size_t size, const char*, int) { return openssls.add(std::malloc(size)); },
               [](void* old, std::size_t size, const char*, int) {
                   openssls.remove(old);
                   return openssls.add(std::realloc(old, size));
               },
               [](void* old, const char*, int) {
                   openssls.remove(old);
                   std::free(old);
               }) == 1;
}();

/// What is allocated now, or a difference of it.
struct usage {
    long ours = test::ours.live_bytes;
    long openssls = test::openssls.live_bytes;

    usage operator-(const usage& before) const {
        return {ours - before.ours, openssls - before.openssls};
    }
    usage operator/(long count) const { return {ours / count, openssls / count}; }
};

inline void* counted(std::size_t size) {
    if (void* const made = std::malloc(size == 0 ? 1 : size))
        return ours.add(made);
    throw std::bad_alloc();
}
inline void uncounted(void* old) noexcept {
    ours.remove(old);
    std::free(old);
}

} // namespace ringtls::test

void* operator new(std::size_t size) {
    return ringtls::test::counted(size);
}
void* operator new[](std::size_t size) {
    return ringtls::test::counted(size);
}
void operator delete(void* old) noexcept {
    ringtls::test::uncounted(old);
}
void operator delete[](void* old) noexcept {
    ringtls::test::uncounted(old);
}
void operator delete(void* old, std::size_t) noexcept {
    ringtls::test::uncounted(old);
}
void operator delete[](void* old, std::size_t) noexcept {
    ringtls::test::uncounted(old);
}
