// SPDX-License-Identifier: MIT
// What the compared servers have in common: the command line, the process, listening, the SSL_CTX.
#pragma once

#include <openssl/ssl.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    echo_buffer_size = 16384,
    backlog = 4096,
};

enum work { work_echo, work_sink, work_source, work_both, work_http };

/// What only some of the servers can do.
enum {
    takes_http = 1 << 0,          ///< --work http
    takes_wait_readable = 1 << 1, ///< --wait readable
    takes_deadline = 1 << 2,      ///< --deadline SECONDS
    takes_busy_poll = 1 << 3,     ///< --busy-poll MICROSECONDS
};

struct options {
    const char* cert;
    const char* key;
    enum work work;
    size_t size; ///< of a read of sink and a write of source
    uint16_t port;
    bool wait_readable; ///< an echo has no buffer while it waits
    unsigned deadline;  ///< of a read, in seconds; 0: none
    unsigned busy_poll; ///< microseconds; 0: sleeps at once
};

/// Exits with 2 and a line on stderr if they are wrong, or not among those that it takes.
struct options parse_options(int argc, char** argv, unsigned takes);

/// The answer to every request of --work http: as long as nginx's with a body of 1 KiB.
extern const char http_answer[];
extern const size_t http_answer_size;

/// How many of these bytes a request takes, its empty line included; 0: it is not whole.
size_t http_request_size(const char* bytes, size_t count);

/// How big a connection's buffer is.
size_t buffer_size(const struct options* options);

/// Descriptors as many as allowed; SIGTERM ends with status 0; no SIGPIPE.
void prepare_process(void);

/// Prints where, for run.py.
void announce(uint16_t port);

/// A listening socket on 127.0.0.1, announced. extra_flags: SOCK_NONBLOCK or 0.
int listen_on(uint16_t port, int extra_flags);

/// Takes a connection, with TCP_NODELAY; -1 if there is none.
int accept_one(int listener, int extra_flags);

/// The server's SSL_CTX, all versions, suites and modes set; ends the process if it cannot.
SSL_CTX* make_context(const struct options* options);

/// Ends the process with status 1, and with what failed and errno's or OpenSSL's reason.
void die(const char* what) __attribute__((noreturn));

/// The same, if this is not a success.
int check(int result, const char* what);

#ifdef __cplusplus
}
#endif
