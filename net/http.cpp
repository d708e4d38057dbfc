#include "net/http.hpp"

#include <algorithm>

namespace mission::net {
namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

void headers::add(std::string name, std::string value) {
    std::transform(name.begin(), name.end(), name.begin(), lower);
    fields_.emplace_back(std::move(name), std::move(value));
}

void headers::set(std::string_view name, std::string value) {
    std::string key(name);
    std::transform(key.begin(), key.end(), key.begin(), lower);
    std::erase_if(fields_, [&](const auto& f) { return f.first == key; });
    fields_.emplace_back(std::move(key), std::move(value));
}

std::string_view headers::get(std::string_view name) const noexcept {
    for (const auto& [n, v] : fields_) {
        if (n == name) return v;
    }
    return {};
}

std::size_t headers::count(std::string_view name) const noexcept {
    return static_cast<std::size_t>(std::count_if(fields_.begin(), fields_.end(),
                                                  [&](const auto& f) { return f.first == name; }));
}

http_response http_handler::refuse(const http_request&, int status, std::string_view err,
                                   std::string_view description) {
    http_response r;
    r.status = status;
    r.fields.add("content-type", "application/json");
    r.fields.add("cache-control", "no-store");
    r.body.append(R"({"err":")").append(err).append(R"(","description":")");
    r.body.append(description).append(R"("})");
    return r;
}

}  // namespace mission::net
