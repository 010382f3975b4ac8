// SPDX-License-Identifier: MIT
#include "in_memory.h"

#include <openssl/bio.h>

void require(int result, const char* what) {
    if (result != 1)
        die(what);
}

SSL_CTX* in_memory_client(void) {
    SSL_CTX* const client = SSL_CTX_new(TLS_client_method());
    if (!client)
        die("SSL_CTX_new");
    require(SSL_CTX_set1_groups_list(client, "X25519"), "groups");
    return client;
}

struct in_memory in_memory_new(SSL_CTX* client, SSL_CTX* server, size_t room) {
    struct in_memory c = {.client = SSL_new(client), .server = SSL_new(server)};
    BIO* servers_end = NULL;
    if (!c.client || !c.server)
        die("SSL_new");
    require(BIO_new_bio_pair(&c.wire, room, &servers_end, room), "BIO_new_bio_pair");
    SSL_set_bio(c.client, c.wire, c.wire);
    SSL_set_bio(c.server, servers_end, servers_end);
    SSL_set_connect_state(c.client);
    SSL_set_accept_state(c.server);
    return c;
}

void in_memory_shake_hands(const struct in_memory* c) {
    for (int i = 0; i < 4; ++i) {
        SSL_do_handshake(c->client);
        SSL_do_handshake(c->server);
    }
    char byte = 0;
    SSL_read(c->client, &byte, 1); // the tickets
    if (!SSL_is_init_finished(c->client) || !SSL_is_init_finished(c->server))
        die("handshake");
}
