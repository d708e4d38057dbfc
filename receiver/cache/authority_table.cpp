#include "receiver/cache/authority_table.hpp"

#include <iterator>
#include <mutex>

#include "base/json.hpp"

namespace mission::receiver {

std::shared_ptr<const ms::authority> parse_authority(std::string_view json_array,
                                                     std::int64_t version) {
    auto out = std::make_shared<ms::authority>();
    out->version = version;
    auto parsed = json::parse(json_array);
    if (parsed.has_error() || !parsed->IsArray()) return out;
    for (const auto& one : parsed->GetArray()) {
        if (!one.IsObject()) continue;
        ms::authority_entry e;
        e.type = json::find_string(one, "type").value_or("");
        e.resource = json::find_string(one, "resource").value_or("");
        if (const auto* actions = json::find(one, "actions"); actions && actions->IsArray()) {
            for (const auto& a : actions->GetArray()) {
                if (a.IsString()) e.actions.emplace_back(json::view(a));
            }
        }
        e.json = json::write(one);
        out->entries.push_back(std::move(e));
    }
    return out;
}

namespace {

// Roughly what it takes in memory.
std::size_t octets_of(const ms::authority* a) {
    if (a == nullptr) return 0;
    std::size_t octets = sizeof *a;
    for (const auto& e : a->entries) {
        octets += sizeof e + e.type.size() + e.resource.size() + e.json.size();
        for (const auto& action : e.actions)
            octets += sizeof action + action.size();
    }
    return octets;
}

}  // namespace

std::string authority_table::key(std::string_view issuer, std::string_view id) {
    std::string k;
    k.reserve(issuer.size() + id.size() + 1);
    k.append(id).append(1, ' ').append(issuer);  // an id has no space
    return k;
}

void authority_table::drop(shard& s, items::iterator it) {
    s.octets -= it->octets;
    s.of.erase(it->key);
    s.all.erase(it);
}

void authority_table::store(shard& s, std::string k,
                            std::shared_ptr<const ms::authority> authority) {
    if (const auto known = s.of.find(k); known != s.of.end()) drop(s, known->second);
    s.all.emplace_back(std::move(k));
    auto& i = s.all.back();
    i.octets = sizeof(item) + i.key.size() + octets_of(authority.get());
    i.authority = std::move(authority);
    s.octets += i.octets;
    s.of.emplace(i.key, std::prev(s.all.end()));
    // A clock: who was asked for since the hand came by is passed over once. The newest stays.
    while (s.octets > octets_per_shard_ && s.all.size() > 1) {
        const auto it = s.all.begin();
        if (it->used.exchange(false, std::memory_order_relaxed)) {
            s.all.splice(std::prev(s.all.end()), s.all, it);
        } else {
            drop(s, it);
        }
    }
}

bool authority_table::put(std::string_view issuer, std::string_view id, const published& p,
                          std::shared_ptr<const ms::authority> authority, std::uint32_t used) {
    auto& s = at(id);
    auto k = key(issuer, id);
    std::unique_lock lock(s.m);
    if (!missions_.put(issuer, id, p, used)) return false;
    if (authority) {
        store(s, std::move(k), std::move(authority));
    } else if (const auto known = s.of.find(k); known != s.of.end()) {
        drop(s, known->second);
    }
    return true;
}

void authority_table::keep(std::string_view issuer, std::string_view id,
                           std::shared_ptr<const ms::authority> authority) {
    auto& s = at(id);
    std::unique_lock lock(s.m);
    store(s, key(issuer, id), std::move(authority));
}

void authority_table::forget(std::string_view issuer, std::string_view id) {
    auto& s = at(id);
    std::unique_lock lock(s.m);
    if (const auto known = s.of.find(key(issuer, id)); known != s.of.end()) drop(s, known->second);
}

void authority_table::forget_all() {
    for (auto& s : shards_) {
        std::unique_lock lock(s.m);
        s.of.clear();
        s.all.clear();
        s.octets = 0;
    }
}

bool authority_table::found(
    std::string_view issuer, std::string_view id,
    const std::function<void(const std::shared_ptr<const ms::authority>&)>& fn) const {
    constexpr int tries = 3;  // another authority may come between the fetching and the look
    const auto& s = at(id);
    const auto k = key(issuer, id);
    for (int n = 0; n < tries; ++n) {
        {
            std::shared_lock lock(s.m);
            if (const auto it = s.of.find(k); it != s.of.end()) {
                it->second->used.store(true, std::memory_order_relaxed);
                fn(it->second->authority);
                return true;
            }
        }
        if (!fetch_ || !missions_.find(issuer, id)) return false;
        fetch_(issuer, id);
    }
    return false;
}

std::shared_ptr<const ms::authority> authority_table::of(std::string_view issuer,
                                                         std::string_view id) const {
    std::shared_ptr<const ms::authority> out;
    found(issuer, id, [&](const auto& authority) { out = authority; });
    return out;
}

std::pair<ms::answer, std::shared_ptr<const ms::authority>> authority_table::look(
    std::string_view issuer, std::string_view id, instant now) const {
    std::pair<ms::answer, std::shared_ptr<const ms::authority>> out;
    const bool known = found(issuer, id, [&](const auto& authority) {
        out = {missions_.check(issuer, id, now), authority};
    });
    if (!known) out.first = missions_.check(issuer, id, now);
    return out;
}

}  // namespace mission::receiver
