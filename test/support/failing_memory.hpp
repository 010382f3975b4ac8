// SPDX-License-Identifier: MIT
// Has one allocation fail, OpenSSL's or any by operator new, and counts the blocks that there are.
// Replaces operator new and delete, so one file of a program may include this.
#pragma once

#include <openssl/crypto.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string_view>

namespace ringtls::test {

/// Faults strike on a thread only where this holds.
inline thread_local bool is_struck = true;

/// Which call of its kind fails, once; those before it and behind it do not. One thread arms it
/// while another one is struck.
class fault {
  public:
    void arm(int at) noexcept {
        count_ = 0;
        at_ = at;
    }
    int disarm() noexcept {
        at_ = off;
        return count_;
    }
    [[nodiscard]] bool strikes() noexcept {
        const int at = at_;
        return at != off && is_struck && ++count_ == at;
    }

  private:
    static constexpr int off = -1;
    std::atomic<int> at_ = off; ///< 0: counts only
    std::atomic<int> count_ = 0;
};

inline fault allocating;                ///< by OpenSSL
inline fault allocating_with_new;       ///< by this library
inline std::atomic<long> allocated = 0; ///< blocks that have not been freed

/// OpenSSL 3.2 to 3.5 free a record layer twice if there is no memory to hand what it has read
/// ahead over to the next (tls_free() in ssl/record/methods/tls_common.c), and SSL_free() crashes.
/// What it is handed over in grows here.
inline bool crashes_openssl(const char* file) noexcept {
    static const bool affected = OpenSSL_version_num() >= 0x30200000L;
    return affected && file && std::string_view(file).ends_with("crypto/buffer/buffer.c");
}

/// nullptr: the fault's turn. Counts what there is, to find leaks.
inline void* allocate(std::size_t size, fault& failing, bool spared = false) noexcept {
    if (!spared && failing.strikes())
        return nullptr;
    void* const made = std::malloc(size == 0 ? 1 : size);
    allocated += made ? 1 : 0;
    return made;
}

inline void deallocate(void* old) noexcept {
    allocated -= old ? 1 : 0;
    std::free(old);
}

inline void* reallocate(void* old, std::size_t size) noexcept {
    if (!old)
        return allocate(size, allocating);
    if (size == 0) {
        deallocate(old);
        return nullptr;
    }
    return allocating.strikes() ? nullptr : std::realloc(old, size);
}

/// CRYPTO_set_mem_functions(3) works only before OpenSSL's first allocation.
inline const bool hooked =
    CRYPTO_set_mem_functions(
        [](std::size_t size, const char* file, int) {
            return allocate(size, allocating, crashes_openssl(file));
        },
        [](void* old, std::size_t size, const char*, int) { return reallocate(old, size); },
        [](void* old, const char*, int) { deallocate(old); }) == 1;

} // namespace ringtls::test

void* operator new(std::size_t size) {
    if (void* const made = ringtls::test::allocate(size, ringtls::test::allocating_with_new))
        return made;
    throw std::bad_alloc();
}
void* operator new[](std::size_t size) {
    return operator new(size);
}
void operator delete(void* old) noexcept {
    ringtls::test::deallocate(old);
}
void operator delete[](void* old) noexcept {
    ringtls::test::deallocate(old);
}
void operator delete(void* old, std::size_t) noexcept {
    ringtls::test::deallocate(old);
}
void operator delete[](void* old, std::size_t) noexcept {
    ringtls::test::deallocate(old);
}
