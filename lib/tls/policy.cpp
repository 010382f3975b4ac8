// SPDX-License-Identifier: MIT
#include "policy.hpp"

#include <ringtls/tls/client_context.hpp>
#include <ringtls/tls/server_context.hpp>

#include "failure.hpp"

#include <openssl/err.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace ringtls::detail {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

/// SSL_CTX_set_cipher_list(3) and its like.
using list_setter = int (*)(SSL_CTX*, const char*);

int set_groups(SSL_CTX* ctx, const char* list) {
    return static_cast<int>(SSL_CTX_set1_groups_list(ctx, list));
}
int set_signature_algorithms(SSL_CTX* ctx, const char* list) {
    return static_cast<int>(SSL_CTX_set1_sigalgs_list(ctx, list));
}

/// What may follow is set anew, so that trying changes nothing.
bool accepts(SSL_CTX* ctx, list_setter set, std::string_view list) {
    ERR_clear_error();
    return set(ctx, std::string(list).c_str()) == 1;
}

void set_list(SSL_CTX* ctx, list_setter set, std::string_view list, std::string_view setting) {
    if (!accepts(ctx, set, list))
        throw_openssl_error(setting, std::string(list), errc::invalid_setting);
}

/// What stands before the separator, or all; taken away from the list with the separator.
std::string_view next_word(std::string_view& list, char separator) {
    const auto end = std::min(list.find(separator), list.size());
    const auto word = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    return word;
}

/// A list of plain names. OpenSSL passes over suites that it does not know, and of the others says
/// only that there was one.
void set_names(SSL_CTX* ctx, list_setter set, std::string_view list, std::string_view setting) {
    for (auto rest = list; !rest.empty();) {
        const auto name = next_word(rest, ':');
        // OpenSSL itself passes over a name that begins so, since 3.3.
        if (!name.empty() && !name.starts_with('?'))
            set_list(ctx, set, name, setting);
    }
    set_list(ctx, set, list, setting);
}

// ---- groups ----

/// A name with OpenSSL's marks in front (3.5): ? if known, * with a key share, - not this one.
/// Empty if it is optional and unknown; the ? is ours, for OpenSSL has it since 3.3 only.
std::string usable_group(SSL_CTX* ctx, std::string_view word) {
    const auto begin = std::min(word.find_first_not_of("?*-"), word.size());
    const auto name = word.substr(begin);
    std::string marks(word.substr(0, begin));
    const bool optional = std::erase(marks, '?') > 0;
    if (optional && !accepts(ctx, set_groups, name)) {
        ERR_clear_error();
        return "";
    }
    if (!name.empty())
        set_list(ctx, set_groups, name, "groups");
    return marks.append(name);
}

/// Tuples with slashes between them (3.5), names with colons between them.
void apply_groups(SSL_CTX* ctx, const std::string& list) {
    std::string usable;
    for (std::string_view rest = list; !rest.empty();) {
        std::string tuple;
        for (auto names = next_word(rest, '/'); !names.empty();) {
            const auto group = usable_group(ctx, next_word(names, ':'));
            tuple.append(tuple.empty() || group.empty() ? "" : ":").append(group);
        }
        usable.append(usable.empty() || tuple.empty() ? "" : "/").append(tuple);
    }
    if (usable.empty() || !accepts(ctx, set_groups, usable)) // none would be OpenSSL's default
        throw_openssl_error("groups", list, errc::invalid_setting);
}

// ---- cipher lists (openssl-ciphers(1)) ----

constexpr auto separators = ": ,;"sv;

/// Names that OpenSSL knows, but that can stand for no cipher at all in a build of it, which then
/// refuses them as it refuses a misspelt one.
constexpr auto maybe_empty = {
    "LOW"sv,    "MEDIUM"sv,  "EXP"sv,   "EXPORT"sv,  "SSLv2"sv,   "DES"sv,      "3DES"sv,
    "RC2"sv,    "RC4"sv,     "IDEA"sv,  "SEED"sv,    "MD5"sv,     "CAMELLIA"sv, "ARIA"sv,
    "DSS"sv,    "aDSS"sv,    "kDHr"sv,  "kDHd"sv,    "kDH"sv,     "aDH"sv,      "kECDHr"sv,
    "kECDHe"sv, "kECDH"sv,   "aECDH"sv, "SRP"sv,     "kSRP"sv,    "aSRP"sv,     "GOST"sv,
    "kGOST"sv,  "kGOST18"sv, "aGOST"sv, "aGOST01"sv, "aGOST12"sv, "GOST94"sv,   "GOST89MAC"sv,
    "GOST12"sv, "eNULL"sv,   "NULL"sv,  "PSK"sv,     "aPSK"sv,    "kPSK"sv,     "kRSAPSK"sv,
};
constexpr auto suite_b = {"SUITEB128"sv, "SUITEB128ONLY"sv, "SUITEB128C2"sv, "SUITEB192"sv};

