// Numbers of ms.h for the words of receiver.hpp. Both sides are fixed here: a word that is added to
// one of them and not to the other does not compile, or is denied.
#include <algorithm>
#include <array>
#include <cstring>

#include "receiver/capi/handles.hpp"

namespace mission::receiver::capi {
namespace {

// What a binary that was built against the first ms.h holds for ever.
static_assert(MS_OK == 0 && MS_E_ARGUMENT == 1 && MS_E_SETUP == 2 && MS_E_STATE == 3 &&
              MS_E_TIMEOUT == 4 && MS_E_NOT_FOUND == 5 && MS_E_DENIED == 6 && MS_E_FORKED == 7 &&
              MS_E_MEMORY == 8 && MS_E_INTERNAL == 9);
static_assert(sizeof(ms_answer) == 24 && offsetof(ms_answer, standing) == 4 &&
              offsetof(ms_answer, version) == 8 && offsetof(ms_answer, cause) == 16);
static_assert(sizeof(ms_permission) == 24 && offsetof(ms_permission, grant) == 16);

template <class Word>
struct pair_of {
    Word word;
    std::int32_t number;
};

constexpr std::array standings = {
    pair_of<ms::standing>{ms::standing::active, 1},
    pair_of<ms::standing>{ms::standing::suspended, 2},
    pair_of<ms::standing>{ms::standing::completed, 3},
    pair_of<ms::standing>{ms::standing::revoked, 4},
    pair_of<ms::standing>{ms::standing::expired, 5},
    pair_of<ms::standing>{ms::standing::superseded, 6},
    pair_of<ms::standing>{ms::standing::cascaded, 7},
    pair_of<ms::standing>{ms::standing::ended, 8},
    pair_of<ms::standing>{ms::standing::unknown, 0},
    pair_of<ms::standing>{ms::standing::stale, 9},
    pair_of<ms::standing>{ms::standing::gap, 10},
};
constexpr std::array causes = {
    pair_of<ms::cause>{ms::cause::none, 0},
    pair_of<ms::cause>{ms::cause::not_found, 1},
    pair_of<ms::cause>{ms::cause::status_unreachable, 2},
    pair_of<ms::cause>{ms::cause::status_limited, 3},
    pair_of<ms::cause>{ms::cause::cache_full, 4},
    pair_of<ms::cause>{ms::cause::timed_out, 5},
};
constexpr std::array effects = {
    pair_of<ms::effect>{ms::effect::suspended, 1},
    pair_of<ms::effect>{ms::effect::resumed, 2},
    pair_of<ms::effect>{ms::effect::completed, 3},
    pair_of<ms::effect>{ms::effect::revoked, 4},
    pair_of<ms::effect>{ms::effect::expired, 5},
    pair_of<ms::effect>{ms::effect::superseded, 6},
    pair_of<ms::effect>{ms::effect::cascaded, 7},
    pair_of<ms::effect>{ms::effect::ended, 8},
    pair_of<ms::effect>{ms::effect::scope_changed, 9},
    pair_of<ms::effect>{ms::effect::stale, 10},
    pair_of<ms::effect>{ms::effect::fresh, 11},
};
constexpr std::array outcomes = {
    pair_of<ms::outcome_kind>{ms::outcome_kind::acknowledged, 1},
    pair_of<ms::outcome_kind>{ms::outcome_kind::failed, 2},
    pair_of<ms::outcome_kind>{ms::outcome_kind::timed_out, 3},
    pair_of<ms::outcome_kind>{ms::outcome_kind::unknown, 0},
};

// The words of receiver.hpp count from 0 without holes: a table is read at the word's place.
template <class Word, std::size_t N>
constexpr bool in_order(const std::array<pair_of<Word>, N>& table) {
    for (std::size_t i = 0; i < N; ++i) {
        if (static_cast<std::size_t>(table[i].word) != i) return false;
        for (std::size_t j = 0; j < i; ++j) {
            if (table[i].number == table[j].number) return false;
        }
    }
    return true;
}
static_assert(in_order(standings) && in_order(causes) && in_order(effects) && in_order(outcomes));

constexpr std::int32_t number_of_active = MS_STANDING_ACTIVE;
static_assert(standings[static_cast<std::size_t>(ms::standing::active)].number == number_of_active);
static_assert(MS_STANDING_UNKNOWN == 0 && MS_STANDING_SUSPENDED == 2 &&
              MS_STANDING_COMPLETED == 3 && MS_STANDING_REVOKED == 4 && MS_STANDING_EXPIRED == 5 &&
              MS_STANDING_SUPERSEDED == 6 && MS_STANDING_CASCADED == 7 && MS_STANDING_ENDED == 8 &&
              MS_STANDING_STALE == 9 && MS_STANDING_GAP == 10);
static_assert(MS_CAUSE_NONE == 0 && MS_CAUSE_NOT_FOUND == 1 && MS_CAUSE_STATUS_UNREACHABLE == 2 &&
              MS_CAUSE_STATUS_LIMITED == 3 && MS_CAUSE_CACHE_FULL == 4 && MS_CAUSE_TIMED_OUT == 5);
static_assert(MS_EFFECT_SUSPENDED == 1 && MS_EFFECT_RESUMED == 2 && MS_EFFECT_COMPLETED == 3 &&
              MS_EFFECT_REVOKED == 4 && MS_EFFECT_EXPIRED == 5 && MS_EFFECT_SUPERSEDED == 6 &&
              MS_EFFECT_CASCADED == 7 && MS_EFFECT_ENDED == 8 && MS_EFFECT_SCOPE_CHANGED == 9 &&
              MS_EFFECT_STALE == 10 && MS_EFFECT_FRESH == 11);
static_assert(MS_OUTCOME_UNKNOWN == 0 && MS_OUTCOME_ACKNOWLEDGED == 1 && MS_OUTCOME_FAILED == 2 &&
              MS_OUTCOME_TIMED_OUT == 3);
static_assert(MS_GRANT_NOT_KNOWN == 0 && MS_GRANT_GRANTED == 1 && MS_GRANT_NOT_GRANTED == 2);

template <class Word, std::size_t N>
std::int32_t number(const std::array<pair_of<Word>, N>& table, Word w,
                    std::int32_t otherwise) noexcept {
    const auto at = static_cast<std::size_t>(w);
    return at < N ? table[at].number : otherwise;
}

template <class Word, std::size_t N>
std::optional<Word> word(const std::array<pair_of<Word>, N>& table, std::int32_t n) noexcept {
    const auto at = std::find_if(table.begin(), table.end(),
                                 [n](const pair_of<Word>& p) { return p.number == n; });
    return at == table.end() ? std::nullopt : std::optional<Word>(at->word);
}

// name() gives views of literals, which end with NUL.
template <class Word, std::size_t N>
const char* name_of(const std::array<pair_of<Word>, N>& table, std::int32_t n) noexcept {
    const auto w = word(table, n);
    return w ? ms::name(*w).data() : "unknown";
}

constexpr std::size_t error_bytes = 512;
thread_local char last_error[error_bytes] = "";

thread_local inside_callback* innermost = nullptr;

}  // namespace

ms_result fail(ms_result code, std::string_view why) noexcept {
    const auto n = std::min(why.size(), error_bytes - 1);
    if (n > 0) std::memcpy(last_error, why.data(), n);
    last_error[n] = '\0';
    return code;
}

held_user hold_user(void* user, ms_free_fn free_user) {
    return {user, [free_user](void* p) {
                if (free_user != nullptr) free_user(p);
            }};
}

inside_callback::inside_callback(const ms_receiver* of) noexcept
    : receiver_(of), outer_(innermost) {
    innermost = this;
}

inside_callback::~inside_callback() {
    innermost = outer_;
}

bool inside_callback::of(const ms_receiver* r) noexcept {
    for (const auto* at = innermost; at != nullptr; at = at->outer_) {
        if (at->receiver_ == r) return true;
    }
    return false;
}

ms_standing standing_of(ms::standing s) noexcept {
    return number(standings, s, MS_STANDING_UNKNOWN);
}
ms_cause cause_of(ms::cause c) noexcept {
    return number(causes, c, MS_CAUSE_NONE);
}
ms_effect effect_of(ms::effect e) noexcept {
    return number(effects, e, 0);
}
std::optional<ms::effect> effect_from(ms_effect e) noexcept {
    return word(effects, e);
}
ms_outcome_kind outcome_of(ms::outcome_kind k) noexcept {
    return number(outcomes, k, MS_OUTCOME_UNKNOWN);
}

ms_answer answer_of(const ms::answer& a) noexcept {
    ms_answer out = MS_ANSWER_INIT;
    out.standing = standing_of(a.what);
    out.version = a.version;
    out.cause = cause_of(a.why);
    return out;
}

int tell(const ms::answer& a, ms_answer* out) noexcept {
    put(answer_of(a), out);
    return a.permitted() ? 1 : 0;
}

ms_mission mission_of(const ms::mission_view& v) noexcept {
    ms_mission m{};
    m.size = sizeof(m);
    m.standing = standing_of(v.now.what);
    m.version = v.now.version;
    m.log_version = v.log_version;
    m.id = v.id.c_str();
    m.issuer = v.issuer.c_str();
    m.state = v.state.c_str();
    m.successor = v.successor.c_str();
    m.reason = v.reason.c_str();
    m.expires_at_ms = ms_of(v.expires_at);
    m.fresh_until_ms = ms_of(v.fresh_until);
    m.suspend_until_ms = ms_of(v.suspend_until);
    m.committed_at_ms = ms_of(v.committed_at);
    return m;
}

ms_task task_of(const ms::task& t) noexcept {
    ms_task out{};
    out.size = sizeof(out);
    out.why = effect_of(t.why);
    out.idempotency_key = t.idempotency_key.c_str();
    out.mission_id = t.mission_id.c_str();
    out.issuer = t.issuer.c_str();
    out.version = t.version;
    out.name = t.name.c_str();
    out.data = t.data.c_str();
    out.data_length = t.data.size();
    out.attempt = t.attempt;
    return out;
}

}  // namespace mission::receiver::capi

