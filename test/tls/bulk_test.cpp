// SPDX-License-Identifier: MIT
// A great many bytes each way at the same time, compared by their SHA-256. RINGTLS_BULK_MIB says
// how many MiB; 1024 unless set.
#include "../support/loopback.hpp"

#include <openssl/evp.h>

#include <cstdlib>
#include <cstring>
#include <memory>

namespace ringtls {
namespace {

using test::bytes;

class digest {
  public:
    digest() { REQUIRE(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1); }
    void add(std::span<const std::byte> more) {
        REQUIRE(EVP_DigestUpdate(context_.get(), more.data(), more.size()) == 1);
    }
    std::string finish() {
        std::string all(32, ' ');
        REQUIRE(EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(all.data()),
                                   nullptr) == 1);
        return all;
    }

  private:
    struct free_context {
        void operator()(EVP_MD_CTX* of) const { EVP_MD_CTX_free(of); }
    };
    std::unique_ptr<EVP_MD_CTX, free_context> context_{EVP_MD_CTX_new()};
};

/// Fills with what a generator (xorshift64) goes on with; as fast as it can be.
void fill(std::span<std::byte> all, std::uint64_t& state) {
    for (std::size_t i = 0; i + sizeof state <= all.size(); i += sizeof state) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        std::memcpy(all.data() + i, &state, sizeof state);
    }
}

std::uint64_t total() {
    const char* const asked = std::getenv("RINGTLS_BULK_MIB");
    return (asked ? std::strtoull(asked, nullptr, 10) : 1024) << 20;
}

task<> send(stream& to, std::uint64_t size, std::uint64_t seed, std::string& hash) {
    digest sent;
    bytes block(1 << 18);
    for (std::uint64_t left = size; left > 0; left -= block.size()) {
        fill(block, seed);
        sent.add(block);
        co_await to.write(block);
    }
    hash = sent.finish();
    co_await to.close_write();
}

task<> receive(stream& from, std::uint64_t& size, std::string& hash) {
    digest received;
    bytes block(65536);
    for (;;) {
        const auto count = co_await from.read(block);
        if (count == 0)
            break;
        received.add(std::span(block).first(count));
        size += count;
    }
    hash = received.finish();
}

} // namespace

TEST_CASE("bulk data both ways at the same time arrives as it was sent") {
    const auto size = total();
    test::loopback link(test::variants[2]);
    std::array<std::string, 4> hash;
    std::array<std::uint64_t, 2> got{};
    test::run_all(link.loop, send(link.client, size, 0x0123456789abcdef, hash[0]),
                  receive(link.server, got[0], hash[1]),
                  send(link.server, size, 0xfedcba9876543210, hash[2]),
                  receive(link.client, got[1], hash[3]));
    MESSAGE("MiB each way: " << (size >> 20));
    CHECK(got[0] == size);
    CHECK(got[1] == size);
    CHECK(hash[0] == hash[1]);
    CHECK(hash[2] == hash[3]);
    CHECK(hash[0] != hash[2]);
}

} // namespace ringtls
