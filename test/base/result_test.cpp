// SPDX-License-Identifier: MIT
#include <ringtls/base/result.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace {

using ringtls::errc;
using ringtls::error;
using ringtls::result;

result<int> failed() {
    return error(errc::truncated, "read", nullptr, 3);
}

} // namespace

TEST_CASE("A result made from a value holds it") {
    const result<int> good = 7;
    CHECK(good.has_value());
    CHECK(static_cast<bool>(good));
    CHECK(*good == 7);
    CHECK(good.value() == 7);
}

TEST_CASE("A result made from an error holds it") {
    const auto bad = failed();
    CHECK_FALSE(bad.has_value());
    CHECK_FALSE(static_cast<bool>(bad));
    CHECK(bad.error().code() == errc::truncated);
    CHECK(bad.error().bytes() == 3);
}

TEST_CASE("value() of a failed result throws its error") {
    auto bad = failed();
    const auto constant = failed();
    CHECK_THROWS_AS(static_cast<void>(bad.value()), error);
    CHECK_THROWS_AS(static_cast<void>(constant.value()), error);
    CHECK_THROWS_AS(static_cast<void>(std::move(bad).value()), error);
}

TEST_CASE("The error that value() throws is the one that the result holds") {
    try {
        static_cast<void>(failed().value());
        FAIL("did not throw");
    } catch (const error& caught) {
        CHECK(caught.code() == errc::truncated);
        CHECK(caught.bytes() == 3);
    }
}

TEST_CASE("A value that can only be moved is moved out") {
    result<std::unique_ptr<int>> first = std::make_unique<int>(5);
    const std::unique_ptr<int> second = *std::move(first);
    CHECK(*second == 5);
    CHECK(*first == nullptr);
    result<std::unique_ptr<int>> third = std::make_unique<int>(6);
    CHECK(*std::move(third).value() == 6);
}

TEST_CASE("The value is changed through * and ->") {
    result<std::string> text = std::string("a");
    *text += "b";
    text->push_back('c');
    text.value() += "d";
    CHECK(*text == "abcd");
    CHECK(std::as_const(text)->size() == 4);
}

TEST_CASE("A result of nothing is a success until an error is put in") {
    const result<void> good;
    CHECK(good.has_value());
    CHECK_NOTHROW(good.value());
    const result<void> bad = error(errc::canceled, "sleep");
    CHECK_FALSE(static_cast<bool>(bad));
    CHECK(bad.error().code() == errc::canceled);
    CHECK_THROWS_AS(bad.value(), error);
}

TEST_CASE("A result is no boolean but where one is asked for") {
    static_assert(!std::is_convertible_v<result<int>, bool>);
    static_assert(!std::is_convertible_v<result<void>, bool>);
    static_assert(std::is_constructible_v<bool, result<int>>);
}
