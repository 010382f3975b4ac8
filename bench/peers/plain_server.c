// SPDX-License-Identifier: MIT
// The limit: the same work without TLS, on epoll. --cert and --key are taken and not looked at.
#include "common.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/// Calls that a connection may make before it is another one's turn.
enum { share = 4 };

struct connection {
    int fd;
    uint32_t waits_for; ///< epoll's events
    size_t filled;      ///< what of the buffer is to be sent back
    size_t sent;
    char buffer[];
};

static struct options options;
static int epoll;

/// What to wait for next, or 0 at the end, as in each of the works. A short receive has drained the
/// socket, and what a longer one leaves is reported again: epoll is level-triggered.
static uint32_t blocked(ssize_t result, uint32_t events) {
    return result < 0 && errno == EAGAIN ? events : 0;
}

static ssize_t receive(struct connection* c, size_t size) {
    return recv(c->fd, c->buffer, size, 0);
}

static ssize_t transmit(struct connection* c, size_t from, size_t to) {
    return send(c->fd, c->buffer + from, to - from, MSG_NOSIGNAL);
}

static uint32_t echo(struct connection* c) {
    if (c->filled == 0) {
        const ssize_t got = receive(c, echo_buffer_size);
        if (got <= 0)
            return blocked(got, EPOLLIN);
        c->filled = (size_t)got;
        c->sent = 0;
    }
    const ssize_t sent = transmit(c, c->sent, c->filled);
    if (sent < 0)
        return blocked(sent, EPOLLOUT);
    c->sent += (size_t)sent;
    if (c->sent < c->filled)
        return EPOLLOUT;
    c->filled = 0;
    return EPOLLIN;
}

static uint32_t sink(struct connection* c) {
    for (int i = 0; i < share; ++i) {
        const ssize_t got = receive(c, options.size);
        if (got <= 0)
            return blocked(got, EPOLLIN);
        if ((size_t)got < options.size)
            break;
    }
    return EPOLLIN;
}

static uint32_t source(struct connection* c) {
    for (int i = 0; i < share; ++i) {
        const ssize_t sent = transmit(c, 0, options.size);
        if (sent < 0)
            return blocked(sent, EPOLLOUT);
        if ((size_t)sent < options.size)
            break;
    }
    return EPOLLOUT;
}

static uint32_t both(struct connection* c, uint32_t events) {
    const uint32_t reading = events & ~EPOLLOUT ? sink(c) : EPOLLIN;
    const uint32_t writing = events & EPOLLOUT ? source(c) : EPOLLOUT;
    return reading && writing ? reading | writing : 0;
}

static uint32_t work(struct connection* c, uint32_t events) {
    switch (options.work) {
    case work_echo:
        return echo(c);
    case work_sink:
        return sink(c);
    case work_source:
        return source(c);
    case work_both:
        return both(c, events);
    case work_http: // not taken
        break;
    }
    return 0;
}

static void watch(struct connection* c, uint32_t events) {
    if (c->waits_for == events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = c};
    const int change = c->waits_for == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    check(epoll_ctl(epoll, change, c->fd, &event), "epoll_ctl");
    c->waits_for = events;
}

static void step(struct connection* c, uint32_t events) {
    const uint32_t next = work(c, events);
    if (next != 0) {
        watch(c, next);
        return;
    }
    close(c->fd);
    free(c);
}

static uint32_t first_events(void) {
    switch (options.work) {
    case work_echo:
    case work_sink:
        return EPOLLIN;
    case work_source:
        return EPOLLOUT;
    case work_both:
        return EPOLLIN | EPOLLOUT;
    case work_http: // not taken
        break;
    }
    return 0;
}

static void accept_all(int listener) {
    for (;;) {
        const int fd = accept_one(listener, SOCK_NONBLOCK);
        if (fd < 0)
            return;
        struct connection* const c = calloc(1, sizeof *c + buffer_size(&options));
        if (!c)
            die("calloc");
        c->fd = fd;
        watch(c, first_events());
    }
}

int main(int argc, char** argv) {
    options = parse_options(argc, argv, 0);
    prepare_process();
    epoll = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    const int listener = listen_on(options.port, SOCK_NONBLOCK);
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL};
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &listening), "epoll_ctl");
    for (;;) {
        struct epoll_event events[256];
        const int count = epoll_wait(epoll, events, 256, -1);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; ++i) {
            if (events[i].data.ptr)
                step(events[i].data.ptr, events[i].events);
            else
                accept_all(listener);
        }
    }
}
