// SPDX-License-Identifier: MIT
// Several tasks at once, of which the first to end decides.
#pragma once

#include <ringtls/base/error.hpp>
#include <ringtls/coro/stoppable_work.hpp>
#include <ringtls/coro/task.hpp>
#include <ringtls/coro/when_all.hpp>

#include <array>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace [[gnu::visibility("default")]] ringtls {

/// Which of several ended first, counted from 0, and its value: std::monostate for void.
template<class T>
struct first_ended {
    std::size_t index;
    detail::when_all_value<T> value;
};

namespace detail {

/// What the parts of a when_any share.
struct race {
    explicit race(const std::stop_token& parent) : stop(parent) {}

    /// True for the first to end, at which the others are told to stop.
    bool end(std::size_t index, std::exception_ptr thrown = nullptr) noexcept {
        if (winner)
            return false;
        winner = index;
        failure = std::move(thrown);
        stop.request_stop();
        return true;
    }

    /// Starts the parts; completes when all have ended.
    template<class Parts>
    [[nodiscard]] when_all_awaiter<Parts> run(Parts& parts) noexcept {
        return {&all, &parts};
    }
    /// Who was first, after that; throws what that threw.
    [[nodiscard]] std::size_t decided() const {
        if (failure)
            std::rethrow_exception(failure);
        return *winner;
    }

    when_all_state all;
    linked_stop stop;
    std::optional<std::size_t> winner; ///< none: not decided
    std::exception_ptr failure;        ///< the winner's, if it threw
};

template<class Work, class Value>
when_all_part run_racer(Work& work, race& in, std::size_t index, std::optional<Value>& place) {
    if (in.winner)
        co_return;
    try {
        if constexpr (std::is_void_v<work_value<Work>>) {
            co_await std::invoke(work, in.stop.token());
            place.emplace();
        } else {
            place.emplace(co_await std::invoke(work, in.stop.token()));
        }
    } catch (...) {
        in.end(index, std::current_exception());
        co_return;
    }
    if (!in.end(index))
        place.reset();
}

/// The place with this index, as a variant of them all.
template<class... Value, std::size_t... I>
std::variant<Value...> chosen(std::size_t index, std::tuple<std::optional<Value>...>& places,
                              std::index_sequence<I...> /*all*/) {
    std::optional<std::variant<Value...>> made;
    const auto take = [&]<std::size_t At>(std::in_place_index_t<At> at) {
        if (index == At)
            made.emplace(at, *std::move(std::get<At>(places)));
    };
    (take(std::in_place_index<I>), ...);
    return *std::move(made);
}

} // namespace detail

/// Runs work concurrently on this thread until the first of it ends, with a value or by throwing:
/// that decides. The others are told to stop, and awaited: when this completes, none is left.
///
/// Completes with a variant of the values, std::monostate for void, whose index() tells who was
/// first; throws what the first threw. What the others complete with or throw is dropped, so a
/// socket that is accepted in spite of the stop is closed. One that does not heed its token is
/// waited for all the same.
/// They start in order, at once; those behind one that has ended by then are not started.
/// Cancellation: a stop of the caller's is passed on; who ends first still decides. Destroying the
/// awaiting frame destroys all of them.
/// Lifetime: what is called is kept until the end, so a lambda that is a coroutine may capture.
/// Memory: a frame for each besides its own, one for all, and a stop state.
template<stoppable_work... Work>
    requires(sizeof...(Work) > 0)
[[nodiscard]] task<std::variant<detail::when_all_value<work_value<Work>>...>>
when_any(std::stop_token stop, Work... work) {
    std::tuple<std::optional<detail::when_all_value<work_value<Work>>>...> places;
    detail::race state(stop);
    auto parts = std::apply(
        [&](auto&... place) {
            std::size_t index = 0;
            return std::array<detail::when_all_part, sizeof...(Work)>{
                detail::run_racer(work, state, index++, place)...};
        },
        places);
    co_await state.run(parts);
    const auto first = state.decided();
    co_return detail::chosen(first, places, std::index_sequence_for<Work...>());
}

template<stoppable_work... Work>
    requires(sizeof...(Work) > 0)
[[nodiscard]] auto when_any(Work... work) {
    return when_any(std::stop_token(), std::move(work)...);
}

/// The same for any number of one type. Of none, nobody can be first: throws error with
/// std::errc::invalid_argument.
template<stoppable_work Work>
[[nodiscard]] task<first_ended<work_value<Work>>> when_any(std::stop_token stop,
                                                           std::vector<Work> work) {
    if (work.empty())
        throw error(std::make_error_code(std::errc::invalid_argument), "when_any");
    std::vector<std::optional<detail::when_all_value<work_value<Work>>>> places(work.size());
    detail::race state(stop);
    std::vector<detail::when_all_part> parts;
    parts.reserve(work.size());
    for (std::size_t i = 0; i < work.size(); ++i)
        parts.push_back(detail::run_racer(work[i], state, i, places[i]));
    co_await state.run(parts);
    const auto first = state.decided();
    co_return first_ended<work_value<Work>>{first, *std::move(places[first])};
}

template<stoppable_work Work>
[[nodiscard]] auto when_any(std::vector<Work> work) {
    return when_any(std::stop_token(), std::move(work));
}

} // namespace ringtls
