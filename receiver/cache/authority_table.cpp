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

authority_table::name authority_table::name_of(const item& i) noexcept {
    const std::string_view key = i.key;
    const auto space = key.find(' ');  // an id has none
    return {key.substr(0, space), key.substr(space + 1)};
}

void authority_table::drop(shard& s, items::iterator it) {
    s.octets -= it->octets;
    s.of.erase(name_of(*it));
    s.all.erase(it);
}

void authority_table::drop(shard& s, const name& n) {
    if (const auto known = s.of.find(n); known != s.of.end()) drop(s, known->second);
}

void authority_table::store(shard& s, const name& n,
                            std::shared_ptr<const ms::authority> authority) {
    drop(s, n);
    items made;
    auto& i = made.emplace_back(std::string(n.id).append(1, ' ').append(n.issuer));
    i.octets = sizeof(item) + i.key.size() + octets_of(authority.get());
    i.authority = std::move(authority);
    s.of.emplace(name_of(i), made.begin());
    s.all.splice(s.all.end(), made);
    s.octets += i.octets;
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
    std::unique_lock lock(s.m);
    if (!missions_.put(issuer, id, p, used)) return false;
    if (authority) {
        store(s, {id, issuer}, std::move(authority));
    } else {
        drop(s, {id, issuer});
    }
    return true;
}

void authority_table::keep(std::string_view issuer, std::string_view id,
                           std::shared_ptr<const ms::authority> authority) {
    auto& s = at(id);
    std::unique_lock lock(s.m);
    store(s, {id, issuer}, std::move(authority));
}

void authority_table::forget(std::string_view issuer, std::string_view id) {
    auto& s = at(id);
    std::unique_lock lock(s.m);
    drop(s, {id, issuer});
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
    for (int n = 0; n < tries; ++n) {
        {
            std::shared_lock lock(s.m);
            if (const auto it = s.of.find({id, issuer}); it != s.of.end()) {
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
