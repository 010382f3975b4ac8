// SPDX-License-Identifier: MIT
// The plain server in C: epoll, level-triggered, and OpenSSL on the socket itself with read-ahead.
#include "connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct server {
    struct options options;
    SSL_CTX* ctx;
    int epoll;
    int listener;
    struct connection* going_on; ///< those that need not wait
};

/// epoll's bits are poll's.
static void watch(struct server* server, struct connection* c, int events) {
    if (c->waits_for == events)
        return;
    struct epoll_event event = {.events = (uint32_t)events, .data.ptr = c};
    const int change = c->waits_for == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    check(epoll_ctl(server->epoll, change, c->fd, &event), "epoll_ctl");
    c->waits_for = (short)events;
}

static void step(struct server* server, struct connection* c, int events) {
    const int next = connection_step(c, events, &server->options);
    if (next == connection_ended)
        return;
    if ((next & connection_goes_on) != 0) {
        c->queued = true;
        c->next = server->going_on;
        server->going_on = c;
        return;
    }
    watch(server, c, next);
}

static void accept_all(struct server* server) {
    for (;;) {
        const int fd = accept_one(server->listener, SOCK_NONBLOCK);
        if (fd < 0)
            return;
        struct connection* const c = connection_new(server->ctx, fd, &server->options);
        if (c)
            watch(server, c, EPOLLIN);
    }
}

static void turn(struct server* server) {
    struct epoll_event events[256];
    const int timeout = server->going_on ? 0 : -1;
    const int count = epoll_wait(server->epoll, events, 256, timeout);
    if (count < 0 && errno != EINTR)
        die("epoll_wait");
    struct connection* going_on = server->going_on;
    server->going_on = NULL;
    for (int i = 0; i < count; ++i) {
        struct connection* const c = events[i].data.ptr;
        if (!c)
            accept_all(server);
        else if (!c->queued)
            step(server, c, (int)events[i].events);
    }
    while (going_on) {
        struct connection* const c = going_on;
        going_on = c->next;
        c->queued = false;
        step(server, c, 0);
    }
}

int main(int argc, char** argv) {
    struct server server = {.options = parse_options(argc, argv, takes_http)};
    prepare_process();
    server.ctx = make_context(&server.options);
    server.epoll = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    server.listener = listen_on(server.options.port, SOCK_NONBLOCK);
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL};
    check(epoll_ctl(server.epoll, EPOLL_CTL_ADD, server.listener, &listening), "epoll_ctl");
    for (;;)
        turn(&server);
}
