// SPDX-License-Identifier: MIT
#include <ringtls/tls/stream.hpp>

#include <ringtls/tls/byte_stream.hpp>

#include "connection.hpp"
#include "exporter.hpp"
#include "failure.hpp"

#include <memory>
#include <string>
#include <system_error>

namespace ringtls {

using call = stream_operation::call;

namespace {

void check(std::span<const std::byte> already_read) {
    if (already_read.size() <= stream::already_read_bound)
        return;
    auto details = std::make_shared<error_details>();
    details->reason = std::to_string(already_read.size()) + " bytes already read";
    throw error(std::make_error_code(std::errc::message_size), "stream", std::move(details));
}

std::unique_ptr<byte_stream> present(std::unique_ptr<byte_stream> transport) {
    if (transport)
        return transport;
    auto details = std::make_shared<error_details>();
    details->reason = "there is no byte_stream";
    throw error(std::make_error_code(std::errc::invalid_argument), "stream", std::move(details));
}

} // namespace

stream::stream(socket transport, const client_context& context, std::string_view server_name,
               std::span<const std::byte> already_read) {
    if (server_name.empty())
        throw error(errc::invalid_name, "stream");
    check(already_read);
    connection_ = std::make_unique<detail::connection>(std::move(transport), context.shared(),
                                                       std::string(server_name));
    connection_->tls().socket().begin_with(already_read);
}

stream::stream(socket transport, const server_context& context,
               std::span<const std::byte> already_read) {
    check(already_read);
    connection_ =
        std::make_unique<detail::connection>(std::move(transport), context.shared(), std::string());
    connection_->tls().socket().begin_with(already_read);
}

stream::stream(std::unique_ptr<byte_stream> transport, const client_context& context,
               std::string_view server_name) {
    if (server_name.empty())
        throw error(errc::invalid_name, "stream");
    connection_ = std::make_unique<detail::connection>(present(std::move(transport)),
                                                       context.shared(), std::string(server_name));
}

stream::stream(std::unique_ptr<byte_stream> transport, const server_context& context)
    : connection_(std::make_unique<detail::connection>(present(std::move(transport)),
                                                       context.shared(), std::string())) {}

stream::stream(stream&& other) noexcept = default;
stream& stream::operator=(stream&& other) noexcept = default;
stream::~stream() = default;

void stream::make_detachable() {
    connection_->tls().receive_exactly();
}

socket stream::detach() {
    auto detached = connection_->detach();
    connection_.reset();
    return detached;
}

void stream::resume(const ringtls::session& with) {
    connection_->tls().resume(*with.state());
}

handshake_operation stream::handshake() {
    return {*connection_, call::handshake};
}

read_operation stream::read(std::span<std::byte> into) {
    return {*connection_, call::read, into};
}

read_exactly_operation stream::read_exactly(std::span<std::byte> into) {
    return {*connection_, call::read_exactly, into};
}

readable_operation stream::readable() {
    return {*connection_, call::readable};
}

write_operation stream::write(std::span<const std::byte> from) {
    return {*connection_, from};
}

write_operation stream::write(std::string_view from) {
    return {*connection_, std::as_bytes(std::span(from))};
}

write_operation stream::write(std::span<const std::span<const std::byte>> from) {
    return {*connection_, from};
}

write_operation stream::write(replayable from) {
    return {*connection_, from};
}

read_early_operation stream::read_early(std::span<std::byte> into) {
    return {*connection_, call::read_early, into};
}

close_write_operation stream::close_write() {
    return {*connection_, call::close_write};
}

shutdown_operation stream::shutdown() {
    return {*connection_, call::shutdown};
}

key_update_operation stream::key_update(key_update_request request) {
    return {*connection_, request};
}

void stream::limit_waits(loop_clock::duration reading, loop_clock::duration writing) noexcept {
    connection_->limit_waits(reading, writing);
}

connection_info stream::info() const {
    return connection_->tls().info();
}

bool stream::resumed() const noexcept {
    return connection_->tls().resumed();
}

early_data_status stream::early_data() const noexcept {
    return connection_->tls().early_data();
}

std::optional<ringtls::session> stream::session() const {
    auto state = connection_->tls().session();
    return state ? std::optional(ringtls::session(std::move(state))) : std::nullopt;
}

secret_bytes stream::export_key(std::string_view label, std::size_t size,
                                std::optional<std::span<const std::byte>> context) const {
    return detail::export_key(established("export_key"), label, size, context);
}

std::vector<std::byte> stream::channel_binding(channel_binding_type type) const {
    return detail::channel_binding(established("channel_binding"), type);
}

stream_counters stream::counters() const noexcept {
    return connection_->tls().socket().counters();
}

address stream::peer_address() const {
    return connection_->peer_address();
}

event_loop& stream::loop() const noexcept {
    return connection_->carrier().loop();
}

ssl_st* stream::established(std::string_view operation) const {
    if (!connection_->tls().established())
        throw error(errc::not_available, operation);
    return connection_->tls().native();
}

ssl_st* stream::native_handle() const noexcept {
    return connection_->tls().native();
}

} // namespace ringtls
