// SPDX-License-Identifier: MIT
// The floor: the least that one can do with this library's design. io_uring for readiness only, by
// one-shot polls, one call into the kernel a turn; OpenSSL sends and receives by itself.
#include "connection.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct server {
    struct options options;
    SSL_CTX* ctx;
    int listener;
    struct io_uring ring;
    struct connection* going_on; ///< those that need not wait
};

/// Of transient errors the next turn takes care.
static void taken(int result) {
    if (result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY)
        return;
    errno = -result;
    die("io_uring_enter");
}

/// The listener's user_data is NULL.
static void arm(struct server* server, int fd, int events, struct connection* c) {
    struct io_uring_sqe* sqe = io_uring_get_sqe(&server->ring);
    while (!sqe) {
        taken(io_uring_submit(&server->ring));
        sqe = io_uring_get_sqe(&server->ring);
    }
    io_uring_prep_poll_add(sqe, fd, (unsigned)events);
    io_uring_sqe_set_data(sqe, c);
}

/// A one-shot poll that waits for room alone also ends, at once and each time, once the peer has
/// closed its side (POLLRDHUP): the loop is then busy, but right.
static void step(struct server* server, struct connection* c, int events) {
    const int next = connection_step(c, events, &server->options);
    if (next == connection_ended)
        return;
    if ((next & connection_goes_on) != 0) {
        c->next = server->going_on;
        server->going_on = c;
        return;
    }
    arm(server, c->fd, next, c);
}

static void accept_all(struct server* server) {
    for (;;) {
        const int fd = accept_one(server->listener, SOCK_NONBLOCK);
        if (fd < 0)
            break;
        struct connection* const c = connection_new(server->ctx, fd, &server->options);
        if (c)
            arm(server, fd, POLLIN, c);
    }
    arm(server, server->listener, POLLIN, NULL);
}

static void turn(struct server* server) {
    struct connection* going_on = server->going_on;
    server->going_on = NULL;
    taken(io_uring_submit_and_wait(&server->ring, going_on ? 0 : 1));
    struct io_uring_cqe* cqe = NULL;
    unsigned head = 0;
    unsigned count = 0;
    io_uring_for_each_cqe(&server->ring, head, cqe) {
        struct connection* const c = io_uring_cqe_get_data(cqe);
        if (c)
            step(server, c, cqe->res < 0 ? POLLERR : cqe->res);
        else
            accept_all(server);
        ++count;
    }
    io_uring_cq_advance(&server->ring, count);
    while (going_on) {
        struct connection* const c = going_on;
        going_on = c->next;
        step(server, c, 0);
    }
}

static void make_ring(struct io_uring* ring) {
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG,
        .cq_entries = 16384,
    };
    errno = -io_uring_queue_init_params(1024, ring, &parameters);
    if (errno != 0)
        die("io_uring_setup");
    io_uring_register_ring_fd(ring);
}

int main(int argc, char** argv) {
    struct server server = {.options = parse_options(argc, argv, takes_http)};
    prepare_process();
    server.ctx = make_context(&server.options);
    make_ring(&server.ring);
    server.listener = listen_on(server.options.port, SOCK_NONBLOCK);
    arm(&server, server.listener, POLLIN, NULL);
    for (;;)
        turn(&server);
}
