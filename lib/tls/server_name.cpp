// SPDX-License-Identifier: MIT
#include "server_name.hpp"

#include "failure.hpp"

#include <arpa/inet.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <memory>

namespace ringtls::detail {
namespace {

[[noreturn]] void refuse(const std::string& name) {
    auto details = std::make_shared<error_details>();
    details->subject = "\"" + name + "\"";
    if (std::any_of(name.begin(), name.end(), [](unsigned char c) { return c >= 0x80; }))
        details->reason = "an international name goes in its ASCII form, \"xn--...\" (RFC 5891)";
    throw error(errc::invalid_name, "server_name", std::move(details));
}

bool in_host_name(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

struct ip_address {
    std::array<unsigned char, sizeof(in6_addr)> raw{};
    std::size_t size = 0; ///< 0: it is none
};

/// OpenSSL's own reading of one stops at the first space.
ip_address ip_in(const std::string& name) {
    ip_address ip;
    if (name.find('\0') != std::string::npos)
        return ip;
    if (inet_pton(AF_INET, name.c_str(), ip.raw.data()) == 1)
        ip.size = sizeof(in_addr);
    else if (inet_pton(AF_INET6, name.c_str(), ip.raw.data()) == 1)
        ip.size = sizeof(in6_addr);
    return ip;
}

/// RFC 9525: names are found in subjectAltName alone, and a wildcard is a whole label.
void require_host(X509_VERIFY_PARAM* rules, const std::string& name) {
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    check_openssl(X509_VERIFY_PARAM_set1_host(rules, name.data(), name.size()),
                  "X509_VERIFY_PARAM_set1_host", name);
}

} // namespace

bool is_host_name(const std::string& name) {
    if (name.empty() || name.size() > 253 || !std::all_of(name.begin(), name.end(), in_host_name))
        return false;
    for (std::size_t begin = 0; begin <= name.size();) {
        const auto end = std::min(name.find('.', begin), name.size());
        if (end == begin || end - begin > 63)
            return false;
        begin = end + 1;
    }
    return true;
}

void set_server_name(SSL* ssl, std::string name, bool verified) {
    X509_VERIFY_PARAM* const rules = SSL_get0_param(ssl);
    if (const auto ip = ip_in(name); ip.size > 0) {
        if (verified)
            check_openssl(X509_VERIFY_PARAM_set1_ip(rules, ip.raw.data(), ip.size),
                          "X509_VERIFY_PARAM_set1_ip", name);
        return;
    }
    if (name.ends_with('.'))
        name.pop_back();
    if (!is_host_name(name))
        refuse(name);
    if (verified)
        require_host(rules, name);
    check_openssl(SSL_set_tlsext_host_name(ssl, name.c_str()), "SSL_set_tlsext_host_name", name);
}

} // namespace ringtls::detail
