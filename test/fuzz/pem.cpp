// SPDX-License-Identifier: MIT
// Certificates and keys as PEM: by the loader alone, and by whole contexts.
#include "support.hpp"

#include <ringtls/tls/client_context.hpp>
#include <ringtls/tls/server_context.hpp>

#include <tls/certificate_reader.hpp>
#include <tls/pem_loader.hpp>

#include <string>

namespace ringtls::fuzz {
namespace {

pem pem_of(std::span<const std::uint8_t> content) {
    return pem::text(std::string(text(content)));
}

/// The first text behind its length, the second after it.
void load(input all) {
    const unsigned how = all.byte();
    const auto first = pem_of(all.take(all.number()));
    const auto second = pem_of(all.rest());
    switch (how % 4) {
    case 0:
        for (const auto& each : detail::load_certificates(first, "certificate"))
            check_printable(detail::read_certificate(*each).subject);
        return;
    case 1:
        static_cast<void>(detail::load_private_key(first));
        return;
    case 2: {
        const server_context made(
            server_settings(identity(first, second)).require_client_certificate(first));
        return;
    }
    case 3: {
        const client_context made(
            client_settings().trust(first).identify_as(identity(first, second)));
        return;
    }
    }
}

} // namespace
} // namespace ringtls::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ringtls::fuzz::reset_openssl();
    try {
        ringtls::fuzz::load({data, size});
    } catch (const ringtls::error& failure) {
        ringtls::fuzz::check_error(failure);
    }
    return 0;
}
