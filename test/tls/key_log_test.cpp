// SPDX-License-Identifier: MIT
// Keys are logged for those who ask, and for nobody else.
#include "../support/loopback.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace ringtls {
namespace {

using test::loopback;

using lines = std::vector<std::string>;

/// A directory of this test's own, which SSLKEYLOGFILE names a file in.
class key_log_file {
  public:
    explicit key_log_file(const std::string& name = "keys") {
        std::string path = std::filesystem::temp_directory_path() / "ringtls-XXXXXX";
        test::check_system(::mkdtemp(path.data()) != nullptr);
        directory_ = path;
        ::setenv("SSLKEYLOGFILE", (directory_ / name).c_str(), 1);
    }
    key_log_file(const key_log_file&) = delete;
    key_log_file& operator=(const key_log_file&) = delete;
    ~key_log_file() {
        ::unsetenv("SSLKEYLOGFILE");
        std::filesystem::remove_all(directory_);
    }

    [[nodiscard]] std::filesystem::path path() const { return directory_ / "keys"; }
    [[nodiscard]] lines read() const {
        std::ifstream in(path());
        lines all;
        for (std::string line; std::getline(in, line);)
            all.push_back(line);
        return all;
    }

  private:
    std::filesystem::path directory_;
};

auto into(lines& all) {
    return [&all](std::string_view line) { all.emplace_back(line); };
}

std::size_t with_prefix(const lines& all, const char* prefix) {
    return static_cast<std::size_t>(
        std::ranges::count_if(all, [&](const auto& line) { return line.starts_with(prefix); }));
}

} // namespace

TEST_CASE("both ends log the same secrets, a line each without its end") {
    lines client;
    lines server;
    {
        const loopback link(0, test::trusting().danger_log_keys(into(client)),
                            test::serving().danger_log_keys(into(server)));
    }
    std::ranges::sort(client);
    std::ranges::sort(server);
    CHECK(client == server);
    for (const char* kind : {"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_HANDSHAKE_TRAFFIC_SECRET ",
                             "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "})
        CHECK(with_prefix(client, kind) == 1);
    CHECK(std::ranges::none_of(
        client, [](const auto& line) { return line.find('\n') != std::string::npos; }));
    lines older;
    const loopback link(
        0, test::only(test::trusting(), tls_version::tls_1_2).danger_log_keys(into(older)));
    CHECK(older.size() == 1);
    CHECK(with_prefix(older, "CLIENT_RANDOM ") == 1);
}

TEST_CASE("a callback that throws harms no connection") {
    const loopback link(0, test::trusting().danger_log_keys(
                               [](std::string_view) { throw std::runtime_error("full"); }));
    CHECK(!link.client.info().protocol.empty());
}

TEST_CASE("SSLKEYLOGFILE is heeded only if that was asked for") {
    const key_log_file file;
    {
        const loopback link;
    }
    CHECK(!std::filesystem::exists(file.path()));
    lines told;
    for (std::size_t connections = 1; connections <= 2; ++connections) {
        const loopback link(
            0, test::trusting().danger_log_keys_to_sslkeylogfile().danger_log_keys(into(told)));
        CHECK(with_prefix(file.read(), "CLIENT_TRAFFIC_SECRET_0 ") == connections);
    }
    CHECK(told == file.read());
    struct stat made{};
    REQUIRE(::stat(file.path().c_str(), &made) == 0);
    CHECK((made.st_mode & 0777) == 0600);
    ::unsetenv("SSLKEYLOGFILE");
    const loopback link(0, test::trusting().danger_log_keys_to_sslkeylogfile());
    CHECK(file.read().size() == told.size());
}

TEST_CASE("a key log file that cannot be opened is the context's error") {
    const key_log_file file("no/such/directory");
    try {
        const client_context made(test::trusting().danger_log_keys_to_sslkeylogfile());
        FAIL("made");
    } catch (const error& refused) {
        CHECK(refused.code() == std::errc::no_such_file_or_directory);
        CHECK(refused.subject().ends_with("no/such/directory"));
    }
}

} // namespace ringtls
