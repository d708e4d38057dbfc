#include "transmitter/auth/presented.hpp"

namespace mission::transmitter {
namespace {

// `scheme` in lower case, with the space.
bool has_scheme(std::string_view header, std::string_view scheme) noexcept {
    if (header.size() <= scheme.size()) return false;
    for (std::size_t i = 0; i < scheme.size(); ++i) {
        const char c = header[i];
        if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) != scheme[i]) return false;
    }
    return true;
}

}  // namespace

presented_token token_of(const net::http_request& request) noexcept {
    using scheme = presented_token::scheme;
    const auto count = request.fields.count("authorization");
    if (count == 0) return {};
    auto header = request.fields.get("authorization");
    for (const auto& [name, how] : {std::pair{std::string_view("bearer "), scheme::bearer},
                                    std::pair{std::string_view("dpop "), scheme::dpop}}) {
        if (count != 1 || !has_scheme(header, name)) continue;
        header.remove_prefix(name.size());
        while (header.starts_with(' '))
            header.remove_prefix(1);
        if (!header.empty()) return {how, header};
        break;
    }
    return {scheme::unusable, {}};
}

bool token_in_query(std::string_view query) noexcept {
    return query.starts_with("access_token=") ||
           query.find("&access_token=") != std::string_view::npos;
}

}  // namespace mission::transmitter