template<class List>
bool is_in(const List& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

/// Several ciphers' common names have + between them.
void check_cipher(SSL_CTX* ctx, std::string_view name) {
    for (auto rest = name; !rest.empty();) {
        const auto part = next_word(rest, '+');
        if (part.starts_with("DEFAULT") || part.starts_with("SUITEB"))
            refuse_setting("ciphers", name, "only at the beginning of a list");
        if (!is_in(maybe_empty, part))
            set_list(ctx, SSL_CTX_set_cipher_list, part, "ciphers");
    }
}

void check_cipher_command(SSL_CTX* ctx, std::string_view command) {
    constexpr auto level = "SECLEVEL="sv;
    const auto subject = "@"s.append(command);
    if (command == "STRENGTH")
        return;
    if (!command.starts_with(level) || command.size() != level.size() + 1)
        refuse_setting("ciphers", subject, "no such command");
    const int wanted = command.back() - '0';
    if (wanted < SSL_CTX_get_security_level(ctx))
        refuse_setting("ciphers", subject,
                       "lowers the security level, which danger_security_level() does");
    if (wanted > 5)
        refuse_setting("ciphers", subject, "no such level");
}

bool in_cipher_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           "-_.=+"sv.find(c) != std::string_view::npos;
}

/// One element, with its sign in front: ! never, - not now, + to the end, @ a command. Two need no
/// separator between them if the second has a sign: OpenSSL reads "HIGH@STRENGTH" so.
std::string_view next_cipher(std::string_view& list) {
    const bool is_signed = "!-+@"sv.find(list.front()) != std::string_view::npos;
    const auto* const end =
        std::find_if_not(list.begin() + (is_signed ? 1 : 0), list.end(), in_cipher_name);
    const auto element = list.substr(0, static_cast<std::size_t>(end - list.begin()));
    list.remove_prefix(element.size());
    return element;
}

void check_ciphers(SSL_CTX* ctx, std::string_view list) {
    for (bool first = true;; first = false) {
        list.remove_prefix(std::min(list.find_first_not_of(separators), list.size()));
        if (list.empty())
            return;
        const auto element = next_cipher(list);
        if (element.empty() || element.find_first_not_of("!-+@") == std::string_view::npos)
            refuse_setting("ciphers", element.empty() ? list : element, "not a name");
        if (element.front() == '@')
            check_cipher_command(ctx, element.substr(1));
        else if (!first || element != "DEFAULT")
            check_cipher(ctx, element.substr(element.find_first_not_of("!-+")));
    }
}

/// OpenSSL passes over names that it does not know, also where a list is to exclude them.
void apply_ciphers(SSL_CTX* ctx, const std::string& list) {
    if (!is_in(suite_b, list))
        check_ciphers(ctx, list);
    set_list(ctx, SSL_CTX_set_cipher_list, list, "ciphers");
}

// ---- versions ----

int number_of(tls_version version) {
    switch (version) {
    case tls_version::tls_1_2:
        return TLS1_2_VERSION;
    case tls_version::tls_1_3:
        return TLS1_3_VERSION;
    }
    return TLS1_3_VERSION;
}

template<class Settings>
void apply_versions(SSL_CTX* ctx, const Settings& settings) {
    check_openssl(SSL_CTX_set_min_proto_version(ctx, number_of(settings.minimum_version())),
                  "minimum version");
    if (settings.maximum_version() && *settings.maximum_version() < settings.minimum_version())
        throw_openssl_error("maximum version", "below the minimum version", errc::invalid_setting);
    if (settings.maximum_version())
        check_openssl(SSL_CTX_set_max_proto_version(ctx, number_of(*settings.maximum_version())),
                      "maximum version");
}

} // namespace

template<class Settings>
void apply_policy(SSL_CTX* ctx, const Settings& settings) {
    apply_versions(ctx, settings);
    if (const auto level = settings.security_level()) {
        if (*level > 5)
            refuse_setting("security level", std::to_string(*level), "no such level");
        SSL_CTX_set_security_level(ctx, static_cast<int>(*level));
    }
    if (!settings.ciphers().empty())
        apply_ciphers(ctx, settings.ciphers());
    if (!settings.ciphersuites().empty())
        set_names(ctx, SSL_CTX_set_ciphersuites, settings.ciphersuites(), "ciphersuites");
    if (!settings.groups().empty())
        apply_groups(ctx, settings.groups());
    if (!settings.signature_algorithms().empty())
        set_names(ctx, set_signature_algorithms, settings.signature_algorithms(),
                  "signature algorithms");
}

template void apply_policy(SSL_CTX*, const client_settings&);
template void apply_policy(SSL_CTX*, const server_settings&);

} // namespace ringtls::detail
