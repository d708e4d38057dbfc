#include "tools/missionctl/settings.hpp"

#include "base/toml_assertions.hpp"
// Behind the assertions' header.
#include <toml++/toml.h>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "net/http.hpp"

namespace mission::tools {
namespace {

result<std::string> read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (!in || text.empty()) return error{errc::bad_configuration, "cannot read " + path};
    return text;
}

// The file's keys fill what no flag has set. Paths in it are relative to it.
result<void> fill_from_file(invocation& typed) {
    toml::table file;
    try {
        file = toml::parse_file(typed.config_file);
    } catch (const toml::parse_error& e) {
        return error{errc::bad_configuration, typed.config_file + ":" +
                                                  std::to_string(e.source().begin.line) + ": " +
                                                  std::string(e.description())};
    } catch (const std::runtime_error& e) {
        return error{errc::bad_configuration, typed.config_file + ": " + e.what()};
    }
    const auto folder = std::filesystem::path(typed.config_file).parent_path();
    for (const auto& [key, node] : file) {
        const std::string_view name = key.str();
        std::string* into = name == "server"        ? &typed.server
                            : name == "client_id"   ? &typed.client_id
                            : name == "private_key" ? &typed.private_key_file
                            : name == "token_file"  ? &typed.token_file
                            : name == "ca_file"     ? &typed.ca_file
                                                    : nullptr;
        const auto text = node.value<std::string>();
        if (!into || !text)
            return error{errc::bad_configuration,
                         typed.config_file + ":" + std::to_string(key.source().begin.line) + ": " +
                             (into ? "not a string: " : "unknown key: ") + std::string(name)};
        if (!into->empty()) continue;
        const bool is_path = into != &typed.server && into != &typed.client_id;
        *into = is_path ? (folder / *text).string() : *text;
    }
    return {};
}

}  // namespace

result<settings> load_settings(const invocation& given) {
    invocation typed = given;
    if (!typed.config_file.empty())
        if (auto filled = fill_from_file(typed); !filled) return filled.error();

    settings out;
    out.server = typed.server;
    while (out.server.ends_with('/'))
        out.server.pop_back();
    if (out.server.empty())
        return error{errc::bad_configuration, "no server: give --server or --config"};
    const auto url = net::parse_url(out.server);
    if (!url || url->scheme != "https")
        return error{errc::bad_configuration, "the server must be an https:// URL"};

    out.client_id = typed.client_id;
    // A flag decides between key and token even when the file names the other.
    const bool by_token = given.private_key_file.empty() && !typed.token_file.empty();
    if (by_token) {
        auto text = read_file(typed.token_file);
        if (!text) return text.error();
        out.token = text->substr(0, text->find_first_of("\r\n"));
    } else if (!typed.private_key_file.empty()) {
        auto pem = read_file(typed.private_key_file);
        if (!pem) return pem.error();
        out.private_key_pem = std::move(*pem);
        if (out.client_id.empty())
            return error{errc::bad_configuration, "a private key needs --client-id"};
    } else {
        return error{errc::bad_configuration,
                     "nobody to ask as: give --client-id and --private-key, or --token-file"};
    }
    if (!typed.ca_file.empty()) {
        auto pem = read_file(typed.ca_file);
        if (!pem) return pem.error();
        out.ca_pem = std::move(*pem);
    }
    return out;
}

}  // namespace mission::tools
