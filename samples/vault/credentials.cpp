#include "samples/vault/credentials.hpp"

#include <algorithm>

namespace sample {

bool credential_store::create(credential c, const std::string& token) {
    const std::lock_guard hold(lock_);
    const auto id = c.id;
    if (!by_id_.try_emplace(id, std::move(c)).second) return false;
    id_by_token_.emplace(token, id);
    return true;
}

credential_store::change credential_store::disable(const std::string& id, const std::string& why) {
    const std::lock_guard hold(lock_);
    const auto it = by_id_.find(id);
    if (it == by_id_.end()) return change::unknown;
    if (it->second.now == state::destroyed) return change::already_destroyed;
    it->second.now = state::disabled;
    it->second.why = why;
    return change::done;
}

credential_store::change credential_store::enable(const std::string& id) {
    const std::lock_guard hold(lock_);
    const auto it = by_id_.find(id);
    if (it == by_id_.end()) return change::unknown;
    if (it->second.now == state::destroyed) return change::already_destroyed;
    it->second.now = state::open;
    it->second.why.clear();
    return change::done;
}

credential_store::change credential_store::renew(const std::string& id, time_point expires) {
    const std::lock_guard hold(lock_);
    const auto it = by_id_.find(id);
    if (it == by_id_.end()) return change::unknown;
    if (it->second.now == state::destroyed) return change::already_destroyed;
    it->second.expires = expires;
    return change::done;
}

void credential_store::destroy(const std::string& id, const std::string& why) {
    const std::lock_guard hold(lock_);
    auto& c = by_id_[id];
    if (c.now == state::destroyed) return;  // the first reason stays
    c.id = id;
    c.now = state::destroyed;
    c.why = why;
}

std::optional<credential_store::credential> credential_store::find_by_token(
    const std::string& token) const {
    const std::lock_guard hold(lock_);
    const auto it = id_by_token_.find(token);
    if (it == id_by_token_.end()) return std::nullopt;
    return by_id_.find(it->second)->second;
}

std::size_t credential_store::open_count() const {
    const std::lock_guard hold(lock_);
    return static_cast<std::size_t>(std::count_if(
        by_id_.begin(), by_id_.end(), [](const auto& e) { return e.second.now == state::open; }));
}

}  // namespace sample
