// SPDX-License-Identifier: MIT
// The limit that OpenSSL sets: the server's calls on connections in memory, without a socket.
// Prints what an echo of --size costs in microseconds of CPU, and a GB of source in seconds.
#include "common.h"

#include <openssl/bio.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/// As many as make the caches work as they do in a server, and the clock's own cost vanish.
enum { connections = 64 };

static const double seconds = 0.5; ///< of CPU that each measurement takes at least

struct connection {
    SSL* client;
    SSL* server;
    BIO* wire; ///< the client's end
};

static double cpu_seconds(void) {
    struct timespec time;
    check(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time), "clock_gettime");
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void require(int result, const char* what) {
    if (result != 1)
        die(what);
}

static void shake_hands(struct connection* c) {
    for (int i = 0; i < 4; ++i) {
        SSL_do_handshake(c->client);
        SSL_do_handshake(c->server);
    }
    char byte = 0;
    SSL_read(c->client, &byte, 1); // the tickets
    if (!SSL_is_init_finished(c->client) || !SSL_is_init_finished(c->server))
        die("handshake");
}

/// Each direction of the wire holds one message, in records.
static struct connection connect_in_memory(SSL_CTX* client, SSL_CTX* server, size_t size) {
    struct connection c = {.client = SSL_new(client), .server = SSL_new(server)};
    BIO* servers_end = NULL;
    const size_t room = size + (size / SSL3_RT_MAX_PLAIN_LENGTH + 1) * 256 + 16384;
    if (!c.client || !c.server)
        die("SSL_new");
    require(BIO_new_bio_pair(&c.wire, room, &servers_end, room), "BIO_new_bio_pair");
    SSL_set_bio(c.client, c.wire, c.wire);
    SSL_set_bio(c.server, servers_end, servers_end);
    SSL_set_connect_state(c.client);
    SSL_set_accept_state(c.server);
    shake_hands(&c);
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

static double measure_echo(struct connection* all, size_t size, char* message, char* buffer) {
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

static double measure_source(const struct connection* all, size_t size, const char* message) {
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

int main(int argc, char** argv) {
    const struct options options = parse_options(argc, argv, 0);
    SSL_CTX* const server = make_context(&options);
    SSL_CTX* const client = SSL_CTX_new(TLS_client_method());
    char* const message = calloc(1, options.size);
    char* const buffer = calloc(connections, echo_buffer_size);
    if (!client || !message || !buffer)
        die("calloc");
    struct connection all[connections];
    for (int i = 0; i < connections; ++i)
        all[i] = connect_in_memory(client, server, options.size);
    const double echo_us = measure_echo(all, options.size, message, buffer);
    const double gb_s = measure_source(all, options.size, message);
    printf("{\"echo_us\": %.4f, \"gb_s\": %.4f}\n", echo_us, gb_s);
}
