// SPDX-License-Identifier: MIT
// What the C servers do with one non-blocking TLS connection; how to wait is left to their loops.
#pragma once

#include "common.h"

#include <stdbool.h>

struct connection {
    SSL* ssl;
    int fd;
    short waits_for;         ///< poll(2)'s events, the loop's own note
    bool queued;             ///< in the loop's list of those that go on without waiting
    bool readable;           ///< as far as is known
    bool writable;           ///< as far as is known
    bool writing;            ///< OpenSSL insists on a record that is not sent yet
    bool peer_closed;        ///< properly
    size_t filled;           ///< what of the buffer is to be sent back, or of requests
    char* output;            ///< what is sent: of echo the same buffer
    struct connection* next; ///< in the loop's list
    char buffer[];
};

enum {
    connection_ended = 0,       ///< and is freed
    connection_goes_on = 1 << 8 ///< has had its share; call again without waiting
};

/// Takes over the descriptor; NULL if there is no memory.
struct connection* connection_new(SSL_CTX* ctx, int fd, const struct options* options);

/// Does what can be done after these events of poll(2). Returns the events to wait for next, or one
/// of the above.
int connection_step(struct connection* c, int events, const struct options* options);
