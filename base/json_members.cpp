#include "base/json_members.hpp"

#include <algorithm>

#include "base/detail/json_reader.hpp"

namespace mission::json {
namespace {

// What the reader tells, kept as far as it is asked for. Names are kept while their object is open,
// because none may stand there twice.
class collector {
  public:
    explicit collector(std::string_view object) : object_(object) {}

    std::vector<text_member> members;
    bool found = false;
    std::optional<std::string_view> duplicate;

    bool Null() { return other(); }
    bool Bool(bool) { return other(); }
    bool Int64(std::int64_t) { return other(); }
    bool Uint64(std::uint64_t) { return other(); }
    bool Double(double) { return other(); }
    bool String(const char* s, unsigned size, bool) {
        if (is_member()) members.push_back({name_, std::string_view(s, size)});
        return true;
    }
    bool Key(const char* s, unsigned size, bool) {
        name_ = {s, size};
        open_.back().names.push_back(name_);
        return true;
    }
    bool StartObject() {
        const bool wanted = open_.size() == 1 && open_.front().is_object && name_ == object_;
        if (wanted) found = true;
        begin(true, wanted);
        return true;
    }
    bool EndObject(unsigned) {
        auto& names = open_.back().names;
        std::sort(names.begin(), names.end());
        const auto twice = std::adjacent_find(names.begin(), names.end());
        if (twice != names.end()) duplicate = *twice;
        open_.pop_back();
        return !duplicate;
    }
    bool StartArray() {
        begin(false, false);
        return true;
    }
    bool EndArray(unsigned) {
        open_.pop_back();
        return true;
    }

  private:
    struct level {
        bool is_object = false, wanted = false;
        std::vector<std::string_view> names;
    };
    bool is_member() const { return !open_.empty() && open_.back().wanted; }
    bool other() {
        if (is_member()) members.push_back({name_, std::nullopt});
        return true;
    }
    void begin(bool is_object, bool wanted) {
        other();
        open_.push_back({is_object, wanted, {}});
    }

    const std::string_view object_;
    std::string_view name_;
    std::vector<level> open_;
};

}  // namespace

result<std::optional<std::vector<text_member>>> read_members(std::string& text,
                                                             std::string_view object,
                                                             std::size_t max_bytes,
                                                             std::size_t max_depth) {
    const auto size = text.size();
    if (size > max_bytes)
        return error{errc::too_large,
                     "JSON text of more than " + std::to_string(max_bytes) + " bytes"};
    if (!detail::is_utf8(text)) return error{errc::not_json, "not UTF-8"};
    text.append(detail::reader_padding, '\0');
    collector all(object);
    detail::reader reader(text.data(), size, max_depth);
    if (!reader(all)) {
        if (all.duplicate)
            return error{errc::duplicate_member, "member \"" +
                                                     std::string(all.duplicate->substr(0, 64)) +
                                                     "\" stands twice in one object"};
        if (reader.too_deep())
            return error{errc::too_deep, "JSON nested deeper than " + std::to_string(max_depth)};
        return error{errc::not_json, std::string(reader.why()) + " (at byte " +
                                         std::to_string(reader.offset()) + ")"};
    }
    if (!all.found) return std::optional<std::vector<text_member>>();
    return std::optional<std::vector<text_member>>(std::move(all.members));
}

}  // namespace mission::json
