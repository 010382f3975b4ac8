// SPDX-License-Identifier: MIT
// The limit that OpenSSL sets to a server's memory: the heap, malloc's own share included, that one
// connection takes, idle and blocked in a write. Prints bytes.
#include "in_memory.h"

#include <openssl/bio.h>
#include <openssl/err.h>

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { connections = 1000, room = 17 * 1024 };

static size_t heap_in_use(void) {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/// What a server's connections give back when they are freed. They have a socket's BIO by then.
static double measure(SSL_CTX* client, SSL_CTX* server, bool blocked) {
    static char bytes[65536];
    static struct in_memory all[connections];
    for (int i = 0; i < connections; ++i) {
        all[i] = in_memory_new(client, server, room);
        in_memory_shake_hands(&all[i]);
        size_t count = 0;
        if (blocked && SSL_write_ex(all[i].server, bytes, sizeof bytes, &count))
            die("a write that was to be blocked");
        require(SSL_set_fd(all[i].server, STDIN_FILENO), "SSL_set_fd");
        ERR_clear_error();
    }
    const size_t before = heap_in_use();
    for (int i = 0; i < connections; ++i)
        SSL_free(all[i].server);
    const size_t after = heap_in_use();
    for (int i = 0; i < connections; ++i)
        SSL_free(all[i].client);
    return (double)(before - after) / connections;
}

int main(int argc, char** argv) {
    const struct options options = parse_options(argc, argv, 0);
    SSL_CTX* const server = make_context(&options);
    SSL_CTX* const client = in_memory_client();
    const double idle = measure(client, server, false);
    const double blocked = measure(client, server, true);
    printf("{\"idle_bytes\": %.0f, \"blocked_bytes\": %.0f}\n", idle, blocked);
}
