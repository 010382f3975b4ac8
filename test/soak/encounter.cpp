// SPDX-License-Identifier: MIT
#include "encounter.hpp"

#include "../support/loopback.hpp"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace ringtls::soak {
namespace {

/// Turns of the loop without any progress that are a hang. They do not wait for anything, and what
/// is missing may be up to the kernel, whose timers (TCP's) take many of them: each costs a
/// microsecond at least.
constexpr std::size_t hang = 2'000'000;

constexpr std::array<std::string_view, 2> names = {"client", "server"};

fate choose_fate(dice& by) {
    constexpr std::array weights = {55, 10, 8, 8, 6, 5, 4, 4}; // of each fate, in order
    auto at = static_cast<int>(by.below(100));
    std::size_t chosen = 0;
    while (at >= weights[chosen])
        at -= weights[chosen++];
    return static_cast<fate>(chosen);
}

std::string_view name_of(fate which) {
    switch (which) {
    case fate::peace:
        return "clean";
    case fate::refusal:
        return "refused";
    case fate::leaving:
        return "left";
    case fate::reset:
        return "reset";
    case fate::cut:
        return "cut";
    case fate::garbage:
        return "garbage";
    case fate::theft:
        return "bytes stolen";
    case fate::stranger:
        return "no TLS";
    }
    return {};
}

void set_option(int fd, int option, int value) {
    test::check_system(::setsockopt(fd, SOL_SOCKET, option, &value, sizeof value) == 0);
}

bool is_tcp(int fd) {
    int domain = 0;
    socklen_t size = sizeof domain;
    test::check_system(::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0);
    return domain != AF_UNIX;
}

void reset_on_close(int fd) {
    const linger at_once = {1, 0};
    test::check_system(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
}

std::vector<std::byte> noise(dice& by, std::size_t size) {
    std::vector<std::byte> made(size);
    for (auto& each : made)
        each = static_cast<std::byte>(by.roll());
    return made;
}

/// Bytes that no TLS peer sent, as many as fit.
void send_noise(int fd, dice& by) {
    auto bytes = noise(by, 1 + by.size(11));
    if (by.one_in(2)) { // at least it looks like a record
        constexpr std::array header = {std::byte{23}, std::byte{3}, std::byte{3}};
        std::copy_n(header.begin(), std::min(header.size(), bytes.size()), bytes.begin());
    }
    static_cast<void>(::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
}

/// OpenSSL answers key updates after its close_notify, too, and the peer waits until that has left.
void drop_arrivals(int fd) {
    std::array<std::byte, 4096> dropped;
    while (::recv(fd, dropped.data(), dropped.size(), MSG_DONTWAIT) > 0) {
    }
}

} // namespace

contexts::contexts()
    : distrusting(client_settings().trust(pem::file(test::pki("other-ca.pem")))),
      newest_only(test::serving().minimum_version(tls_version::tls_1_3)) {
    for (const int version : {0, 2, 3}) {
        for (const bool identified : {false, true}) {
            auto settings = test::trusting();
            if (version != 0)
                settings = test::only(settings,
                                      version == 2 ? tls_version::tls_1_2 : tls_version::tls_1_3);
            if (identified)
                settings.identify_as(test::named_identity("client"));
            clients.emplace_back(settings);
        }
    }
    for (const unsigned tickets : {0, 1, 2, 8}) {
        auto settings = test::serving().tickets(tickets);
        servers.emplace_back(settings);
        settings.require_client_certificate(pem::file(test::pki("ca.pem")));
        servers.emplace_back(settings);
    }
}

encounter::encounter(world& around, const contexts& with, std::uint64_t seed,
                     std::array<int, 2> fds)
    : world_(around),
      seed_(seed),
      luck_(~seed),
      tcp_(is_tcp(fds[0])),
      fate_(choose_fate(luck_)),
      refusal_(static_cast<refusal>(luck_.below(4))),
      version_(luck_.below(3)),
      updates_keys_(luck_.one_in(2)),
      size_bits_(6 + static_cast<unsigned>(luck_.below(13))),
      calm_(std::size_t{4} << luck_.below(8)),
      victim_(luck_.below(2)),
      due_(luck_.size(9)),
      severed_(due_ + 300),
      to_server_(luck_.roll()),
      to_client_(luck_.roll()),
      fds_(fds) {
    if (fate_ == fate::refusal && refusal_ == refusal::version)
        version_ = 1;
    shrink_send_buffers(fds);
    for (auto& each : lingers_)
        each = luck_.size(5);
    sides_[0] =
        std::make_unique<side>(world_, *this, luck_.roll(), plan(0), to_client_, to_server_);
    sides_[1] =
        std::make_unique<side>(world_, *this, luck_.roll(), plan(1), to_server_, to_client_);
    open_streams(with, fds);
}

side_plan encounter::plan(std::size_t which) {
    auto& by = luck_;
    side_plan plan;
    plan.name = names[which];
    plan.total = by.size(by.one_in(16) ? 22 : 19);
    plan.size_bits = size_bits_;
    plan.total = std::min(plan.total, std::size_t{32} << size_bits_);
    plan.rest_bits = static_cast<unsigned>(by.below(7));
    plan.shakes_hands = by.one_in(2);
    plan.updates_keys = updates_keys_;
    plan.shuts_down = by.one_in(4);
    // An answer to a key update that finds nobody would reset what is still under way.
    plan.leaves_early = !updates_keys_ && by.one_in(2);
    plan.calm = calm_;
    if (version_ > 0)
        plan.protocol = version_ == 1 ? "TLSv1.2" : "TLSv1.3";
    return plan;
}

/// So that writes wait, in the middle of records too. The kernel has its own least.
void encounter::shrink_send_buffers(std::array<int, 2> fds) {
    for (const int fd : fds) {
        if (!luck_.one_in(4))
            set_option(fd, SO_SNDBUF, 1 << (9 + luck_.below(7)));
    }
}

void encounter::open_streams(const contexts& with, std::array<int, 2> fds) {
    const bool refused = fate_ == fate::refusal;
    const bool no_certificate = refused && refusal_ == refusal::no_certificate;
    const bool needed = no_certificate || luck_.one_in(3);
    const bool identified = !no_certificate && (needed || luck_.one_in(3));
    const auto& client = refused && refusal_ == refusal::distrust
                             ? with.distrusting
                             : with.clients[2 * version_ + (identified ? 1 : 0)];
    const auto& server = refused && refusal_ == refusal::version
                             ? with.newest_only
                             : with.servers[2 * luck_.below(4) + (needed ? 1 : 0)];
    const bool wrong_name = refused && refusal_ == refusal::wrong_name;
    socket client_socket(world_.loop, fds[0]);
    socket server_socket(world_.loop, fds[1]);
    if (fate_ == fate::stranger)
        stranger_ =
            std::make_unique<socket>(std::move(victim_ == 0 ? client_socket : server_socket));
    if (fate_ != fate::stranger || victim_ != 0)
        sides_[0]->begin(std::make_unique<stream>(std::move(client_socket), client,
                                                  wrong_name ? "other.example" : "localhost"));
    if (fate_ != fate::stranger || victim_ != 1)
        sides_[1]->begin(std::make_unique<stream>(std::move(server_socket), server));
}

void encounter::turn() {
    ++turn_;
    for (const auto& each : sides_)
        each->turn();
    if (turn_ == due_ + 1)
        befall();
    if (turn_ > severed_ && fate_ != fate::peace && fate_ != fate::refusal)
        sever();
    for (std::size_t i = 0; i < sides_.size(); ++i) {
        auto& each = *sides_[i];
        if (!each.over() || each.gone())
            continue;
        if (!each.failure() && !each.leaves_early())
            drop_arrivals(fds_[i]);
        else if (lingers_[i]-- == 0)
            each.leave();
    }
    check_progress();
}

/// What was to happen to the victim happens.
void encounter::befall() {
    auto& victim = *sides_[victim_];
    const int fd = fds_[victim_];
    if (victim.gone() && !stranger_)
        return;
    befallen_ = fate_ != fate::peace;
    switch (fate_) {
    case fate::peace:
    case fate::refusal:
        return;
    case fate::reset:
        reset_on_close(fd);
        [[fallthrough]];
    case fate::leaving:
        victim.leave();
        return;
    case fate::cut:
        static_cast<void>(::shutdown(fd, static_cast<int>(luck_.below(3))));
        return;
    case fate::garbage:
        send_noise(fd, luck_);
        return;
    case fate::theft: {
        auto loot = noise(luck_, 1 + luck_.size(13));
        static_cast<void>(::recv(fd, loot.data(), loot.size(), MSG_DONTWAIT));
        return;
    }
    case fate::stranger:
        if (luck_.one_in(2))
            send_noise(fd, luck_);
        if (luck_.one_in(2))
            reset_on_close(fd);
        stranger_.reset();
        return;
    }
}

/// Whoever still waits, for bytes that will never come, is told.
void encounter::sever() {
    for (std::size_t i = 0; i < sides_.size(); ++i) {
        if (!sides_[i]->gone())
            static_cast<void>(::shutdown(fds_[i], SHUT_RDWR));
    }
}

bool encounter::over() const {
    return !stranger_ && std::ranges::all_of(sides_, [](const auto& each) { return each->over(); });
}

void encounter::conclude() {
    if (fate_ == fate::peace) {
        if (!sides_[0]->closed() || !sides_[1]->closed())
            broken("a clean end");
        if (const auto complaint = to_client_.complete(); !sides_[0]->deaf() && !complaint.empty())
            broken("to the client: " + complaint);
        if (const auto complaint = to_server_.complete(); !sides_[1]->deaf() && !complaint.empty())
            broken("to the server: " + complaint);
    }
    if (fate_ == fate::refusal)
        check_refusal();
    if (fate_ == fate::leaving && turn_ <= severed_)
        check_left_behind();
    world_.count.connection_ended(ending());
    world_.count.to_client += to_client_.received();
    world_.count.to_server += to_server_.received();
    ++world_.count.connections;
}

/// The side that refuses says why.
void encounter::check_refusal() const {
    const bool by_client = refusal_ == refusal::wrong_name || refusal_ == refusal::distrust;
    const auto& why = sides_[by_client ? 0 : 1]->failure();
    if (!why)
        broken("a refusal");
    if (by_client && (why->code() != errc::verify_failed || !why->verification()))
        broken(std::string("a refusal of the certificate: ") + why->what());
    if (!by_client && why->code().category() != openssl_category())
        broken(std::string("a refusal by the server: ") + why->what());
}

/// A unix socket keeps what it was given, whatever becomes of its peer; so what the socket of the
/// side that left had taken is read first.
void encounter::check_left_behind() const {
    const auto& written = victim_ == 0 ? to_server_ : to_client_;
    const auto& reader = *sides_[1 - victim_];
    const auto complaint = written.settled_arrived();
    if (!tcp_ && !reader.deaf() && reader.failure() && !complaint.empty())
        broken("what had arrived is read first: " + complaint);
}

std::string encounter::ending() const {
    if (fate_ == fate::peace)
        return sides_[0]->disturbances() + sides_[1]->disturbances() > 0 ? "clean though disturbed"
                                                                         : "clean";
    const bool unharmed = sides_[0]->closed() && sides_[1]->closed();
    return std::string(unharmed ? "clean before it could be " : "") + std::string(name_of(fate_));
}

void encounter::check_progress() {
    const auto now = sides_[0]->progress() + sides_[1]->progress();
    stalled_ = now == last_progress_ ? stalled_ + 1 : 0;
    last_progress_ = now;
    world_.count.longest_stall = std::max(world_.count.longest_stall, stalled_);
    if (stalled_ > hang && turn_ > severed_)
        broken("an end: it hangs");
}

bool encounter::may_fail(const error& why) const {
    const auto& code = why.code();
    const bool refused = fate_ == fate::refusal;
    if (!refused && !befallen_ && turn_ <= severed_)
        return false;
    if (fate_ == fate::peace || *why.what() == '\0')
        return false;
    return code == errc::truncated || code == std::errc::connection_reset ||
           code == std::errc::broken_pipe || code.category() == openssl_category() ||
           (refused && code == errc::verify_failed);
}

void encounter::report(const std::string& promise) const {
    const auto name = name_of(fate_);
    std::printf("connection seed %llu: broken: %s\n", static_cast<unsigned long long>(seed_),
                promise.c_str());
    std::printf("  %s, fate: %.*s%s, turn %zu\n", tcp_ ? "TCP" : "unix sockets",
                static_cast<int>(name.size()), name.data(), befallen_ ? ", befallen" : "", turn_);
    for (std::size_t i = 0; i < sides_.size(); ++i) {
        int unread = 0;
        if (!sides_[i]->gone())
            static_cast<void>(::ioctl(fds_[i], FIONREAD, &unread));
        std::printf("  %.*s: %s, %d bytes in its socket\n", static_cast<int>(names[i].size()),
                    names[i].data(), sides_[i]->state().c_str(), unread);
    }
}

} // namespace ringtls::soak
