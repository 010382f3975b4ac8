// SPDX-License-Identifier: MIT
// Settings that the samples have no options for, against other people's programs:
//
//   tls_probe client PORT SETTING=VALUE...  shakes hands with localhost, says with what, and closes
//   tls_probe server SETTING=VALUE...       the same with whoever comes, one after the other
#include <ringtls/ringtls.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using ringtls::pem;
using ringtls::task;

constexpr auto patience = 20s;

struct setting {
    std::string name;
    std::string value;
};

std::vector<std::string> split(std::string text, char separator) {
    std::vector<std::string> parts;
    for (auto at = text.find(separator); at != std::string::npos; at = text.find(separator)) {
        parts.push_back(text.substr(0, at));
        text.erase(0, at + 1);
    }
    parts.push_back(std::move(text));
    return parts;
}

std::vector<setting> settings_in(std::span<char*> words) {
    std::vector<setting> all;
    for (const std::string word : words) {
        const auto end = word.find('=');
        all.push_back({word.substr(0, end), end == std::string::npos ? "" : word.substr(end + 1)});
    }
    return all;
}

ringtls::passphrase_callback answering(std::string passphrase) {
    return [passphrase = std::move(passphrase)](std::string_view) { return passphrase; };
}

/// CERTIFICATE,KEY or CERTIFICATE,KEY,PASSPHRASE or BUNDLE.p12,PASSPHRASE
ringtls::identity identity_of(const std::string& value) {
    auto parts = split(value, ',');
    if (parts.at(0).ends_with(".p12"))
        return ringtls::pkcs12_file(parts[0], answering(parts.at(1)));
    return {pem::file(parts.at(0)), pem::file(parts.at(1)),
            parts.size() > 2 ? answering(parts[2]) : nullptr};
}

/// What clients and servers both have; false if it is none of that.
template<class Settings>
bool apply(Settings& to, const setting& each) {
    const auto& [name, value] = each;
    if (name == "ca")
        to.trust(pem::file(value));
    else if (name == "ca-directory")
        to.trust_directory(value);
    else if (name == "crl")
        to.check_revocation(pem::file(value));
    else if (name == "pin")
        to.pin_certificate(value);
    else if (name == "key-pin")
        to.pin_public_key(value);
    else if (name == "depth")
        to.verify_depth(static_cast<unsigned>(std::stoul(value)));
    else if (name == "preset")
        to.preset(value == "modern" ? ringtls::tls_preset::modern
                                    : ringtls::tls_preset::intermediate);
    else if (name == "groups")
        to.groups(value);
    else if (name == "signature-algorithms")
        to.signature_algorithms(value);
    else
        return false;
    return true;
}

[[noreturn]] void refuse(const setting& unknown) {
    throw std::invalid_argument("no setting " + unknown.name);
}

ringtls::client_settings client_with(const std::vector<setting>& all) {
    ringtls::client_settings made;
    for (const auto& each : all) {
        if (each.name == "identity")
            made.identify_as(identity_of(each.value));
        else if (!apply(made, each))
            refuse(each);
    }
    return made;
}

/// The first setting is the identity.
ringtls::server_settings server_with(const std::vector<setting>& all) {
    ringtls::server_settings made(identity_of(all.at(0).value));
    for (const auto& each : std::span(all).subspan(1)) {
        if (each.name == "identity")
            made.also_identify_as(identity_of(each.value));
        else if (each.name == "request-client-certificate")
            made.request_client_certificate();
        else if (each.name == "require-client-certificate")
            made.require_client_certificate();
        else if (!apply(made, each))
            refuse(each);
    }
    return made;
}

void tell(const ringtls::connection_info& info) {
    std::cout << info.protocol << ' ' << info.cipher << " group=" << info.group;
    if (info.peer)
        std::cout << " peer=" << info.peer->subject << " serial=" << info.peer->serial
                  << " key=" << info.peer->key_type << info.peer->key_bits;
    std::cout << std::endl;
}

task<> call(ringtls::event_loop& loop, const ringtls::client_context& tls, std::uint16_t port) {
    auto made = co_await ringtls::connect(loop, tls, "localhost", port).within(patience);
    // A server of TLS 1.3 judges our certificate only now.
    co_await made.close_write().within(patience);
    std::vector<std::byte> buffer(4096);
    for (std::size_t count = 1; count > 0;)
        count = co_await made.read(buffer).within(patience);
    tell(made.info());
}

task<> answer(ringtls::stream peer) {
    try {
        co_await peer.handshake().within(patience);
        tell(peer.info());
        co_await peer.shutdown().within(patience);
    } catch (const ringtls::error& failure) {
        std::cout << failure.what() << std::endl;
    }
}

task<> answer_all(ringtls::event_loop& loop, const ringtls::server_context& tls) {
    auto listener = ringtls::listener::bind(loop, ringtls::address("127.0.0.1", 0));
    std::cout << "listening on " << listener.local_address().to_string() << std::endl;
    for (;;) {
        auto socket = co_await listener.accept();
        co_await answer(ringtls::stream(std::move(socket), tls));
    }
}

} // namespace

int main(int argc, char** argv) {
    const std::span<char*> words(argv, static_cast<std::size_t>(argc));
    try {
        ringtls::event_loop loop;
        if (argc > 2 && words[1] == std::string_view("client")) {
            const ringtls::client_context tls(client_with(settings_in(words.subspan(3))));
            loop.run(call(loop, tls, static_cast<std::uint16_t>(std::stoul(words[2]))));
        } else if (argc > 2 && words[1] == std::string_view("server")) {
            const ringtls::server_context tls(server_with(settings_in(words.subspan(2))));
            loop.run(answer_all(loop, tls));
        } else {
            return 2;
        }
    } catch (const std::exception& failure) {
        std::cerr << "tls_probe: " << failure.what() << '\n';
        return 1;
    }
}
