#include "samples/authorization_server/clients.hpp"

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "samples/common/jwt.hpp"
#include "samples/common/service.hpp"

namespace sample {
namespace {

// Basic's alphabet is the other one (RFC 7617 section 2; RFC 4648 section 4).
std::optional<std::string> from_base64(std::string text) {
    while (!text.empty() && text.back() == '=')
        text.pop_back();
    for (char& c : text) {
        if (c == '+') c = '-';
        if (c == '/') c = '_';
    }
    return from_base64url(text);
}

}  // namespace

client_list::client_list(const std::string& path) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    const auto read = parse_object(text.str());
    const auto list = read ? read->FindMember("clients") : rj::Value::ConstMemberIterator();
    if (!in || !read || list == read->MemberEnd() || !list->value.IsArray())
        throw std::runtime_error("no clients can be read from " + path);
    for (const auto& one : list->value.GetArray()) {
        const auto id = one.IsObject() ? text_member(one, "client_id") : std::string();
        const auto secret = one.IsObject() ? text_member(one, "client_secret") : std::string();
        if (id.empty() || secret.size() < 16)
            throw std::runtime_error(path + ": client_id, and a client_secret of 16 characters");
        hashes_[id] = sha256(secret);
    }
}

std::optional<std::string> client_list::authenticate(const httplib::Request& request) const {
    std::string id = request.get_param_value("client_id");
    std::string secret = request.get_param_value("client_secret");
    const std::string basic = request.get_header_value("Authorization");
    if (!basic.empty()) {
        constexpr std::string_view scheme = "Basic ";
        const auto pair =
            basic.starts_with(scheme) ? from_base64(basic.substr(scheme.size())) : std::nullopt;
        const auto colon = pair ? pair->find(':') : std::string::npos;
        if (colon == std::string::npos || !secret.empty()) return std::nullopt;
        const auto named = httplib::detail::decode_url(pair->substr(0, colon), true);
        if (!id.empty() && id != named) return std::nullopt;
        id = named;
        secret = httplib::detail::decode_url(pair->substr(colon + 1), true);
    }
    const auto known = hashes_.find(id);
    // Unknown clients cost what known ones do.
    const bool same =
        same_secret(known == hashes_.end() ? sha256("") : known->second, sha256(secret));
    if (known == hashes_.end() || !same) return std::nullopt;
    return id;
}

}  // namespace sample
