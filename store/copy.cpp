#include "store/copy.hpp"

#include <filesystem>
#include <system_error>

#include "store/sqlite/copy.hpp"

namespace mission::store {
namespace {

constexpr std::string_view sqlite_scheme = "sqlite:";

// A store in memory ends with its process; one behind a server is copied by that server's tools.
result<std::string> file_of(std::string_view url) {
    if (!url.starts_with(sqlite_scheme) || url.size() == sqlite_scheme.size())
        return error(errc::bad_configuration,
                     "[store] url: only a sqlite: store is a file that "
                     "can be copied or restored");
    return std::string(url.substr(sqlite_scheme.size()));
}

result<std::string> present_file_of(std::string_view url) {
    auto path = file_of(url);
    if (!path) return path;
    std::error_code ec;
    if (!std::filesystem::exists(*path, ec))
        return error(errc::not_found, *path + ": there is no store");
    return path;
}

}  // namespace

result<copy_report> copy_store(std::string_view url, const std::string& to,
                               const store_options& options) {
    const auto from = present_file_of(url);
    if (!from) return from.error();
    return sqlite::copy_file(*from, to, options);
}

result<new_history> declare_restored(std::string_view url, store_options options) {
    const auto path = present_file_of(url);
    if (!path) return path.error();
    new_history out;
    options.declared_restored = true;
    options.on_new_history = [&out](const new_history& h) { out = h; };
    const auto opened = open_store(url, options);
    if (!opened) return opened.error();
    return out;
}

}  // namespace mission::store
