// SPDX-License-Identifier: MIT
// server_names, made ready to be looked up in.
#pragma once

#include <ringtls/tls/server_names.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace ringtls::detail {

class name_map {
  public:
    /// Throws error with errc::invalid_setting and the name: no DNS name, or there twice; or if
    /// nobody would be served.
    explicit name_map(const server_names& names);

    /// What serves this name, or clients without one if it is empty; null: nothing does.
    [[nodiscard]] std::shared_ptr<const context> find(std::string_view name) const;

  private:
    using contexts = std::map<std::string, std::shared_ptr<const context>, std::less<>>;

    contexts exact_;
    contexts wildcards_; ///< without their first label
    std::shared_ptr<const context> unknown_;
    std::shared_ptr<const context> unnamed_;
};

} // namespace ringtls::detail
