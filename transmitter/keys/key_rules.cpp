// When a key changes its role.
#include <algorithm>

#include "transmitter/keys/key_state.hpp"

namespace mission::transmitter {
namespace {

constexpr jose::alg both[] = {jose::alg::es256, jose::alg::rs256};

bool contains(const std::vector<std::string>& list, const std::string& one) {
    return std::find(list.begin(), list.end(), one) != list.end();
}

}  // namespace

std::optional<std::chrono::seconds> retention(jose::alg a, const key_ring_options& o) noexcept {
    if (a != jose::alg::es256) return o.retain;
    if (!o.status_retain) return std::nullopt;
    return std::max(*o.status_retain, o.retain);
}

key_rules::key_rules(key_state& s, const key_ring_options& o, wall_time now, key_maker make)
    : s_(s), o_(o), now_(now), make_(std::move(make)) {}

// One that lies ahead was written by a clock that has been set back since: waiting for it could
// put off a rotation for ever.
bool key_rules::publication_known(const key_entry& k) const {
    return k.published_at && *k.published_at <= now_;
}

std::optional<wall_time> key_rules::usable_from(const key_entry& next) const {
    if (!publication_known(next)) return std::nullopt;
    return *next.published_at + o_.lead;
}

bool key_rules::over(const key_entry& k) const {
    const auto keep = retention(k.algorithm, o_);
    return keep && now_ >= *k.retired_at + *keep;
}

bool key_rules::due(const std::vector<std::string>* served) const {
    for (const auto a : both)
        if (!s_.find(a, key_role::current) || !s_.find(a, key_role::next)) return true;
    return std::any_of(s_.keys.begin(), s_.keys.end(), [&](const key_entry& k) {
        if (k.role == key_role::retained) return over(k);
        if (served && !publication_known(k) && contains(*served, k.kid)) return true;
        if (k.role != key_role::next || !k.rotate) return false;
        const auto from = usable_from(k);
        return from && *from <= now_;
    });
}

result<void> key_rules::tend(const std::vector<std::string>* served) {
    if (s_.last_number == 0)
        for (const auto& k : s_.keys)
            note("adopt", k);
    for (auto& k : s_.keys) {
        if (!served || publication_known(k) || !contains(*served, k.kid)) continue;
        k.published_at = now_;
        note("publish", k);
    }
    for (const auto a : both) {
        auto* next = s_.find(a, key_role::next);
        if (!next || !next->rotate) continue;
        if (const auto from = usable_from(*next); from && *from <= now_) promote(*next);
    }
    for (const auto& k : s_.keys)
        if (k.role == key_role::retained && over(k)) note("drop", k);
    std::erase_if(s_.keys,
                  [&](const key_entry& k) { return k.role == key_role::retained && over(k); });
    for (const auto a : both) {
        if (auto r = ensure(a, key_role::current); !r) return r;
        if (auto r = ensure(a, key_role::next); !r) return r;
    }
    return {};
}

result<key_change> key_rules::rotate(jose::alg a) {
    if (auto r = ensure(a, key_role::next); !r) return r.error();
    key_entry& next = *s_.find(a, key_role::next);
    key_change c;
    c.algorithm = a;
    c.kid = next.kid;
    c.old_kid = s_.find(a, key_role::current)->kid;
    c.at = usable_from(next);
    if (c.at && *c.at <= now_) {
        c.done = true;
        c.at = now_;
        promote(next);
        if (auto r = ensure(a, key_role::next); !r) return r.error();
        return c;
    }
    if (!next.rotate) {
        next.rotate = true;
        note("schedule", next);
    }
    return c;
}

result<key_change> key_rules::revoke(const std::string& kid) {
    const key_entry* found = s_.find(kid);
    if (!found) return error{errc::not_found, "no key " + kid};
    const key_entry gone = *found;
    key_change c;
    c.algorithm = gone.algorithm;
    c.old_kid = kid;
    c.done = true;
    c.at = now_;
    if (!gone.file.empty()) s_.doomed.push_back(gone.file);
    s_.revoked.push_back({kid, gone.algorithm, now_});
    std::erase_if(s_.keys, [&](const key_entry& k) { return k.kid == kid; });
    note("revoke", gone);
    if (gone.role == key_role::current) {
        // At once: whatever its lead, a key that somebody else may hold is worse.
        if (auto* next = s_.find(gone.algorithm, key_role::next)) promote(*next);
        if (auto r = ensure(gone.algorithm, key_role::current); !r) return r.error();
        c.kid = s_.find(gone.algorithm, key_role::current)->kid;
    }
    if (auto r = ensure(gone.algorithm, key_role::next); !r) return r.error();
    // A rotation that was asked for is still asked for.
    if (gone.rotate) s_.find(gone.algorithm, key_role::next)->rotate = true;
    return c;
}

result<void> key_rules::ensure(jose::alg a, key_role r) {
    if (s_.find(a, r)) return {};
    auto made = make_(a);
    if (!made) return made.error();
    made->role = r;
    made->created_at = now_;
    if (r == key_role::current) made->current_at = now_;
    note("create", *made);
    s_.keys.push_back(std::move(*made));
    return {};
}

void key_rules::promote(key_entry& next) {
    if (auto* current = s_.find(next.algorithm, key_role::current)) retire(*current);
    next.role = key_role::current;
    next.rotate = false;
    next.current_at = now_;
    note("rotate", next);
}

void key_rules::retire(key_entry& k) {
    k.role = key_role::retained;
    k.retired_at = now_;
    // Redelivery is signed anew by whatever is current: nobody needs the private part.
    s_.doomed.push_back(std::move(k.file));
    k.file.clear();
    note("retire", k);
}

void key_rules::note(std::string operation, const key_entry& k) {
    key_operation o;
    o.number = ++s_.last_number;
    o.at = now_;
    o.operation = std::move(operation);
    o.kid = k.kid;
    o.alg = jose::name(k.algorithm);
    done_.push_back(std::move(o));
}

}  // namespace mission::transmitter
