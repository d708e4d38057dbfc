// The entries of a set by the resources they name, so that comparing two sets of a thousand entries
// is not a million comparisons: it is done in the writer's thread, for every child of a family.
// Private to the rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.hpp"

namespace mission::transmitter::entries {

// How much one decision may still compare, in pairs of JSON values (limits::comparison_effort).
// Entries that overlap a thousandfold would keep the writer for minutes. Once it is spent nothing
// can be shown to lie within anything: whoever asks refuses, or leaves out.
class effort {
  public:
    effort();
    bool spend(std::size_t pairs) noexcept;
    bool spent() const noexcept { return left_ < 0; }

  private:
    std::int64_t left_;
};

// The JSON values in it, itself included.
std::size_t weight_of(const json::value& v) noexcept;

class index {
  public:
    // Refers to `set`; anything but an array has no entries. Of an effort of its own, or a shared
    // one.
    explicit index(const json::value& set, effort* shared = nullptr);
    index(const index&) = delete;
    index& operator=(const index&) = delete;

    // The first entry that `entry` lies within; nullopt also once the effort is spent.
    std::optional<std::size_t> covering(const json::value& entry) const;
    effort& work() const noexcept { return shared_ ? *shared_ : own_; }
    std::size_t weight(std::size_t place) const noexcept { return weights_[place]; }
    // Ascending: every entry that may have something in common with `entry`, which is one of
    // mission_resource_access.
    std::vector<std::uint32_t> related(const json::value& entry) const;

  private:
    using places = std::vector<std::uint32_t>;
    static void append(places& out, const places* more);
    // Those whose resource, as a prefix, holds `normal`.
    void append_prefixes(places& out, const std::string& normal) const;
    places may_cover(const json::value& entry) const;

    const json::value& set_;
    effort* shared_;
    mutable effort own_;
    std::vector<std::size_t> weights_;                      // by place
    std::unordered_map<std::string_view, places> exact_;    // by resource as it is written
    std::unordered_map<std::string, places> prefixes_;      // by resource, normalised
    std::unordered_map<std::string_view, places> by_type_;  // of other types
    std::vector<std::string> normal_;                       // resources, normalised, by place
};

}  // namespace mission::transmitter::entries
