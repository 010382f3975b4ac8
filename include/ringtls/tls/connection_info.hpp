// SPDX-License-Identifier: MIT
// What a connection negotiated, and with whom.
#pragma once

#include <ringtls/tls/certificate.hpp>

#include <optional>
#include <string>

namespace [[gnu::visibility("default")]] ringtls {

/// Empty strings: not negotiated. Names are OpenSSL's, and IANA's for ciphers of TLS 1.3.
struct connection_info {
    std::string protocol;    ///< "TLSv1.3"
    std::string cipher;      ///< "TLS_AES_256_GCM_SHA384"
    std::string group;       ///< "x25519"; empty where the key exchange had none
    std::string alpn;        ///< RFC 7301
    std::string server_name; ///< RFC 6066, section 3: what the client asked for; of a resumed TLS
                             ///< 1.2 connection, what the server acknowledged when it was made
    std::string ja4;         ///< of the client; empty unless server_settings::fingerprint_clients()
    bool resumed = false;
    long verify_code = 0;            ///< X509_V_OK, or X509_V_ERR_...
    std::string verify_result;       ///< its text: "ok"
    std::optional<certificate> peer; ///< the other side's own, if it presented one
};

} // namespace ringtls
