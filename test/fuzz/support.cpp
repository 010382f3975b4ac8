// SPDX-License-Identifier: MIT
#define OPENSSL_SUPPRESS_DEPRECATED // RAND_METHOD: the simplest way to fixed randomness
#include "support.hpp"

#include <ringtls/tls/self_signed.hpp>

#include <tls/failure.hpp>
#include <tls/pem_loader.hpp>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace ringtls::fuzz {
namespace {

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
class generator {
  public:
    explicit generator(std::uint64_t seed) noexcept : state_(seed) {}

    void fill(std::span<unsigned char> into) noexcept {
        for (auto& each : into)
            each = static_cast<unsigned char>(next() >> 56);
    }

  private:
    std::uint64_t next() noexcept {
        state_ += 0x9e3779b97f4a7c15;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

    std::uint64_t state_;
};

struct randomness {
    generator ours{1};
    generator peers{2};
    bool is_peers = false;
};
randomness random_state;

int draw(unsigned char* into, int size) {
    auto& source = random_state.is_peers ? random_state.peers : random_state.ours;
    source.fill(std::span(into, static_cast<std::size_t>(size)));
    return 1;
}
int always_ready() {
    return 1;
}

/// libFuzzer takes a change here for new coverage: OpenSSL's own code has none to show.
[[gnu::section("__libfuzzer_extra_counters")]] std::array<std::uint8_t, 4096> features;

identity make_identity() {
    reset_openssl();
    const std::array names = {std::string("localhost")};
    const auto made = self_signed(names);
    const auto all = detail::load_certificates(made.chain, "certificate");
    const auto key = detail::load_private_key(made.key);
    X509* const certificate = all.front().get();
    detail::check_openssl(
        ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), "20000101000000Z"), "time");
    detail::check_openssl(
        ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), "20991231235959Z"), "time");
    reset_openssl(); // signing anew: what the signature of self_signed() drew depends on the time
    detail::check_openssl(X509_sign(certificate, key.get(), EVP_sha256()), "X509_sign");
    const detail::bio_handle out(BIO_new(BIO_s_mem()));
    detail::check_openssl(PEM_write_bio_X509(out.get(), certificate), "PEM_write_bio_X509");
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);
    return {pem::text(std::string(text, static_cast<std::size_t>(size))), made.key};
}

} // namespace

void require(bool kept, std::string_view promise) {
    if (kept)
        return;
    std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(promise.size()),
                 promise.data());
    std::abort();
}

void check_error(const error& failure) {
    require(static_cast<bool>(failure.code()), "an error has a code");
    require(!std::string_view(failure.what()).empty(), "an error has a text");
    require(!failure.code().message().empty(), "an error's code has a text");
    require(!failure.operation().empty(), "an error names its operation");
    features[static_cast<unsigned>(failure.code().value()) * 31U % features.size()] = 1;
}

void check_printable(std::string_view text) {
    require(std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; }),
            "a certificate's text can be printed");
}

void reset_openssl() {
    static const RAND_METHOD method = {nullptr, draw, nullptr, nullptr, draw, always_ready};
    static const int installed =
        detail::check_openssl(RAND_set_rand_method(&method), "RAND_set_rand_method");
    static_cast<void>(installed);
    random_state = randomness();
    ERR_clear_error();
}

as_peer::as_peer() noexcept {
    random_state.is_peers = true;
}
as_peer::~as_peer() {
    random_state.is_peers = false;
}

const identity& fixed_identity() {
    static const identity one = make_identity();
    return one;
}

} // namespace ringtls::fuzz
