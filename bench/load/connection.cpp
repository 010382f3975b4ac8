// SPDX-License-Identifier: MIT
// One connection of the load, TLS or plain, and what they all share.
#define OPENSSL_SUPPRESS_DEPRECATED // ENGINE, see skip_signature_checks()
#include "connection.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

namespace load {

namespace {

/// TIME_WAIT keeps a port of an address for a minute, so many short connections need addresses.
constexpr std::uint32_t source_addresses = 128;

[[noreturn]] void throw_errno(const char* what) {
    throw std::system_error(errno, std::system_category(), what);
}

void require(bool good, const char* what) {
    if (!good)
        throw std::runtime_error(std::string("cannot set up OpenSSL: ") + what);
}

int accept_signature(EVP_PKEY_CTX*, const unsigned char*, std::size_t, const unsigned char*,
                     std::size_t) {
    return 1;
}

/// ECDSA as it is, but for the check.
EVP_PKEY_METHOD* lenient_ec() {
    static EVP_PKEY_METHOD* const method = [] {
        const EVP_PKEY_METHOD* const strict = EVP_PKEY_meth_find(EVP_PKEY_EC);
        EVP_PKEY_METHOD* const made = EVP_PKEY_meth_new(EVP_PKEY_EC, 0);
        require(strict != nullptr && made != nullptr, "EVP_PKEY_METHOD");
        EVP_PKEY_meth_copy(made, strict);
        EVP_PKEY_meth_set_verify(made, nullptr, accept_signature);
        return made;
    }();
    return method;
}

/// ENGINE_PKEY_METHS_PTR: lists the kinds of key, or gives the methods of one.
int ec_methods(ENGINE*, EVP_PKEY_METHOD** method, const int** kinds, int kind) {
    static constexpr int ec = EVP_PKEY_EC;
    if (method == nullptr) {
        *kinds = &ec;
        return 1;
    }
    *method = kind == ec ? lenient_ec() : nullptr;
    return kind == ec ? 1 : 0;
}

/// A full handshake costs a client more than a server: it decodes the key of a certificate, which
/// OpenSSL 3.0 does slowly for its providers, and verifies an ECDSA signature, which is dearer than
/// to make one. The load would be the limit. An engine for such keys avoids both; nothing is lost,
/// as the servers are our own programs on loopback.
void skip_signature_checks() {
    lenient_ec(); // throws here, where OpenSSL is not in between
    static ENGINE* const engine = ENGINE_new();
    require(engine != nullptr && ENGINE_set_id(engine, "load") == 1 &&
                ENGINE_set_pkey_meths(engine, ec_methods) == 1 &&
                ENGINE_register_pkey_meths(engine) == 1,
            "the engine");
}

bool reads_bulk(work kind) {
    return kind == work::source || kind == work::both;
}

} // namespace

client::client(const options& options) : options_(options) {
    if (options.plain)
        return;
    skip_signature_checks();
    context_.reset(SSL_CTX_new(TLS_client_method()));
    auto* const context = context_.get();
    require(context != nullptr, "SSL_CTX_new");
    require(SSL_CTX_set_min_proto_version(context, options.tls) == 1, "version");
    require(SSL_CTX_set_max_proto_version(context, options.tls) == 1, "version");
    // The group of the certificate's key has to be among those of a client of TLS 1.2; the servers
    // know X25519 alone, so that it is what they agree on.
    const bool old = options.tls == TLS1_2_VERSION;
    require(SSL_CTX_set1_groups_list(context, old ? "X25519:P-256" : "X25519") == 1, "groups");
    require(SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") == 1, "suites");
    require(SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES128-GCM-SHA256") == 1, "ciphers");
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_read_ahead(context, 1);
    if (reads_bulk(options.kind)) // several records a recv
        SSL_CTX_set_default_read_buffer_len(context, 4 * connection::record + 1024);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    if (options.resume) {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context, keep_session);
    }
    method_.reset(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "load"));
    require(method_ != nullptr, "BIO_meth_new");
    BIO_meth_set_read(method_.get(), connection::bio_read);
    BIO_meth_set_write(method_.get(), connection::bio_write);
    BIO_meth_set_ctrl(method_.get(), connection::bio_control);
}

int client::keep_session(SSL* ssl, SSL_SESSION* session) {
    auto& by = *static_cast<connection*>(SSL_get_app_data(ssl));
    by.has_session_ = true;
    by.owner_.session_.reset(session);
    return 1; // the reference is ours
}

connection::connection(client& owner, poller& poller, std::uint32_t index) : owner_(owner) {
    open_socket();
    if (owner.context_)
        open_tls();
    poller.add(socket_, index);
}

connection::~connection() {
    ::close(socket_);
}

void connection::open_socket() {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0)
        throw_errno("socket");
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (owner_.options_.never_reads())
        allow_little();
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + owner_.opened_++ % source_addresses);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket_, generic, sizeof address) != 0)
        throw_errno("bind");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(owner_.options_.port);
    if (::connect(socket_, generic, sizeof address) != 0 && errno != EINPROGRESS)
        throw_errno("connect");
}

