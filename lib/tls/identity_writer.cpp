// SPDX-License-Identifier: MIT
#include "identity_writer.hpp"

#include "failure.hpp"

#include <openssl/pem.h>

namespace ringtls::detail {

identity write_identity(std::span<X509* const> chain, const EVP_PKEY* key,
                        std::string_view operation) {
    const bio_handle certificates(check_openssl(BIO_new(BIO_s_mem()), operation));
    for (X509* const each : chain)
        check_openssl(PEM_write_bio_X509(certificates.get(), each), operation);
    // Secure memory is wiped when it is freed.
    const bio_handle hidden(check_openssl(BIO_new(BIO_s_secmem()), operation));
    check_openssl(
        PEM_write_bio_PrivateKey(hidden.get(), key, nullptr, nullptr, 0, nullptr, nullptr),
        operation);
    return {pem::text(text_in(certificates)), pem::text(text_in(hidden))};
}

} // namespace ringtls::detail
