// SPDX-License-Identifier: MIT
// All of ringtls.
#pragma once

#include <ringtls/base/error.hpp>
#include <ringtls/base/result.hpp>
#include <ringtls/coro/as_result.hpp>
#include <ringtls/coro/task.hpp>
#include <ringtls/coro/when_all.hpp>
#include <ringtls/loop/event_loop.hpp>
#include <ringtls/loop/file_watcher.hpp>
#include <ringtls/net/address.hpp>
#include <ringtls/net/connect.hpp>
#include <ringtls/net/listener.hpp>
#include <ringtls/net/resolver.hpp>
#include <ringtls/net/socket.hpp>
#include <ringtls/tls/certificate.hpp>
#include <ringtls/tls/channel_binding.hpp>
#include <ringtls/tls/client_context.hpp>
#include <ringtls/tls/client_hello.hpp>
#include <ringtls/tls/connect.hpp>
#include <ringtls/tls/connection_info.hpp>
#include <ringtls/tls/context_reloader.hpp>
#include <ringtls/tls/counters.hpp>
#include <ringtls/tls/decisions.hpp>
#include <ringtls/tls/pem.hpp>
#include <ringtls/tls/pkcs12.hpp>
#include <ringtls/tls/replayable.hpp>
#include <ringtls/tls/secret.hpp>
#include <ringtls/tls/self_signed.hpp>
#include <ringtls/tls/server_context.hpp>
#include <ringtls/tls/server_names.hpp>
#include <ringtls/tls/session.hpp>
#include <ringtls/tls/stream.hpp>
#include <ringtls/tls/ticket_keys.hpp>
#include <ringtls/tls/trust.hpp>
#include <ringtls/version.hpp>
