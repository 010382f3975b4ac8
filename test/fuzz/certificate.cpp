// SPDX-License-Identifier: MIT
// A peer's certificate, as values.
#include "support.hpp"

#include <tls/certificate_reader.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ringtls;
    fuzz::reset_openssl();
    const auto* from = data;
    const detail::x509_handle parsed(d2i_X509(nullptr, &from, static_cast<long>(size)));
    if (!parsed)
        return 0;
    const auto read = detail::read_certificate(*parsed);
    fuzz::check_printable(read.subject);
    fuzz::check_printable(read.issuer);
    for (const auto& name : read.alternative_names)
        fuzz::check_printable(name);
    fuzz::require(read.fingerprint().size() == 95, "a fingerprint is 32 bytes");
    return 0;
}