using namespace mission::receiver::capi;

uint32_t ms_abi_version(void) {
    return static_cast<std::uint32_t>(MS_ABI_MAJOR) << 16 | MS_ABI_MINOR;
}

ms_result ms_version(ms_version_info* out) {
    return guarded([&] {
        need(out, "out");
        ms_version_info v = MS_VERSION_INFO_INIT;
        v.abi_major = MS_ABI_MAJOR;
        v.abi_minor = MS_ABI_MINOR;
        v.major = MISSION_VERSION_MAJOR;
        v.minor = MISSION_VERSION_MINOR;
        v.patch = MISSION_VERSION_PATCH;
        put(v, out);
    });
}

const char* ms_error(void) {
    return last_error;
}

const char* ms_standing_name(ms_standing standing) {
    return name_of(standings, standing);
}
const char* ms_cause_name(ms_cause cause) {
    return name_of(causes, cause);
}
const char* ms_effect_name(ms_effect effect) {
    return name_of(effects, effect);
}
const char* ms_outcome_name(ms_outcome_kind kind) {
    return name_of(outcomes, kind);
}

const char* ms_reason(const ms_answer* answer) {
    ms::answer a;
    if (answer != nullptr) {
        ms_answer from = MS_ANSWER_INIT;
        if (guarded([&] { from = take(answer, "answer", from); }) != MS_OK)
            return a.reason().data();
        a.what = word(standings, from.standing).value_or(ms::standing::unknown);
        a.version = from.version;
        a.why = word(causes, from.cause).value_or(ms::cause::none);
    }
    return a.reason().data();
}
