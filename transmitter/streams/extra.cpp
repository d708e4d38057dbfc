#include "transmitter/streams/extra.hpp"

#include "base/json.hpp"

namespace mission::transmitter {

namespace {

// An object, whatever was stored.
json::document object_of(std::string_view extra) {
    if (!extra.empty())
        if (auto parsed = json::parse(extra); parsed && parsed->IsObject())
            return std::move(*parsed);
    json::document nothing;
    nothing.SetObject();
    return nothing;
}

void drop(json::document& d, std::string_view name) {
    auto key = json::make_string(name, d.GetAllocator());
    d.RemoveMember(key);
}

}  // namespace

std::string extra_string(std::string_view extra, std::string_view name) {
    return std::string(json::find_string(object_of(extra), name).value_or(""));
}

std::optional<std::int64_t> extra_number(std::string_view extra, std::string_view name) {
    return json::find_int(object_of(extra), name);
}

std::string with_extra(std::string_view extra, std::string_view name,
                       std::optional<std::string_view> text) {
    auto d = object_of(extra);
    drop(d, name);
    if (text) json::add(d, name, *text, d.GetAllocator());
    return d.ObjectEmpty() ? std::string{} : json::write(d);
}

std::string with_extra_number(std::string_view extra, std::string_view name, std::int64_t number) {
    auto d = object_of(extra);
    drop(d, name);
    json::add(d, name, number, d.GetAllocator());
    return json::write(d);
}

}  // namespace mission::transmitter
