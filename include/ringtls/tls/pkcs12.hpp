// SPDX-License-Identifier: MIT
// An identity out of a PKCS#12 bundle.
#pragma once

#include <ringtls/tls/pem.hpp>

#include <cstdint>
#include <span>
#include <string>

namespace [[gnu::visibility("default")]] ringtls {

/// Reads a certificate, its private key and the authorities between it and its root from a PKCS#12
/// bundle (RFC 7292), also called PFX: at once, with the key then in memory, not encrypted, until
/// the identity goes. Certificates that are not on the way from the first to its root are left out.
/// A null callback stands for an empty passphrase.
///
/// Throws error: errc::bad_passphrase, or errc::invalid_pem if it is no bundle, holds no key or no
/// certificate of it, or uses ciphers that OpenSSL has only in its legacy provider (RC2, RC4); with
/// the file as its subject. And what the callback throws.
[[nodiscard, gnu::visibility("default")]] identity
pkcs12_file(const std::string& path, const passphrase_callback& passphrase);
/// The same of a bundle in memory, which the caller may wipe afterwards.
[[nodiscard, gnu::visibility("default")]] identity
pkcs12_data(std::span<const std::uint8_t> bundle, const passphrase_callback& passphrase);

} // namespace ringtls
