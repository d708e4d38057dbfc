// Printing the members of one event object: what is empty is left out. Private to events/.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/time.hpp"

namespace mission::events::detail {

class event_writer {
  public:
    event_writer() : w_(buffer_) { w_.StartObject(); }

    void text(std::string_view name, const std::string& s) { json::member(w_, name, s); }
    void text(std::string_view name, const std::optional<std::string>& s) {
        if (s) json::member(w_, name, *s);
    }
    void raw(std::string_view name, std::string_view json_text) {
        json::key(w_, name);
        json::raw(w_, json_text);
    }
    void list(std::string_view name, const std::vector<std::string>& items) {
        if (items.empty()) return;
        json::key(w_, name);
        w_.StartArray();
        for (const std::string& one : items)
            json::string(w_, one);
        w_.EndArray();
    }
    // NumericDate: whole seconds as an integer, otherwise with three digits.
    void time(std::string_view name, const std::optional<wall_time>& t) {
        if (!t) return;
        json::key(w_, name);
        const auto ms = to_milliseconds(*t);
        if (ms % 1000 == 0) {
            w_.Int64(ms / 1000);
        } else {
            w_.Double(static_cast<double>(ms) / 1000.0);
        }
    }
    // CAEP 1.0 section 2: an object of language tag and text.
    void languages(std::string_view name, const std::map<std::string, std::string>& texts) {
        if (texts.empty()) return;
        json::key(w_, name);
        w_.StartObject();
        for (const auto& [language, one] : texts)
            json::member(w_, language, one);
        w_.EndObject();
    }
    std::string finish() {
        w_.EndObject();
        return json::text(buffer_);
    }

  private:
    json::buffer buffer_;
    json::writer w_;
};

}  // namespace mission::events::detail
