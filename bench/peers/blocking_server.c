// SPDX-License-Identifier: MIT
// Blocking OpenSSL, one thread a connection. Threads stay: one that has done with its connection
// takes the next, and a new one is made only when none waits for one.
#include "common.h"

#include <openssl/err.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct options options;
static SSL_CTX* ctx;
static int listener;
static atomic_int waiting; ///< threads in accept(2)

static void serve(SSL* ssl, char* buffer, size_t size) {
    size_t count = 0;
    switch (options.work) {
    case work_echo:
        while (SSL_read_ex(ssl, buffer, size, &count) && SSL_write_ex(ssl, buffer, count, &count)) {
        }
        break;
    case work_sink:
        while (SSL_read_ex(ssl, buffer, size, &count)) {
        }
        break;
    case work_source:
        while (SSL_write_ex(ssl, buffer, size, &count)) {
        }
        break;
    case work_both:
    case work_http: // not taken
        break;
    }
    if (SSL_get_error(ssl, 0) == SSL_ERROR_ZERO_RETURN)
        SSL_shutdown(ssl);
}

static void start_thread(void);

static void take_connection(char* buffer, size_t size) {
    const int fd = accept_one(listener, 0);
    if (fd < 0)
        return;
    if (atomic_fetch_sub(&waiting, 1) == 1)
        start_thread();
    SSL* const ssl = SSL_new(ctx);
    if (ssl && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1)
        serve(ssl, buffer, size);
    SSL_free(ssl);
    close(fd);
    ERR_clear_error();
    atomic_fetch_add(&waiting, 1);
}

static void* take_connections(void* nothing) {
    const size_t size = buffer_size(&options);
    char* const buffer = calloc(1, size);
    if (!buffer)
        die("calloc");
    for (;;)
        take_connection(buffer, size);
    return nothing;
}

static void start_thread(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    pthread_t thread;
    atomic_fetch_add(&waiting, 1);
    if (pthread_create(&thread, &attributes, take_connections, NULL) == 0)
        pthread_detach(thread);
    else
        atomic_fetch_sub(&waiting, 1); // this thread will take the next one
    pthread_attr_destroy(&attributes);
}

int main(int argc, char** argv) {
    options = parse_options(argc, argv, 0);
    if (options.work == work_both) {
        fputs("--work both: not with blocking calls, of which an SSL allows one at a time\n",
              stderr);
        return 2;
    }
    prepare_process();
    ctx = make_context(&options);
    listener = listen_on(options.port, 0);
    start_thread();
    for (;;)
        pause();
}
