// SPDX-License-Identifier: MIT
#include "common.h"

#include <openssl/err.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

void die(const char* what) {
    const int code = errno;
    const unsigned long reason = ERR_get_error();
    fprintf(stderr, "%s: %s\n", what, reason ? ERR_reason_error_string(reason) : strerror(code));
    exit(1);
}

int check(int result, const char* what) {
    if (result < 0)
        die(what);
    return result;
}

static void check_openssl(int result, const char* what) {
    if (result != 1)
        die(what);
}

static void refuse(const char* program) {
    fprintf(stderr,
            "usage: %s --cert FILE --key FILE [--work echo|sink|source|both] [--size BYTES] "
            "[--port N], and of some: --work http, --wait readable, --deadline SECONDS, "
            "--busy-poll MICROSECONDS\n",
            program);
    exit(2);
}

static enum work parse_work(const char* text, unsigned takes, const char* program) {
    static const char* const names[] = {"echo", "sink", "source", "both", "http"};
    const unsigned known = (takes & takes_http) != 0 ? work_http : work_both;
    for (unsigned i = 0; i <= known; ++i) {
        if (strcmp(text, names[i]) == 0)
            return (enum work)i;
    }
    refuse(program);
    return work_echo;
}

static unsigned long parse_number(const char* text, unsigned long limit, const char* program) {
    char* end = NULL;
    const unsigned long number = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || number > limit)
        refuse(program);
    return number;
}

/// True if it is one of those that only some servers take, and this one does.
static bool parse_special(struct options* options, const char* name, const char* value,
                          unsigned takes, const char* program) {
    if ((takes & takes_wait_readable) != 0 && strcmp(name, "--wait") == 0) {
        options->wait_readable = strcmp(value, "readable") == 0;
        return options->wait_readable;
    }
    if ((takes & takes_deadline) != 0 && strcmp(name, "--deadline") == 0) {
        options->deadline = (unsigned)parse_number(value, 86400, program);
        return true;
    }
    if ((takes & takes_busy_poll) != 0 && strcmp(name, "--busy-poll") == 0) {
        options->busy_poll = (unsigned)parse_number(value, 1000000, program);
        return true;
    }
    return false;
}

struct options parse_options(int argc, char** argv, unsigned takes) {
    struct options options = {.work = work_echo, .size = 65536};
    for (int i = 1; i < argc; i += 2) {
        const char* const value = argv[i + 1]; // NULL behind the last one
        if (!value)
            refuse(argv[0]);
        if (strcmp(argv[i], "--cert") == 0)
            options.cert = value;
        else if (strcmp(argv[i], "--key") == 0)
            options.key = value;
        else if (strcmp(argv[i], "--work") == 0)
            options.work = parse_work(value, takes, argv[0]);
        else if (strcmp(argv[i], "--size") == 0)
            options.size = parse_number(value, 1UL << 30, argv[0]);
        else if (strcmp(argv[i], "--port") == 0)
            options.port = (uint16_t)parse_number(value, UINT16_MAX, argv[0]);
        else if (!parse_special(&options, argv[i], value, takes, argv[0]))
            refuse(argv[0]);
    }
    if (!options.cert || !options.key || options.size == 0)
        refuse(argv[0]);
    return options;
}

size_t buffer_size(const struct options* options) {
    const bool answers = options->work == work_echo || options->work == work_http;
    return answers ? echo_buffer_size : options->size;
}

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
const char http_answer[] =
    "HTTP/1.1 200 OK\r\n"
    "Server: bench\r\n"
    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 1024\r\n"
    "Connection: keep-alive\r\n"
    "\r\n" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED TEN TEN
    "0123";
const size_t http_answer_size = sizeof http_answer - 1;

size_t http_request_size(const char* bytes, size_t count) {
    static const char end_of_head[] = "\r\n\r\n";
    const char* const end = memmem(bytes, count, end_of_head, sizeof end_of_head - 1);
    return end ? (size_t)(end - bytes) + sizeof end_of_head - 1 : 0;
}

static void leave(int signal) {
    (void)signal;
    _exit(0);
}

void prepare_process(void) {
    struct rlimit limit;
    check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, leave);
}

void announce(uint16_t port) {
    printf("listening on 127.0.0.1:%u\n", (unsigned)port);
    fflush(stdout);
}

int listen_on(uint16_t port, int extra_flags) {
    const int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | extra_flags, 0), "socket");
    const int on = 1;
    check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof address;
    check(bind(fd, (struct sockaddr*)&address, size), "bind");
    check(listen(fd, backlog), "listen");
    check(getsockname(fd, (struct sockaddr*)&address, &size), "getsockname");
    announce(ntohs(address.sin_port));
    return fd;
}

int accept_one(int listener, int extra_flags) {
    const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | extra_flags);
    const int on = 1;
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

SSL_CTX* make_context(const struct options* options) {
    SSL_CTX* const ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        die("SSL_CTX_new");
    check_openssl(SSL_CTX_use_certificate_chain_file(ctx, options->cert), options->cert);
    check_openssl(SSL_CTX_use_PrivateKey_file(ctx, options->key, SSL_FILETYPE_PEM), options->key);
    check_openssl(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION), "TLS 1.2");
    check_openssl(SSL_CTX_set1_groups_list(ctx, "X25519"), "groups");
    check_openssl(SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256"), "suites");
    check_openssl(SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256"), "ciphers");
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    return ctx;
}
