// SPDX-License-Identifier: MIT
// As few system calls as SSL_set_fd allows: with read-ahead, a read that leaves OpenSSL without a
// buffered byte has drained the socket, and the next one would only hear EAGAIN. Whoever waits for
// readiness then misses nothing, for the loops wait level-triggered.
#include "connection.h"

#include <openssl/err.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/// Records that a connection may take or give before it is another one's turn.
enum { share = 16 };

struct connection* connection_new(SSL_CTX* ctx, int fd, const struct options* options) {
    const size_t size = buffer_size(options);
    const size_t separate = options->work == work_both ? size : 0;
    struct connection* const c = calloc(1, sizeof *c + size + separate);
    SSL* const ssl = c ? SSL_new(ctx) : NULL;
    if (!ssl || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        free(c);
        close(fd);
        ERR_clear_error();
        return NULL;
    }
    SSL_set_accept_state(ssl);
    c->ssl = ssl;
    c->fd = fd;
    c->writable = true;
    c->output = c->buffer + separate;
    return c;
}

static void end(struct connection* c) {
    if (c->peer_closed && !c->writing)
        SSL_shutdown(c->ssl); // once: answers with close_notify, if there is room for it
    SSL_free(c->ssl);
    close(c->fd);
    free(c);
}

/// Notes why a call did not succeed: the events to wait for, or the end.
static int blocked(struct connection* c, bool writing) {
    switch (SSL_get_error(c->ssl, -1)) {
    case SSL_ERROR_WANT_READ:
        c->readable = false;
        return POLLIN;
    case SSL_ERROR_WANT_WRITE:
        c->writable = false;
        c->writing = writing;
        return POLLOUT;
    case SSL_ERROR_ZERO_RETURN:
        c->peer_closed = true;
        return connection_ended;
    default:
        return connection_ended;
    }
}

static bool receive(struct connection* c, char* into, size_t size, size_t* count) {
    const bool done = SSL_read_ex(c->ssl, into, size, count) == 1;
    if (done)
        c->readable = SSL_has_pending(c->ssl) == 1;
    return done;
}

static bool transmit(struct connection* c, const char* from, size_t size) {
    size_t sent = 0;
    const bool done = SSL_write_ex(c->ssl, from, size, &sent) == 1;
    if (done)
        c->writing = false;
    return done;
}

static int echo(struct connection* c) {
    for (int i = 0; i < share; ++i) {
        if (c->filled == 0) {
            if (!c->readable)
                return POLLIN;
            if (!receive(c, c->buffer, echo_buffer_size, &c->filled))
                return blocked(c, false);
        }
        if (!transmit(c, c->output, c->filled))
            return blocked(c, true);
        c->filled = 0;
    }
    return connection_goes_on;
}

/// A request that is not whole stays in the buffer. Several that came at once are answered in turn.
static int answer_requests(struct connection* c) {
    for (int i = 0; i < share; ++i) {
        const size_t taken = http_request_size(c->buffer, c->filled);
        if (taken == 0) {
            size_t count = 0;
            if (!c->readable)
                return POLLIN;
            if (c->filled == echo_buffer_size)
                return connection_ended;
            if (!receive(c, c->buffer + c->filled, echo_buffer_size - c->filled, &count))
                return blocked(c, false);
            c->filled += count;
            continue;
        }
        if (!transmit(c, http_answer, http_answer_size))
            return blocked(c, true);
        c->filled -= taken;
        memmove(c->buffer, c->buffer + taken, c->filled);
    }
    return connection_goes_on;
}

static int sink(struct connection* c, size_t size) {
    for (int i = 0; i < share; ++i) {
        size_t count = 0;
        if (!c->readable)
            return POLLIN;
        if (!receive(c, c->buffer, size, &count))
            return blocked(c, false);
    }
    return connection_goes_on;
}

static int source(struct connection* c, size_t size) {
    for (size_t sent = 0; sent < share * (size_t)SSL3_RT_MAX_PLAIN_LENGTH; sent += size) {
        if (!c->writable)
            return POLLOUT;
        if (!transmit(c, c->output, size))
            return blocked(c, true);
    }
    return connection_goes_on;
}

static int both(struct connection* c, size_t size) {
    const int reading = sink(c, size);
    const int writing = reading == connection_ended ? reading : source(c, size);
    return writing == connection_ended ? writing : reading | writing;
}

static int work(struct connection* c, const struct options* options) {
    switch (options->work) {
    case work_echo:
        return echo(c);
    case work_sink:
        return sink(c, options->size);
    case work_source:
        return source(c, options->size);
    case work_both:
        return both(c, options->size);
    case work_http:
        return answer_requests(c);
    }
    return connection_ended;
}

static int shake_hands(struct connection* c) {
    if (SSL_do_handshake(c->ssl) != 1)
        return blocked(c, false);
    c->readable = SSL_has_pending(c->ssl) == 1;
    return connection_goes_on;
}

int connection_step(struct connection* c, int events, const struct options* options) {
    c->readable = c->readable || (events & ~POLLOUT) != 0;
    c->writable = c->writable || (events & ~POLLIN) != 0;
    ERR_clear_error(); // SSL_get_error(3) believes what it finds there
    int next = SSL_in_init(c->ssl) ? shake_hands(c) : connection_goes_on;
    if (next == connection_goes_on)
        next = work(c, options);
    if (next == connection_ended)
        end(c);
    return next;
}
