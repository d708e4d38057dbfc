#include "samples/commit_boundary/ledger.hpp"

namespace sample {
namespace {

bool bool_member(const rj::Value& object, const char* name) {
    const auto it = object.FindMember(name);
    return it != object.MemberEnd() && it->value.IsBool() && it->value.GetBool();
}

std::string json_of(const rj::Value& object, const char* name) {
    const auto it = object.FindMember(name);
    if (it == object.MemberEnd()) return "{}";
    rj::StringBuffer out;
    rj::Writer<rj::StringBuffer> writer(out);
    it->value.Accept(writer);
    return {out.GetString(), out.GetSize()};
}

}  // namespace

json_object payment::line() const {
    json_object o;
    o.add("payment", id)
        .add("key", key)
        .add("mission", mission)
        .add("version", version)
        .add("outcome", committed ? "committed" : "refused")
        .add("reason", reason)
        .add("overlapped", overlapped);
    if (status_iat != 0) o.add("status_iat", status_iat);
    if (!sent_at.empty()) o.add("sent_at", sent_at);
    if (!received_at.empty()) o.add("received_at", received_at).add("age_us", age_us);
    if (committed) o.add("committed_at", committed_at).add("committed_us", committed_us);
    return o.add_raw("order", order).add("request_hash", request_hash);
}

ledger::ledger(const std::string& path)
    : file_(path, [this](const rj::Document& line) { take_line(line); }) {}

void ledger::take_line(const rj::Document& line) {
    const auto id = text_member(line, "payment");
    if (const auto known = key_by_id_.find(id); known != key_by_id_.end()) {
        by_key_[known->second].overlapped = true;  // the one thing that is added later
        return;
    }
    payment p;
    p.id = id;
    p.key = text_member(line, "key");
    p.request_hash = text_member(line, "request_hash");
    p.mission = text_member(line, "mission");
    p.version = int_member(line, "version", 0);
    p.status_iat = int_member(line, "status_iat", 0);
    p.sent_at = text_member(line, "sent_at");
    p.received_at = text_member(line, "received_at");
    p.committed_at = text_member(line, "committed_at");
    p.committed_us = int_member(line, "committed_us", 0);
    p.age_us = int_member(line, "age_us", 0);
    p.committed = text_member(line, "outcome") == "committed";
    p.reason = text_member(line, "reason");
    p.overlapped = bool_member(line, "overlapped");
    p.order = json_of(line, "order");
    key_by_id_[p.id] = p.key;
    if (p.committed) committed_by_mission_.emplace(p.mission, p.key);
    by_key_[p.key] = std::move(p);
}

std::pair<ledger::start, payment> ledger::begin(const std::string& key,
                                                const std::string& request_hash) {
    const std::lock_guard hold(lock_);
    auto [at, first] = by_key_.try_emplace(key);
    auto& p = at->second;
    if (first) {
        p.key = key;
        p.request_hash = request_hash;
        return {start::begun, p};
    }
    if (p.request_hash != request_hash) return {start::other_request, {}};
    return {p.id.empty() ? start::under_way : start::known, p};
}

payment ledger::settle(payment p, const std::function<void(payment&)>& decide) {
    const std::lock_guard hold(lock_);
    try {
        decide(p);
        file_.append(p.line());
    } catch (...) {
        // Its outcome is not known to us: the file refuses everything from here on, and is read
        // again at the next start.
        by_key_.erase(p.key);
        throw;
    }
    key_by_id_[p.id] = p.key;
    if (p.committed) committed_by_mission_.emplace(p.mission, p.key);
    by_key_[p.key] = p;
    return p;
}

std::vector<std::string> ledger::mark_overlapped(const ending& e) {
    const std::lock_guard hold(lock_);
    std::vector<std::string> marked;
    const auto [first, last] = committed_by_mission_.equal_range(e.mission);
    for (auto at = first; at != last; ++at) {
        auto& p = by_key_.at(at->second);
        if (p.overlapped || p.version >= e.version) continue;
        // Status has said "active" before `version` was committed; so the ending lies between its
        // answer and now, and before the payment if its own time says so. Where nobody tells that
        // time, the payment cannot be cleared.
        if (e.committed_us && *e.committed_us > p.committed_us) continue;
        p.overlapped = true;
        json_object line;
        line.add("payment", p.id)
            .add("mission", p.mission)
            .add("version", p.version)
            .add("overlapped", true)
            .add("ended_version", e.version)
            .add("ended_as", e.state)
            .add("ended_at", e.committed_at)
            .add("heard_at", e.heard_at);
        file_.append(line);
        marked.push_back(p.id);
    }
    return marked;
}

std::optional<payment> ledger::find(const std::string& id) const {
    const std::lock_guard hold(lock_);
    const auto key = key_by_id_.find(id);
    if (key == key_by_id_.end()) return std::nullopt;
    return by_key_.at(key->second);
}

}  // namespace sample
