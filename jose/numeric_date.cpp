#include "jose/numeric_date.hpp"

#include <string>

namespace mission::jose {

result<std::optional<wall_time>> numeric_date(const json::value& claims, std::string_view name) {
    constexpr double max_numeric_date = 253'402'300'799.0;
    const auto* v = json::find(claims, name);
    if (!v) return std::optional<wall_time>();
    if (!v->IsNumber() || !(v->GetDouble() >= 0) || v->GetDouble() > max_numeric_date)
        return error{errc::bad_claims, std::string(name)};
    return std::optional(from_numeric_date(static_cast<std::int64_t>(v->GetDouble())));
}

}  // namespace mission::jose