/// Segments and a buffer so small that the kernel soon holds all that it will of a server's writes:
/// with what loopback allows, 10,000 connections would take more memory than there is.
void connection::allow_little() const {
    const int segment = 1024;
    const int buffer = 4096;
    if (::setsockopt(socket_, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment) != 0 ||
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer) != 0)
        throw_errno("setsockopt");
}

void connection::open_tls() {
    ssl_.reset(SSL_new(owner_.context_.get()));
    require(ssl_ != nullptr, "SSL_new");
    BIO* const bio = BIO_new(owner_.method_.get());
    require(bio != nullptr, "BIO_new");
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_app_data(ssl_.get(), this);
    SSL_set_connect_state(ssl_.get());
    if (!owner_.session_)
        return;
    // A copy, as OpenSSL marks a session of TLS 1.3 as used up where others may still hold it.
    const std::unique_ptr<SSL_SESSION, freed_by<SSL_SESSION_free>> copy(
        SSL_SESSION_dup(owner_.session_.get()));
    require(copy != nullptr, "SSL_SESSION_dup");
    require(SSL_set_session(ssl_.get(), copy.get()) == 1, "SSL_set_session");
}

void connection::notice(std::uint32_t events) {
    readable_ = readable_ || (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    writable_ = writable_ || (events & EPOLLOUT) != 0;
    hung_up_ = hung_up_ || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
}

bool connection::establish() {
    if (!connected_) {
        if (hung_up_) {
            int error = 0;
            socklen_t size = sizeof error;
            ::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
            throw std::system_error(error, std::system_category(), "connect");
        }
        connected_ = writable_;
        if (!connected_)
            return false;
    }
    if (!ssl_)
        return true;
    if (!flush())
        return false;
    const int result = SSL_do_handshake(ssl_.get());
    transmit(0);
    if (result == 1)
        return true;
    if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ)
        fail("the handshake", result);
    return false;
}

std::size_t connection::read(std::span<std::byte> into) {
    if (!ssl_) {
        const auto count = receive(into.data(), into.size());
        if (count == 0 || (count < 0 && errno != EAGAIN))
            fail("recv", -1);
        return count < 0 ? 0 : static_cast<std::size_t>(count);
    }
    const int count = SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size()));
    if (!owner_.output_.empty()) // the answer to a key update
        transmit(0);
    if (count > 0)
        return static_cast<std::size_t>(count);
    if (SSL_get_error(ssl_.get(), count) != SSL_ERROR_WANT_READ)
        fail("SSL_read", count);
    return 0;
}

