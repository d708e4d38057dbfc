#include "samples/authorization_server/records.hpp"

#include <algorithm>
#include <ctime>
#include <set>

namespace sample {
namespace {

std::string json_text(const rj::Value& value) {
    rj::StringBuffer out;
    rj::Writer<rj::StringBuffer> writer(out);
    value.Accept(writer);
    return {out.GetString(), out.GetSize()};
}

std::set<std::string> actions_of(const rj::Value& entry) {
    std::set<std::string> out;
    const auto list = entry.FindMember("actions");
    if (list != entry.MemberEnd() && list->value.IsArray())
        for (const auto& one : list->value.GetArray())
            if (one.IsString()) out.emplace(one.GetString(), one.GetStringLength());
    return out;
}

bool same_but_for_actions(const rj::Value& a, const rj::Value& b) {
    const auto in_other = [](const rj::Value& one, const rj::Value& other) {
        for (const auto& m : one.GetObject()) {
            if (m.name == "actions") continue;
            const auto found = other.FindMember(m.name);
            if (found == other.MemberEnd() || found->value != m.value) return false;
        }
        return true;
    };
    return in_other(a, b) && in_other(b, a);
}

bool covers(const authority_entry& wide, const authority_entry& narrow) {
    const auto w = parse_object(wide.json), n = parse_object(narrow.json);
    if (!w || !n || !same_but_for_actions(*w, *n)) return false;
    const auto all = actions_of(*w), some = actions_of(*n);
    return !some.empty() && std::includes(all.begin(), all.end(), some.begin(), some.end());
}

std::string text_in(const rj::Value& object, const char* name, const char* member) {
    const auto it = object.FindMember(name);
    return it == object.MemberEnd() || !it->value.IsObject() ? std::string()
                                                             : text_member(it->value, member);
}

std::optional<mission_record> record_of(const std::string& body) {
    const auto o = parse_object(body);
    if (!o) return std::nullopt;
    mission_record r;
    r.id = text_member(*o, "mission_id");
    r.issuer = text_member(*o, "issuer");
    r.authority_hash = text_member(*o, "authority_hash");
    r.expires_at = text_member(*o, "expires_at");
    r.state = text_member(*o, "state");
    r.version = int_member(*o, "version", 0);
    r.agent = text_in(*o, "agent", "client_id");
    r.subject = text_in(*o, "subject", "sub");
    const auto expires = seconds_of(r.expires_at);
    const auto list = o->FindMember("authorization_details");
    if (!expires || list == o->MemberEnd() || !list->value.IsArray() || r.version < 1 ||
        r.agent.empty() || r.subject.empty() || r.authority_hash.empty())
        return std::nullopt;
    r.expires = *expires;
    r.entries = entries_of(list->value);
    return r;
}

}  // namespace

std::optional<std::int64_t> seconds_of(const std::string& rfc3339) {
    std::tm utc{};
    const char* rest = ::strptime(rfc3339.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
    if (rest == nullptr || rfc3339.empty() || rfc3339.back() != 'Z') return std::nullopt;
    return static_cast<std::int64_t>(::timegm(&utc));
}

std::vector<authority_entry> entries_of(const rj::Value& array) {
    std::vector<authority_entry> out;
    if (!array.IsArray()) return out;
    for (const auto& one : array.GetArray())
        if (one.IsObject()) out.push_back({text_member(one, "resource"), json_text(one)});
    return out;
}

std::vector<std::string> mission_record::resources() const {
    std::vector<std::string> out;
    for (const auto& e : entries)
        if (!e.resource.empty() && std::find(out.begin(), out.end(), e.resource) == out.end())
            out.push_back(e.resource);
    return out;
}

std::vector<authority_entry> within(const std::vector<authority_entry>& held,
                                    const std::vector<authority_entry>& in_force) {
    std::vector<authority_entry> out;
    const auto add = [&](const authority_entry& e) {
        const bool there =
            std::any_of(out.begin(), out.end(), [&](const auto& o) { return o.json == e.json; });
        if (!there) out.push_back(e);
    };
    for (const auto& h : held)
        for (const auto& f : in_force) {
            if (covers(f, h))
                add(h);
            else if (covers(h, f))
                add(f);
        }
    return out;
}

std::optional<mission_record> mission_records::at_least(const std::string& mission,
                                                        std::int64_t version, std::string& why) {
    {
        const std::lock_guard hold(lock_);
        const auto it = kept_.find(mission);
        // Version 0: whose it is, which never changes.
        if (it != kept_.end() && (version == 0 || it->second.version == version)) return it->second;
    }
    const auto got = api_.get("/missions/" + mission);
    if (got.status != 200) {
        why = got.status == 0 ? got.body : "the mission's record: " + std::to_string(got.status);
        return std::nullopt;
    }
    auto record = record_of(got.body);
    if (!record || record->id != mission || record->version < version) {
        why = "the mission's record cannot be used";
        return std::nullopt;
    }
    const std::lock_guard hold(lock_);
    if (kept_.size() >= kept_max) kept_.clear();
    kept_[mission] = *record;
    return record;
}

}  // namespace sample
