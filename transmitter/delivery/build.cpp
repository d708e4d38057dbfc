#include "transmitter/delivery/build.hpp"

#include <algorithm>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/delivery/bridge.hpp"
#include "transmitter/missions/commit.hpp"
#include "transmitter/missions/visibility.hpp"

namespace mission::transmitter {

namespace {

// RFC 9396 leaves `resource` to the type; ours has one string, others may list several.
bool names(const json::value& entry, std::string_view audience) {
    const json::value* resource = json::find(entry, "resource");
    if (resource == nullptr) return false;
    if (resource->IsString()) return json::view(*resource) == audience;
    if (!resource->IsArray()) return false;
    return std::any_of(resource->Begin(), resource->End(), [&](const json::value& one) {
        return one.IsString() && json::view(one) == audience;
    });
}

// What every SET of a signal has in common, whatever it tells.
events::set_claims envelope(const routed_signal& signal, const stream_terms& terms,
                            std::string_view type, std::string jti) {
    events::set_claims out;
    out.iss = terms.epoch.iss;
    out.aud = terms.epoch.aud;
    out.iat = to_numeric_date(signal.row->committed_at);
    out.jti = std::move(jti);
    out.txn = signal.row->txn;
    out.type = type;
    return out;
}

// Whether the stream's client may know the other mission that a change names. Kept in the signal's
// row as of the commit, so that the SET stays the same (I4).
bool may_know_related(const std::optional<events::known_by>& k, const stream_terms& terms) {
    if (!k) return terms.visibility.missions.what == mission_visibility::kind::all;
    store::match_keys keys;
    keys.agent_client_id = k->agent_client_id;
    keys.tenant = k->tenant;
    keys.resources = k->resources;
    return may_know(terms.epoch.aud, terms.visibility.missions, keys);
}

result<void> read_event(routed_signal& out) {
    auto emitted = from_record_event(out.row->body);
    if (!emitted) return emitted.error();
    const auto text = json::parse(emitted->subject);
    if (!text) return error{errc::store_corrupt, "emitted event: its subject is not JSON"};
    auto subject = events::parse_subject(*text);
    if (!subject) return error{errc::store_corrupt, "emitted event: " + subject.error().detail};
    out.emitted = std::move(*emitted);
    out.subject = std::move(*subject);
    return {};
}

}  // namespace

result<routed_ptr> read_signal(const std::shared_ptr<const store::signal>& row) {
    auto out = std::make_shared<routed_signal>();
    out->row = std::make_shared<const store::signal>(*row);
    if (out->is_event()) {
        if (const auto read = read_event(*out); !read) return read.error();
    } else {
        auto change = recorded_change(*out->row);
        if (!change) return error{errc::store_corrupt, "signal body: " + change.error().message()};
        out->change = std::move(*change);
    }
    return routed_ptr(std::move(out));
}

result<terms_ptr> read_terms(store::stream_epoch epoch, std::string stream_id,
                             std::string client_id) {
    auto visibility = stream_visibility::from_json(epoch.visibility);
    if (!visibility) return visibility.error();
    auto out = std::make_shared<stream_terms>();
    out->epoch = std::move(epoch);
    out->visibility = std::move(*visibility);
    out->stream_id = std::move(stream_id);
    out->client_id = std::move(client_id);
    return terms_ptr(std::move(out));
}

terms_ptr terms_at(const std::vector<terms_ptr>& terms, store::seq_t seq) {
    const auto after =
        std::upper_bound(terms.begin(), terms.end(), seq,
                         [](store::seq_t s, const terms_ptr& t) { return s < t->epoch.from_seq; });
    return after == terms.begin() ? nullptr : *(after - 1);
}

jti_maker::jti_maker(std::string_view secret, std::string log_epoch)
    : key_(jose::view(jose::hmac_sha256(secret, "mission-signals jti"))),
      log_epoch_(std::move(log_epoch)) {}

std::string jti_maker::operator()(std::string_view stream_id, store::seq_t seq,
                                  std::string_view event_type) const {
    // Neither part can contain the separator.
    std::string text = log_epoch_;
    text.append("\n").append(stream_id).append("\n").append(std::to_string(seq));
    text.append("\n").append(event_type);
    const auto mac = jose::hmac_sha256(key_, text);
    return jose::base64url_encode(jose::view(mac).substr(0, 18));  // 144 bits
}

std::string entries_naming(std::string_view authorization_details, std::string_view audience) {
    auto parsed = json::parse(authorization_details);
    if (!parsed || !parsed->IsArray()) return "[]";
    json::buffer out;
    json::writer w(out);
    w.StartArray();
    for (const auto& entry : parsed->GetArray()) {
        if (names(entry, audience)) entry.Accept(w);
    }
    w.EndArray();
    return json::text(out);
}

events::mission_change cut_to(const events::mission_change& whole, const stream_terms& terms,
                              events::form form) {
    events::mission_change c = whole;
    const stream_visibility& may = terms.visibility;
    if (!may_know_related(whole.parent_known, terms)) c.parent.reset();
    if (!may_know_related(whole.successor_known, terms)) c.successor.reset();
    if (!may.user) {
        c.user_iss.reset();
        c.user_sub.reset();
    }
    if (!may.tenant) c.tenant.reset();
    if (!may.reason) {
        c.reason.reset();
        c.reason_admin.clear();
        c.reason_user.clear();
    }
    const bool tells_authority =
        form == events::form::ours && events::event_name(whole) == "mission-scope-changed";
    if (!tells_authority) {
        c.authorization_details.reset();
    } else if (c.authorization_details) {
        c.authorization_details = entries_naming(*c.authorization_details, terms.epoch.aud);
    }
    return c;
}

events::set_claims build_set(const routed_signal& signal, const stream_terms& terms,
                             events::form form, std::string_view type, std::string jti) {
    const events::mission_change told = cut_to(signal.change, terms, form);
    events::set_claims out = envelope(signal, terms, type, std::move(jti));
    out.sub_id = events::event_subject(told, form);
    out.event = events::event_body(told, form);
    return out;
}

std::string encode_set(const routed_signal& signal, const stream_terms& terms, events::form form,
                       std::string_view type, std::string_view jti, set_shape shape) {
    if (shape != set_shape::mission) {
        const bool bridge = shape == set_shape::bridge;
        events::set_claims out = envelope(signal, terms, type, std::string(jti));
        out.sub_id = bridge ? bridge_subject(signal.change, terms.visibility) : signal.subject;
        out.event = bridge ? bridge_event(signal.change, terms.visibility) : signal.emitted.event;
        return events::encode(out);
    }
    const events::mission_change told = cut_to(signal.change, terms, form);
    // The type was named when the signal was routed; what stands before the short name is the base.
    const std::size_t name = events::event_name(told).size();
    const auto base = type.substr(0, type.size() - std::min(name, type.size()));
    return events::encode_mission_set(told, form,
                                      {.iss = terms.epoch.iss,
                                       .aud = terms.epoch.aud,
                                       .iat = to_numeric_date(signal.row->committed_at),
                                       .jti = jti,
                                       .txn = signal.row->txn},
                                      form == events::form::ours ? base : events::event_type_base);
}

events::set_claims build_stream_set(const stream_terms& terms, std::string_view type,
                                    std::string event, std::string jti, wall_time at) {
    events::set_claims out;
    out.iss = terms.epoch.iss;
    out.aud = terms.epoch.aud;
    out.iat = to_numeric_date(at);
    // SSF 1.0 section 4.1.9: what it tells of has begun with this event.
    out.txn = jti;
    out.jti = std::move(jti);
    out.sub_id = events::stream_subject(terms.stream_id);
    out.type = type;
    out.event = std::move(event);
    return out;
}

}  // namespace mission::transmitter
