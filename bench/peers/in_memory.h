// SPDX-License-Identifier: MIT
// Connections between two SSL objects without a socket, for what OpenSSL alone costs.
#pragma once

#include "common.h"

struct in_memory {
    SSL* client;
    SSL* server;
    BIO* wire; ///< the client's end
};

/// Nothing was said yet. Each direction of the wire holds so many bytes. Ends the process if it
/// cannot.
struct in_memory in_memory_new(SSL_CTX* client, SSL_CTX* server, size_t room);

/// Up to the tickets, which the client has read.
void in_memory_shake_hands(const struct in_memory* c);

/// A client's context that fits make_context().
SSL_CTX* in_memory_client(void);

/// Ends the process if an OpenSSL call did not return 1.
void require(int result, const char* what);
