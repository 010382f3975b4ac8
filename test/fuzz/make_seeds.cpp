// SPDX-License-Identifier: MIT
// Writes the seeds of every target: make_seeds DIRECTORY. A recording is replayed at once, for one
// that this OpenSSL does not understand is no seed.
#include "replay.hpp"
#include "script.hpp"

#include <tls/openssl_handles.hpp>
#include <tls/pem_loader.hpp>
#include <tls/session.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace ringtls::fuzz {
namespace {

std::filesystem::path top;

/// TLS_AES_128_GCM_SHA256 (RFC 8446, appendix B.4).
constexpr unsigned char raw_suite[] = {0x13, 0x01};

void save(const std::string& target, const std::string& name, std::string_view content) {
    std::filesystem::create_directories(top / target);
    std::ofstream out(top / target / name, std::ios::binary);
    out << content << std::flush;
    require(out.good(), "seeds can be written");
}

/// Numbers as bytes.
template<class... Byte>
std::string raw(Byte... each) {
    return {static_cast<char>(each)...};
}
std::string number(std::size_t value) {
    return raw(value >> 8, value);
}
std::string payload(const std::string& content) {
    return raw(content.size()) + content;
}
/// A deed with a turn of the loop after it.
template<class... Byte>
std::string act(deed what, Byte... arguments) {
    return raw(0x40 | static_cast<int>(what), arguments...);
}

/// Established, with a reader.
std::string begin(manner how, bool small_buffer) {
    return raw(static_cast<int>(how) | (small_buffer ? 4 : 0)) + act(deed::keep_reading) +
           act(deed::converse, 4);
}

/// Of what TLS 1.2 answers each time when it refuses: HelloRequest, and an empty ClientHello.
void save_floods(const std::string& narrow) {
    for (const int message : {0, 1}) {
        auto flood = narrow;
        for (int i = 0; i < 8; ++i) {
            flood += act(deed::flood, 22, 0) + number(9999) + payload(raw(message, 0, 0, 0));
            for (int j = 0; j < 4; ++j)
                flood += act(deed::forward_all);
        }
        save("script", "handshake-flood-" + std::to_string(message), flood);
    }
}

void save_scripts(manner how) {
    const auto suffix = "-" + std::to_string(static_cast<int>(how));
    const auto save_script = [&](const std::string& name, const std::string& content) {
        save("script", name + suffix, content);
    };
    const auto open = begin(how, false);
    const auto narrow = begin(how, true);
    save_script("echo", open + act(deed::peer_write) + number(1000) + act(deed::converse, 2) +
                            act(deed::write, 0) + number(2000) + act(deed::converse, 3) +
                            act(deed::write_pieces, 0) + number(300) + act(deed::converse, 3) +
                            act(deed::shutdown, 0) + act(deed::peer_closes) +
                            act(deed::converse, 3));
    save_script("full-buffer", narrow + act(deed::write, 0) + number(60000) +
                                   act(deed::peer_write) + number(1000) +
                                   act(deed::peer_updates_keys, 3, 1) + act(deed::forward_all) +
                                   act(deed::converse, 9) + act(deed::close_write, 0));
    save_script("cut-short", narrow + act(deed::write, 1) + number(60000) +
                                 act(deed::advance_clock, 1) + act(deed::write, 2) + number(100) +
                                 act(deed::request_stop) + act(deed::key_update, 0, 1) +
                                 act(deed::converse, 9) + act(deed::destroy_call) +
                                 act(deed::move_stream) + act(deed::destroy_stream));
    save_script("raw-bytes", raw(static_cast<int>(how)) + act(deed::handshake, 0) +
                                 act(deed::send_raw) + payload(raw(22, 3, 3, 0, 4, 0, 0, 0, 0)));
    save_script("close-first", raw(static_cast<int>(how)) + act(deed::send_raw) +
                                   payload(raw(21, 3, 3, 0, 2, 1, 0)) + act(deed::keep_reading) +
                                   act(deed::converse, 4) + act(deed::peer_write) + number(100) +
                                   act(deed::converse, 4));
    save_script("gone-after-close", open + act(deed::peer_closes) + act(deed::converse, 2) +
                                        act(deed::reset) + act(deed::write, 0) + number(100));
    save_script("corrupted", raw(static_cast<int>(how)) + act(deed::handshake, 0) +
                                 act(deed::exchange) + act(deed::corrupt) + number(60) + raw(1) +
                                 act(deed::forward_all) + act(deed::converse, 4));
    save_script("pieces", raw(static_cast<int>(how)) + act(deed::read_exactly, 0) + number(10) +
                              act(deed::exchange) + act(deed::forward) + number(3) +
                              act(deed::forward) + number(40) + act(deed::drop) + number(9) +
                              raw(2) + act(deed::insert) + number(7) + payload("abc") +
                              act(deed::repeat) + number(5) + number(20) + act(deed::converse, 4));
    save_script("forged-data", open + act(deed::forge, 23, 0) + payload("forged") +
                                   act(deed::forge, 23, 9) + payload("") + act(deed::readable, 0) +
                                   act(deed::forward_all) + act(deed::reset));
    save_script("forged-alert", open + act(deed::forge, 21, 0) + payload(raw(1, 90)) +
                                    act(deed::forge, 21, 0) + payload(raw(2, 40)) +
                                    act(deed::forward_all) + act(deed::finish_sending));
    save_script("forged-ticket",
                open + act(deed::forge, 22, 0) +
                    payload(raw(4, 0, 0, 15, 0, 0, 0, 9, 1, 2, 3, 4, 1, 7, 0, 2, 5, 6, 0, 0)) +
                    act(deed::forward_all));
    save_script("unknown-type",
                open + act(deed::forge, 99, 0) + payload("?") + act(deed::forward_all));
    save_script("hello-again", open + act(deed::peer_renegotiates) + act(deed::write, 0) +
                                   number(500) + act(deed::peer_write) + number(500) +
                                   act(deed::converse, 9));
    save_script("key-flood", open + act(deed::peer_updates_keys, 101, 0) + act(deed::peer_write) +
                                 number(5) + act(deed::forward_all) + act(deed::forward_all));
    if (how == manner::tls_1_2)
        save_floods(narrow);
}

void save_recordings() {
    for (int head = 0; head < 2 * manners; ++head) {
        const auto made = record(static_cast<std::uint8_t>(7 << 3 | head));
        const auto* const data = reinterpret_cast<const std::uint8_t*>(made.data());
        const auto read = replay({data[0], {data + 1, made.size() - 1}});
        require(read == what_peer_writes, "a recording can be replayed");
        save("recording", std::to_string(head),
             {reinterpret_cast<const char*>(made.data()), made.size()});
    }
}

void save_certificates() {
    const auto& self = fixed_identity();
    const auto& chain = self.chain.content();
    for (const int how : {0, 2, 3})
        save("pem", "certificate-" + std::to_string(how),
             raw(how) + number(chain.size()) + chain + self.key.content());
    save("pem", "key", raw(1) + number(self.key.content().size()) + self.key.content());
    unsigned char* der = nullptr;
    const int size = i2d_X509(detail::load_certificates(self.chain, "seed").front().get(), &der);
    require(size > 0, "a certificate has a form");
    save("certificate", "self-signed",
         {reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
    OPENSSL_free(der);
}

/// An honest client's hello, and the session that comes of one.
void save_sessions() {
    const detail::ssl_ctx_handle client(SSL_CTX_new(TLS_client_method()));
    const detail::ssl_handle ssl(SSL_new(client.get()));
    BIO* const out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
    SSL_set_connect_state(ssl.get());
    static constexpr unsigned char protocols[] = {2, 'h', '2', 4, 'e', 'c', 'h', 'o'};
    require(SSL_set_tlsext_host_name(ssl.get(), "localhost") == 1 &&
                SSL_set_alpn_protos(ssl.get(), protocols, sizeof protocols) == 0,
            "a client can be made");
    require(SSL_do_handshake(ssl.get()) < 0, "a client waits for the server");
    const char* sent = nullptr;
    const auto size = BIO_get_mem_data(out, &sent);
    constexpr std::size_t header = 5; // the record's
    require(size > static_cast<long>(header), "a client speaks first");
    save("client_hello", "honest", {sent + header, static_cast<std::size_t>(size) - header});
    const detail::ssl_session_handle made(SSL_SESSION_new());
    require(SSL_SESSION_set_protocol_version(made.get(), TLS1_3_VERSION) == 1 &&
                SSL_SESSION_set_cipher(made.get(), SSL_CIPHER_find(ssl.get(), raw_suite)) == 1,
            "a session can be made");
    const session kept(std::make_shared<const detail::session_state>(
        detail::session_state{detail::copy_of(made.get()), "localhost", detail::session_scope{}}));
    const auto whole = kept.serialize();
    save("session", "empty",
         {reinterpret_cast<const char*>(whole.bytes().data()), whole.bytes().size()});
}

void save_names() {
    save("address", "parse-ipv4", raw(0) + "127.0.0.1:443");
    save("address", "parse-ipv6", raw(0) + "[::1]:443");
    save("address", "parse-zone", raw(0) + "[fe80::1%lo]:1");
    save("address", "parse-path", raw(0) + "unix:/run/x");
    save("address", "ip", raw(1) + number(443) + "::ffff:192.0.2.1");
    save("address", "path", raw(2) + "/run/x");
    save("address", "kernel", raw(3) + raw(2, 0, 1, 187, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0));
    save("server_name", "host", "www.example.org.");
    save("server_name", "ipv4", "192.0.2.1");
    save("server_name", "ipv6", "2001:db8::1");
}

} // namespace
} // namespace ringtls::fuzz

int main(int count, char** arguments) {
    using namespace ringtls::fuzz;
    if (count != 2) {
        std::fputs("usage: make_seeds DIRECTORY\n", stderr);
        return 2;
    }
    top = arguments[1];
    for (int how = 0; how < manners; ++how)
        save_scripts(static_cast<manner>(how));
    save_recordings();
    save_certificates();
    save_names();
    save_sessions();
    return 0;
}
