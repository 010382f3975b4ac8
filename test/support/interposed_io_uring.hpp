// SPDX-License-Identifier: MIT
// Between the driver and liburing: what a test lets the kernel answer.
//
// The library under test is linked statically and liburing is shared, so that a program that
// defines these functions itself has the driver's calls to them. It includes this in one source.
#pragma once

#include <dlfcn.h>
#include <liburing.h>
#include <sys/eventfd.h>

#include <chrono>
#include <functional>
#include <optional>

namespace ringtls::test {

/// One of the driver's calls that submit requests or wait for completions.
struct enter_call {
    enum class kind { submit, submit_and_get_events, submit_and_wait, submit_and_wait_timeout };

    kind what;
    io_uring& ring;
    std::optional<std::chrono::nanoseconds> timeout; ///< absent: none
    std::function<int()> really;                     ///< the call itself, of liburing
};

/// The function of this name in the shared libraries.
template<class Function>
Function* next_function(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

/// What the driver calls: here, liburing's own functions and eventfd(2).
class io_uring_calls {
  public:
    io_uring_calls() = default;
    io_uring_calls(const io_uring_calls&) = delete;
    io_uring_calls& operator=(const io_uring_calls&) = delete;
    virtual ~io_uring_calls() = default;

    virtual int setup(unsigned entries, io_uring& ring, io_uring_params& parameters) {
        static const auto real =
            next_function<decltype(io_uring_queue_init_params)>("io_uring_queue_init_params");
        return real(entries, &ring, &parameters);
    }
    virtual void exit(io_uring& ring) {
        static const auto real =
            next_function<decltype(io_uring_queue_exit)>("io_uring_queue_exit");
        real(&ring);
    }
    virtual int register_descriptor(io_uring& ring) {
        static const auto real =
            next_function<decltype(io_uring_register_ring_fd)>("io_uring_register_ring_fd");
        return real(&ring);
    }
    virtual int enter(const enter_call& call) { return call.really(); }
    virtual int make_eventfd(unsigned count, int flags) {
        static const auto real = next_function<int(unsigned, int)>("eventfd");
        return real(count, flags);
    }
};

inline io_uring_calls liburing_itself;
inline io_uring_calls* interposed = &liburing_itself;

/// While it lives, the driver's calls come to this object. One at a time.
class interposed_io_uring : public io_uring_calls {
  public:
    interposed_io_uring() { interposed = this; }
    ~interposed_io_uring() override { interposed = &liburing_itself; }
};

} // namespace ringtls::test

extern "C" {

int io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* parameters) {
    return ringtls::test::interposed->setup(entries, *ring, *parameters);
}

void io_uring_queue_exit(io_uring* ring) {
    ringtls::test::interposed->exit(*ring);
}

int io_uring_register_ring_fd(io_uring* ring) {
    return ringtls::test::interposed->register_descriptor(*ring);
}

int io_uring_submit(io_uring* ring) {
    using namespace ringtls::test;
    static const auto real = next_function<decltype(io_uring_submit)>("io_uring_submit");
    return interposed->enter(
        {enter_call::kind::submit, *ring, std::nullopt, [=] { return real(ring); }});
}

int io_uring_submit_and_get_events(io_uring* ring) {
    using namespace ringtls::test;
    static const auto real =
        next_function<decltype(io_uring_submit_and_get_events)>("io_uring_submit_and_get_events");
    return interposed->enter(
        {enter_call::kind::submit_and_get_events, *ring, std::nullopt, [=] { return real(ring); }});
}

int io_uring_submit_and_wait(io_uring* ring, unsigned count) {
    using namespace ringtls::test;
    static const auto real =
        next_function<decltype(io_uring_submit_and_wait)>("io_uring_submit_and_wait");
    return interposed->enter({enter_call::kind::submit_and_wait, *ring, std::nullopt,
                              [=] { return real(ring, count); }});
}

int io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** cqe, unsigned count,
                                     __kernel_timespec* time, sigset_t* mask) {
    using namespace ringtls::test;
    static const auto real = next_function<decltype(io_uring_submit_and_wait_timeout)>(
        "io_uring_submit_and_wait_timeout");
    return interposed->enter(
        {enter_call::kind::submit_and_wait_timeout, *ring,
         std::chrono::seconds(time->tv_sec) + std::chrono::nanoseconds(time->tv_nsec),
         [=] { return real(ring, cqe, count, time, mask); }});
}

int eventfd(unsigned count, int flags) noexcept {
    return ringtls::test::interposed->make_eventfd(count, flags);
}
}
