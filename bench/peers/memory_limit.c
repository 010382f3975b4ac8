// SPDX-License-Identifier: MIT
// The limit that OpenSSL sets: the server's calls on connections in memory, without a socket.
// Prints what an echo of --size and a full handshake cost in microseconds of CPU, and a GB of
// source or sink in writes of --size in seconds.
#include "in_memory.h"

#include <openssl/bio.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/// As many as make the caches work as they do in a server, and the clock's own cost vanish.
enum { connections = 64 };

static const double seconds = 0.1; ///< of CPU that each measurement takes at least

static double cpu_seconds(void) {
    struct timespec time;
    check(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time), "clock_gettime");
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/// Each direction of the wire holds one message, in records.
static struct in_memory connect_for(SSL_CTX* client, SSL_CTX* server, size_t size) {
    const size_t room = size + (size / SSL3_RT_MAX_PLAIN_LENGTH + 1) * 256 + 16384;
    const struct in_memory c = in_memory_new(client, server, room);
    in_memory_shake_hands(&c);
    return c;
}

static void write_all(SSL* ssl, const char* from, size_t size) {
    size_t count = 0;
    require(SSL_write_ex(ssl, from, size, &count), "SSL_write");
}

static void read_all(SSL* ssl, char* into, size_t size) {
    for (size_t total = 0, count = 0; total < size; total += count)
        require(SSL_read_ex(ssl, into + total, size - total, &count), "SSL_read");
}

/// As the servers do it: a read and a write for each piece of 16 KiB.
static void echo(SSL* ssl, char* buffer, size_t size) {
    for (size_t total = 0, count = 0; total < size; total += count) {
        require(SSL_read_ex(ssl, buffer, echo_buffer_size, &count), "SSL_read");
        write_all(ssl, buffer, count);
    }
}

static double measure_echo(struct in_memory* all, size_t size, char* message, char* buffer) {
    double used = 0;
    size_t echoes = 0;
    for (; used < seconds; echoes += connections) {
        for (int i = 0; i < connections; ++i)
            write_all(all[i].client, message, size);
        const double before = cpu_seconds();
        for (int i = 0; i < connections; ++i)
            echo(all[i].server, buffer + (size_t)i * echo_buffer_size, size);
        used += cpu_seconds() - before;
        for (int i = 0; i < connections; ++i)
            read_all(all[i].client, message, size);
    }
    return used / (double)echoes * 1e6;
}

static void drop(BIO* wire) {
    char* data = NULL;
    while (BIO_nread(wire, &data, INT32_MAX) > 0) {
    }
}

static double measure_source(const struct in_memory* all, size_t size, const char* message) {
    double used = 0;
    size_t bytes = 0;
    for (; used < seconds; bytes += connections * size) {
        const double before = cpu_seconds();
        for (int i = 0; i < connections; ++i)
            write_all(all[i].server, message, size);
        used += cpu_seconds() - before;
        for (int i = 0; i < connections; ++i)
            drop(all[i].wire);
    }
    return used / (double)bytes * 1e9;
}

static double measure_sink(const struct in_memory* all, size_t size, char* message) {
    double used = 0;
    size_t bytes = 0;
    for (; used < seconds; bytes += connections * size) {
        for (int i = 0; i < connections; ++i)
            write_all(all[i].client, message, size);
        const double before = cpu_seconds();
        for (int i = 0; i < connections; ++i)
            read_all(all[i].server, message, size);
        used += cpu_seconds() - before;
    }
    return used / (double)bytes * 1e9;
}

/// The server's part, from SSL_new (with the client's, which is little beside it) to SSL_free.
static double measure_handshake(SSL_CTX* client, SSL_CTX* server) {
    double used = 0;
    size_t handshakes = 0;
    for (; used < seconds; ++handshakes) {
        double before = cpu_seconds();
        struct in_memory c = in_memory_new(client, server, 16384);
        used += cpu_seconds() - before;
        for (int i = 0; i < 2; ++i) {
            SSL_do_handshake(c.client);
            before = cpu_seconds();
            SSL_do_handshake(c.server);
            used += cpu_seconds() - before;
        }
        if (!SSL_is_init_finished(c.server))
            die("handshake");
        SSL_free(c.client);
        before = cpu_seconds();
        SSL_free(c.server);
        used += cpu_seconds() - before;
    }
    return used / (double)handshakes * 1e6;
}

int main(int argc, char** argv) {
    const struct options options = parse_options(argc, argv, 0);
    SSL_CTX* const server = make_context(&options);
    SSL_CTX* const client = in_memory_client();
    char* const message = calloc(1, options.size);
    char* const buffer = calloc(connections, echo_buffer_size);
    if (!message || !buffer)
        die("calloc");
    struct in_memory all[connections];
    for (int i = 0; i < connections; ++i)
        all[i] = connect_for(client, server, options.size);
    const double echo_us = measure_echo(all, options.size, message, buffer);
    // What a source drops, its client misses: nothing can follow it.
    const double sink_s = measure_sink(all, options.size, message);
    const double source_s = measure_source(all, options.size, message);
    const double handshake_us = measure_handshake(client, server);
    printf("{\"echo_us\": %.4f, \"source_s_per_gb\": %.4f, \"sink_s_per_gb\": %.4f, "
           "\"handshake_us\": %.4f}\n",
           echo_us, source_s, sink_s, handshake_us);
}
