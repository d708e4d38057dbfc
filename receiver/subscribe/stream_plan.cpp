#include "receiver/subscribe/stream_plan.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "events/mission_event.hpp"
#include "receiver/freshness/freshness.hpp"

namespace mission::receiver {
namespace {

std::vector<std::string> texts_of(const json::value& v, std::string_view name) {
    std::vector<std::string> out;
    const auto* m = json::find(v, name);
    if (m == nullptr) return out;
    if (m->IsString()) out.emplace_back(json::view(*m));
    if (!m->IsArray()) return out;
    for (const auto& one : m->GetArray()) {
        if (one.IsString()) out.emplace_back(json::view(one));
    }
    return out;
}

result<stream_config> read_stream(const json::value& v) {
    if (!v.IsObject()) return error{errc::bad_response, "a stream is no JSON object"};
    stream_config s;
    auto text = [&](const json::value& from, std::string_view name) {
        return std::string(json::find_string(from, name).value_or(""));
    };
    s.stream_id = text(v, "stream_id");
    s.iss = text(v, "iss");
    s.description = text(v, "description");
    s.default_subjects = text(v, "default_subjects");
    // Beyond a year is never; what lies outside would overflow arithmetic.
    auto seconds = [&](std::string_view name) {
        constexpr std::int64_t year = 366 * 86'400;
        return std::chrono::seconds(
            std::clamp<std::int64_t>(json::find_int(v, name).value_or(0), 0, year));
    };
    s.inactivity_timeout = seconds("inactivity_timeout");
    s.min_verification_interval = seconds("min_verification_interval");
    s.aud = texts_of(v, "aud");
    s.events_supported = texts_of(v, "events_supported");
    s.events_requested = texts_of(v, "events_requested");
    s.events_delivered = texts_of(v, "events_delivered");
    if (const auto* d = json::find(v, "delivery"); d != nullptr && d->IsObject()) {
        s.method = text(*d, "method");
        s.endpoint_url = text(*d, "endpoint_url");
    }
    if (s.stream_id.empty()) return error{errc::bad_response, "a stream without stream_id"};
    return s;
}

std::vector<std::string> sorted(std::vector<std::string> v) {
    std::sort(v.begin(), v.end());
    v.erase(std::unique(v.begin(), v.end()), v.end());
    return v;
}

// What makes it another stream than the wanted one; empty when nothing does.
std::string difference(const stream_config& s, const wanted_stream& w) {
    if (s.method != w.method) return "its delivery method is " + s.method;
    if (w.method == push_method && s.endpoint_url != w.endpoint_url) {
        return "its endpoint_url is " + s.endpoint_url;
    }
    if (!w.audience.empty() && std::find(s.aud.begin(), s.aud.end(), w.audience) == s.aud.end()) {
        return "its aud is another";
    }
    if (s.stream_id == w.known_id && w.header_changed) return "its authorization_header is another";
    const auto requested = sorted(s.events_requested);
    if (requested == sorted(w.events)) return {};
    // Made by an earlier run of ours that found the drafts' vocabulary alone on offer.
    if (sorted(w.events) == sorted(our_event_types()) &&
        requested == std::vector{std::string(events::lifecycle_change_type)}) {
        return {};
    }
    return "its events_requested are others";
}

// `aud` is the transmitter's to say: no update changes it.
bool can_be_changed(const stream_config& s, const wanted_stream& w) {
    return w.audience.empty() || std::find(s.aud.begin(), s.aud.end(), w.audience) != s.aud.end();
}

// A transmitter may cut a description short, or keep none: only the one that is known to be ours,
// and says something else, is worth a call.
bool renamed(const stream_config& s, const wanted_stream& w) {
    return s.stream_id == w.known_id && !s.description.empty() &&
           !w.description.starts_with(s.description);
}

void write_members(json::writer& out, const wanted_stream& w, bool header_deleted) {
    json::key(out, "delivery");
    out.StartObject();
    json::member(out, "method", w.method);
    if (w.method == push_method) {
        json::member(out, "endpoint_url", w.endpoint_url);
        if (!w.authorization_header.empty()) {
            json::member(out, "authorization_header", w.authorization_header);
        } else if (header_deleted) {
            json::key(out, "authorization_header");
            out.Null();
        }
    }
    out.EndObject();
    json::key(out, "events_requested");
    out.StartArray();
    for (const auto& e : w.events)
        json::string(out, e);
    out.EndArray();
    json::member(out, "description", w.description);
    // A transmitter that has no missions need not know the member, and may refuse what it does not.
    if (std::none_of(w.events.begin(), w.events.end(),
                     [](const std::string& e) { return events::is_mission_event(e); }))
        return;
    // draft-mcguinness-oauth-mission-signals "Discharge Compatibility": we ask again on it.
    json::key(out, "mission_capabilities_supported");
    out.StartArray();
    json::string(out, "authority_changed");
    out.EndArray();
}

}  // namespace

result<stream_config> parse_stream(std::string_view text) {
    auto doc = json::parse(text);
    if (doc.has_error()) return error{errc::bad_response, "the stream is no JSON"};
    return read_stream(*doc);
}

result<std::vector<stream_config>> parse_streams(std::string_view text) {
    auto doc = json::parse(text);
    if (doc.has_error()) return error{errc::bad_response, "the list of streams is no JSON"};
    std::vector<stream_config> out;
    if (doc->IsObject()) {
        auto one = read_stream(*doc);
        if (one.has_error()) return one.error();
        out.push_back(std::move(*one));
        return out;
    }
    if (!doc->IsArray()) return error{errc::bad_response, "the list of streams is no array"};
    for (const auto& v : doc->GetArray()) {
        auto one = read_stream(v);
        if (one.has_error()) return one.error();
        out.push_back(std::move(*one));
    }
    return out;
}

stream_step plan_stream(const std::vector<stream_config>& existing, const wanted_stream& w) {
    using kind = stream_step::kind;
    const stream_config* equal = nullptr;
    for (const auto& s : existing) {
        if (!difference(s, w).empty()) continue;
        // The one we know has our acknowledgements and our epoch.
        if (equal == nullptr || s.stream_id == w.known_id) equal = &s;
    }
    if (equal != nullptr && w.may_update && renamed(*equal, w)) {
        return {kind::update, *equal, "its description is another"};
    }
    if (equal != nullptr) return {kind::adopt, *equal, {}};
    if (existing.empty()) return {kind::create, {}, {}};

    const stream_config* other = nullptr;
    for (const auto& s : existing) {
        const bool ours =
            s.stream_id == w.known_id || (w.known_id.empty() && s.description == w.description);
        if (ours || other == nullptr) other = &s;
        // Nobody's but ours is changed.
        if (ours && w.may_update && can_be_changed(s, w)) {
            return {kind::update, s, difference(s, w)};
        }
        if (ours) break;
    }
    if (w.replace) return {kind::remove, *other, {}};
    return {kind::refuse, *other,
            "there is already the stream " + other->stream_id + " with another configuration: " +
                difference(*other, w) + " (delete it, or set replace_stream)"};
}

std::string create_body(const wanted_stream& w) {
    json::buffer b;
    json::writer out(b);
    out.StartObject();
    write_members(out, w, false);
    out.EndObject();
    return json::text(b);
}

std::string update_body(const std::string& stream_id, const wanted_stream& w) {
    json::buffer b;
    json::writer out(b);
    out.StartObject();
    json::member(out, "stream_id", stream_id);
    write_members(out, w, w.header_changed);
    out.EndObject();
    return json::text(b);
}

std::deque<subject_call> plan_subject_calls(std::string_view stream_id, std::string_view before,
                                            const std::vector<std::string>& wanted) {
    std::deque<subject_call> out;
    const auto mark = std::string(stream_id) + '\n';
    if (before.starts_with(mark)) {
        for (std::size_t at = mark.size(); at < before.size();) {
            const auto end = std::min(before.find('\n', at), before.size());
            const auto text = before.substr(at, end - at);
            at = end + 1;
            if (std::find(wanted.begin(), wanted.end(), text) == wanted.end()) {
                out.push_back({false, std::string(text)});
            }
        }
    }
    for (const auto& text : wanted)
        out.push_back({true, text});
    return out;
}

std::vector<std::string> missions_named(const std::vector<std::string>& subjects) {
    std::vector<std::string> out;
    for (const auto& text : subjects) {
        const auto doc = json::parse(text);
        if (doc.has_error()) continue;
        const auto parsed = events::parse_subject(*doc);
        if (parsed.has_error()) continue;
        const auto* named = &*parsed;
        if (parsed->is_complex()) {
            // A second member would have to match as well.
            const auto it = parsed->complex.find("mission");
            if (parsed->complex.size() != 1 || it == parsed->complex.end()) continue;
            named = &it->second;
        }
        if (named->format != "opaque") continue;
        const auto id = named->members.find("id");
        if (id != named->members.end() && events::valid_mission_id(id->second)) {
            out.push_back(id->second);
        }
    }
    return sorted(std::move(out));
}

std::vector<std::string> our_event_types() {
    std::vector<std::string> out;
    for (const auto name : events::mission_event_names) {
        out.push_back(std::string(events::event_type_base) + std::string(name));
    }
    return out;
}

bool any_mission_event(const std::vector<std::string>& types) {
    return std::any_of(types.begin(), types.end(),
                       [](const std::string& t) { return events::is_mission_event(t); });
}

bool should_try_lifecycle_change(const stream_config& created, const wanted_stream& w) {
    if (sorted(w.events) != sorted(our_event_types())) return false;  // the host chose
    if (carries_all_missions(created.events_delivered)) return false;
    return std::find(created.events_supported.begin(), created.events_supported.end(),
                     events::lifecycle_change_type) != created.events_supported.end();
}

}  // namespace mission::receiver
