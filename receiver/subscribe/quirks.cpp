#include "receiver/subscribe/quirks.hpp"

namespace mission::receiver {
namespace {

std::string_view name(quirk_log::kind k) noexcept {
    switch (k) {
        case quirk_log::kind::typ_missing:
            return "typ_missing";
        case quirk_log::kind::issuer_slash:
            return "issuer_slash";
        case quirk_log::kind::created_with_200:
            return "created_with_200";
        case quirk_log::kind::several_events:
            return "several_events";
    }
    return "unknown";
}

std::string_view without_slash(std::string_view issuer) noexcept {
    if (issuer.ends_with('/')) issuer.remove_suffix(1);
    return issuer;
}

}  // namespace

bool quirk_log::allows(kind k) const noexcept {
    switch (k) {
        case kind::typ_missing:
            return on_.typ_missing;
        case kind::issuer_slash:
            return on_.issuer_slash;
        case kind::created_with_200:
            return on_.created_with_200;
        case kind::several_events:
            return on_.several_events;
    }
    return false;
}

bool quirk_log::use(kind k) noexcept {
    if (!allows(k)) return false;
    const auto bit = 1u << static_cast<unsigned>(k);
    if ((told_.fetch_or(bit, std::memory_order_relaxed) & bit) == 0 && log_) {
        log_(ms::log_level::warning, "the transmitter departs from the specification: tolerated",
             {{"quirk", std::string(name(k))}});
    }
    return true;
}

bool quirk_log::same_issuer(std::string_view a, std::string_view b) noexcept {
    if (a == b) return true;
    return without_slash(a) == without_slash(b) && use(kind::issuer_slash);
}

}  // namespace mission::receiver
