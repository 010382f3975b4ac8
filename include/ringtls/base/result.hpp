// SPDX-License-Identifier: MIT
// A value or the error that kept it from being made: std::expected before C++23, only smaller.
#pragma once

#include <ringtls/base/error.hpp>

#include <optional>
#include <utility>
#include <variant>

namespace [[gnu::visibility("default")]] ringtls {

/// A T, or a ringtls::error. What as_result() gives in place of an exception.
///
/// Reading the value of a failed result, or the error of a good one, with * or error() is
/// undefined; value() throws the error instead.
template<class T>
class [[nodiscard]] result {
  public:
    using value_type = T;

    result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    result(ringtls::error failure) : state_(std::in_place_index<1>, std::move(failure)) {}

    [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    [[nodiscard]] T& operator*() & noexcept { return *std::get_if<0>(&state_); }
    [[nodiscard]] const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
    [[nodiscard]] T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
    [[nodiscard]] T* operator->() noexcept { return std::get_if<0>(&state_); }
    [[nodiscard]] const T* operator->() const noexcept { return std::get_if<0>(&state_); }

    /// The value; throws the error where there is none.
    [[nodiscard]] T& value() & {
        check();
        return **this;
    }
    [[nodiscard]] const T& value() const& {
        check();
        return **this;
    }
    [[nodiscard]] T&& value() && {
        check();
        return *std::move(*this);
    }

    [[nodiscard]] const ringtls::error& error() const noexcept { return *std::get_if<1>(&state_); }

  private:
    void check() const {
        if (!has_value())
            throw ringtls::error(error());
    }

    std::variant<T, ringtls::error> state_;
};

/// Success, or a ringtls::error.
template<>
class [[nodiscard]] result<void> {
  public:
    using value_type = void;

    result() noexcept = default;
    result(ringtls::error failure) : failure_(std::move(failure)) {}

    [[nodiscard]] bool has_value() const noexcept { return !failure_; }
    explicit operator bool() const noexcept { return has_value(); }

    /// Throws the error if there is one.
    void value() const {
        if (failure_)
            throw ringtls::error(*failure_);
    }

    [[nodiscard]] const ringtls::error& error() const noexcept { return *failure_; }

  private:
    std::optional<ringtls::error> failure_;
};

} // namespace ringtls