std::size_t connection::write(std::span<const std::byte> data, std::size_t record_size) {
    if (!flush())
        return 0;
    data = data.first(std::min(data.size(), chunk));
    if (!ssl_)
        return send({reinterpret_cast<const unsigned char*>(data.data()), data.size()}, 0);
    std::size_t taken = 0;
    while (taken < data.size() && owner_.output_.size() < chunk) {
        const auto size = std::min(data.size() - taken, record_size);
        const int result = SSL_write(ssl_.get(), &data[taken], static_cast<int>(size));
        if (result <= 0)
            fail("SSL_write", result);
        taken += size;
    }
    transmit(0);
    return taken;
}

bool connection::close_writing() {
    if (!flush())
        return false;
    if (!closing_ && ssl_) {
        closing_ = true;
        if (SSL_shutdown(ssl_.get()) < 0)
            fail("SSL_shutdown", -1);
        if (!transmit(MSG_MORE))
            return false;
    }
    ::shutdown(socket_, SHUT_WR);
    return true;
}

bool connection::ended() {
    std::array<std::byte, 16384> dropped;
    for (;;) {
        const auto count = receive(dropped.data(), dropped.size());
        if (count <= 0)
            return count == 0 || errno != EAGAIN;
    }
}

int connection::bio_read(BIO* bio, char* into, int size) {
    BIO_clear_retry_flags(bio);
    const auto count =
        static_cast<connection*>(BIO_get_data(bio))->receive(into, static_cast<std::size_t>(size));
    if (count < 0 && errno == EAGAIN)
        BIO_set_retry_read(bio);
    return static_cast<int>(count);
}

int connection::bio_write(BIO* bio, const char* data, int size) {
    auto& output = static_cast<connection*>(BIO_get_data(bio))->owner_.output_;
    const auto* const bytes = reinterpret_cast<const unsigned char*>(data); // or it is no memcpy
    output.insert(output.end(), bytes, bytes + size);
    return size;
}

long connection::bio_control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_EOF)
        return static_cast<connection*>(BIO_get_data(bio))->hung_up_ ? 1 : 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/// As recv, without asking the kernel where it is known to have nothing (errno is EAGAIN then).
ssize_t connection::receive(void* into, std::size_t size) {
    if (!readable_) {
        errno = EAGAIN;
        return -1;
    }
    const auto count = ::recv(socket_, into, size, 0);
    // A short count means that the queue is empty; what comes then makes a new edge.
    if (!hung_up_ && (count < 0 || static_cast<std::size_t>(count) < size))
        readable_ = false;
    return count;
}

std::size_t connection::send(std::span<const unsigned char> data, int flags) {
    const auto sent = ::send(socket_, data.data(), data.size(), MSG_NOSIGNAL | flags);
    if (sent < 0 && errno != EAGAIN)
        throw_errno("send");
    const auto count = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    writable_ = count == data.size();
    return count;
}

/// Sends what OpenSSL wrote; false when a rest has to wait.
bool connection::transmit(int flags) {
    auto& output = owner_.output_;
    if (output.empty())
        return true;
    const auto sent = send(output, flags);
    if (sent < output.size())
        unsent_.assign(output.begin() + static_cast<std::ptrdiff_t>(sent), output.end());
    output.clear();
    return unsent_.empty();
}

/// Sends the rest; false when the socket does not take it all.
bool connection::flush() {
    if (!unsent_.empty() && writable_)
        unsent_.erase(unsent_.begin(),
                      unsent_.begin() + static_cast<std::ptrdiff_t>(send(unsent_, 0)));
    return unsent_.empty() && writable_;
}

void connection::fail(const char* what, int result) const {
    const int error = errno;
    std::string text = what;
    if (const auto code = ERR_peek_error(); code != 0) {
        std::array<char, 256> reason{};
        ERR_error_string_n(code, reason.data(), reason.size());
        text += std::string(" failed: ") + reason.data();
    } else if (hung_up_ && (error == 0 || error == EAGAIN)) {
        text += ": the server closed the connection";
    } else if (ssl_ && SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN) {
        text += ": the server sent close_notify";
    } else {
        text += " failed: " + std::system_category().message(error);
    }
    throw std::runtime_error(text);
}

} // namespace load
