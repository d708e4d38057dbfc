#include <string>

#include "store/engine/backend.hpp"
#include "store/memory/backend.hpp"
#include "store/sqlite/backend.hpp"

namespace mission::store {

result<std::unique_ptr<store>> open_store(std::string_view url, store_options options) {
    constexpr std::string_view sqlite_scheme = "sqlite:";
    if (url == "memory:") return engine::make_store(memory::make_backend(), options);
    if (url.starts_with(sqlite_scheme)) {
        const std::string path{url.substr(sqlite_scheme.size())};
        if (path.empty() || path.find('\0') != std::string::npos)
            return error(errc::bad_configuration, "store url: sqlite: needs a path");
        auto tables = sqlite::open_backend(path, options);
        if (!tables) return tables.error();
        return engine::make_store(std::move(*tables), options);
    }
    return error(errc::bad_configuration,
                 "store url: the scheme must be memory: or sqlite:, not in \"" +
                     std::string(url.substr(0, 64)) + "\"");
}

}  // namespace mission::store
