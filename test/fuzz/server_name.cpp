// SPDX-License-Identifier: MIT
// The name that a client is given: an IP address, or a host's name that goes out as it is.
#include "support.hpp"

#include <ringtls/net/address.hpp>
#include <ringtls/tls/client_context.hpp>

#include <tls/openssl_handles.hpp>
#include <tls/server_name.hpp>

#include <cctype>
#include <string>

namespace ringtls::fuzz {
namespace {

bool in_host_name(unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
}

void check(SSL* ssl, const std::string& name) {
    const char* const sent = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!sent) {
        static_cast<void>(address(name, 0)); // throws unless it is one
        return;
    }
    require(name == sent || name == std::string(sent) + '.',
            "the name that is sent is the one given");
    require(std::ranges::all_of(std::string_view(sent), in_host_name),
            "a host name has no other bytes");
    const char* const required = X509_VERIFY_PARAM_get0_host(SSL_get0_param(ssl), 0);
    require(required && std::string_view(required) == sent, "the name that is sent is verified");
}

} // namespace
} // namespace ringtls::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ringtls;
    fuzz::reset_openssl();
    static const client_context context(client_settings().trust(fuzz::fixed_identity().chain));
    const std::string name(fuzz::text({data, size}));
    const detail::ssl_handle ssl(SSL_new(context.native_handle()));
    try {
        detail::set_server_name(ssl.get(), name, true);
    } catch (const error& failure) {
        fuzz::check_error(failure);
        return 0;
    }
    fuzz::check(ssl.get(), name);
    return 0;
}
