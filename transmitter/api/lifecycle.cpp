#include <algorithm>
#include <charconv>

#include "base/crash_point.hpp"
#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/api/audit_notes.hpp"
#include "transmitter/api/mission_forms.hpp"
#include "transmitter/api/rate_limit.hpp"
#include "transmitter/missions/visibility.hpp"

// POST /mission/lifecycle: revoke, suspend, resume, complete
// (draft-mcguinness-oauth-mission-status "Mission Lifecycle Endpoint").

namespace mission::transmitter {
namespace {

struct lifecycle_request {
    std::string mission_id, nonce, request_hash, txn;
    operation_request what;
    store::audit_entry audit;  // who asks; the decision adds what came of it
};

// What the decision found out, written by its last run: a signed answer's claims, or a refusal that
// is kept with the nonce.
struct outcome {
    std::string claims;  // empty: refused
    error refused;
    bool changed = false;
};

// Members of authentication may differ in a repetition, all others may not.
bool of_authentication(std::string_view name) {
    return name.starts_with("client_") || name == "dpop" || name == "access_token";
}

std::string hash_of(const form& fields) {
    auto members = fields;
    std::erase_if(members, [](const auto& f) { return of_authentication(f.first); });
    std::sort(members.begin(), members.end());
    return jose::base64url_encode(jose::view(jose::sha256(net::encode_form(members))));
}

result<operation_request> read_operation(const form& fields) {
    const auto invalid = [](std::string what) { return error{errc::invalid_request, what}; };
    operation_request out;
    const auto op = parse_operation(field(fields, "operation"));
    if (!op) return invalid("operation: must be revoke, suspend, resume or complete");
    out.what = *op;
    if (has_field(fields, "reason")) {
        const auto reason = field(fields, "reason");
        const auto length = count_characters(reason);
        if (!length || *length > limits::reason_bytes)
            return invalid("reason: at most 1024 characters, none of them a control character");
        if (*length > 0) out.reason = std::string(reason);
    }
    if (has_field(fields, "suspend_until") != has_field(fields, "on_expiry"))
        return invalid("suspend_until and on_expiry: one needs the other");
    if (has_field(fields, "suspend_until")) {
        if (out.what != operation::suspend) return invalid("suspend_until: only with suspend");
        const auto until = from_rfc3339(field(fields, "suspend_until"));
        if (!until) return invalid("suspend_until: not an RFC 3339 date-time");
        out.suspend_until = *until;
        out.expiry_action = events::parse_on_expiry(field(fields, "on_expiry"));
        if (!out.expiry_action) return invalid("on_expiry: must be resume or revoke");
    }
    if (has_field(fields, "expected_version")) {
        const auto text = field(fields, "expected_version");
        std::int64_t version = 0;
        const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), version);
        if (failed != std::errc{} || end != text.data() + text.size() || version < 1)
            return invalid("expected_version: must be a version");
        out.expected_version = version;
    }
    return out;
}

// {"claims": {..}} or {"refused": "conflict" | "stale_version", "description": ..}.
std::string to_record(const outcome& o) {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    if (!o.claims.empty()) {
        json::key(w, "claims");
        json::raw(w, o.claims);
    } else {
        json::member(w, "refused",
                     o.refused == errc::stale_version     ? "stale_version"
                     : o.refused == errc::invalid_request ? "invalid_request"
                                                          : "conflict");
        json::member(w, "description", o.refused.detail);
    }
    w.EndObject();
    return json::text(buffer);
}

result<outcome> from_record(std::string_view text) {
    const auto parsed = json::parse(text);
    if (!parsed) return error{errc::store_corrupt, "a stored outcome is no JSON"};
    outcome out;
    if (const auto* claims = json::find(*parsed, "claims")) {
        out.claims = json::write(*claims);
        return out;
    }
    const auto refused = json::find_string(*parsed, "refused").value_or("conflict");
    out.refused = {refused == "stale_version"     ? errc::stale_version
                   : refused == "invalid_request" ? errc::invalid_request
                                                  : errc::mission_conflict,
                   std::string(json::find_string(*parsed, "description").value_or(""))};
    return out;
}

result<store::changes> decide(const issuer_service& issuer, const client_config& client,
                              const lifecycle_request& request, bool clock_ok, outcome& out,
                              const store::rows& rows, wall_time now) {
    out = {};
    store::changes changes;
    // I11: who asks twice is answered once, before anything else is looked at.
    const auto known =
        rows.find_nonce(issuer.id, "lifecycle", client.id, request.mission_id, request.nonce);
    if (known && known->expires_at > now) {
        if (known->request_hash != request.request_hash)
            return error{errc::invalid_request, "the nonce was used with another request"};
        auto stored = from_record(known->outcome);
        if (!stored) return stored.error();
        out = std::move(*stored);
        return changes;
    }
    auto m = rows.find_mission(issuer.id, request.mission_id);
    if (!m || !may_know(client, keys_of(*m))) return error{errc::mission_not_found};
    settlement s(rows, context_of(issuer, rows, request.txn, now), clock_ok);
    m = s.settle(m->state.row);

    auto judged = issuer.settings.mirror
                      ? result<std::optional<proposal>>(error{
                            errc::mission_conflict, "this issuer mirrors another: operate there"})
                      : judge_operation(m->state, request.what, now);
    if (judged && *judged) *m = s.commit(*m, **judged, request.audit);
    out.changed = s.dirty();
    const auto view = view_of(rows, *m);
    if (judged)
        out.claims = status_claims(view, issuer, {&client, std::nullopt, request.nonce}, now);
    else
        out.refused = judged.error();
    changes = s.take();
    if (!judged || !*judged) {
        auto entry = request.audit;
        entry.outcome = judged ? "unchanged" : refused_outcome(judged.error());
        changes.audit.push_back(std::move(entry));
    }
    changes.nonces.push_back({issuer.id, "lifecycle", client.id, request.mission_id, request.nonce,
                              request.request_hash, to_record(out), now + limits::nonce_retention});
    return changes;
}

void answer(const issuer_service& issuer, const lifecycle_request& request, const outcome& out,
            const result<store::receipt>& done, const net::responder& respond) {
    if (!done) {
        respond(form_error_answer({done.error(), request.nonce}));
        return note_refusal(issuer, request.audit, done.error());
    }
    // Tests kill the process here: committed, and nobody knows yet.
    if (out.changed) crash_point("commit_answer");
    if (out.claims.empty()) return respond(form_error_answer({out.refused, request.nonce}));
    answer_signed(issuer, out.claims, request.nonce, respond);
}

store::audit_entry audit_of(const issuer_service& issuer, const principal& who,
                            const net::http_request& http, const std::string& mission_id,
                            const operation_request& what) {
    auto entry = audited(issuer, who, http);
    entry.action = "lifecycle." + std::string(name(what.what));
    entry.target = mission_id;
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    if (what.reason) json::member(w, "reason", *what.reason);
    if (what.suspend_until) {
        json::member(w, "suspend_until", to_rfc3339(*what.suspend_until));
        json::member(w, "on_expiry", events::name(*what.expiry_action));
    }
    w.EndObject();
    entry.detail = json::text(buffer);
    return entry;
}

void handle(issuer_service& issuer, const authenticator& auth, rate_limiter& rate,
            const net::http_request& http, const net::responder& respond) {
    mission_form form;
    principal who;
    if (const auto refused = read_mission_form(http, auth, issuer.url("/mission/lifecycle"),
                                               "mission_lifecycle", form, who))
        return respond(form_error_answer(*refused));
    if (const auto wait = rate.take(who.client->id, issuer.common->time->steady_now()))
        return respond(form_error_answer({too_many(*wait), form.nonce}));
    auto op = read_operation(form.fields);
    if (!op) return respond(form_error_answer({op.error(), form.nonce}));
    const auto& client = *who.client;
    // The explicit grant: the client's `lifecycle` list. Refused like an unknown mission.
    if (std::find(client.lifecycle.begin(), client.lifecycle.end(), name(op->what)) ==
        client.lifecycle.end()) {
        respond(form_error_answer({errc::mission_not_found, form.nonce}));
        return note_refusal(issuer, audit_of(issuer, who, http, form.mission_id, *op),
                            {errc::forbidden, "an operation that this client may not use"});
    }
    auto request = std::make_shared<const lifecycle_request>(
        lifecycle_request{form.mission_id, form.nonce, hash_of(form.fields), new_txn(issuer), *op,
                          audit_of(issuer, who, http, form.mission_id, *op)});
    auto out = std::make_shared<outcome>();
    const bool clock_ok = clock_trusted(*issuer.common);
    issuer.common->db->submit(
        [&issuer, &client, request, out, clock_ok](const store::rows& rows, wall_time now) {
            return decide(issuer, client, *request, clock_ok, *out, rows, now);
        },
        [&issuer, request, out, respond](result<store::receipt> done) {
            issuer.common->runtime->post_work([&issuer, request, out, respond, done] {
                answer(issuer, *request, *out, done, respond);
            });
        });
}

}  // namespace

void add_lifecycle_route(router& r, issuer_service& issuer, authenticator& auth) {
    const auto per_second = issuer.common->settings.missions.lifecycle_rate;
    auto rate = std::make_shared<rate_limiter>(per_second, 2 * per_second);
    r.add("POST", "/mission/lifecycle",
          [&, rate](net::http_request request, std::string, net::responder respond) {
              auto shared = std::make_shared<const net::http_request>(std::move(request));
              issuer.common->runtime->post_work([&issuer, &auth, rate, shared, respond] {
                  handle(issuer, auth, *rate, *shared, respond);
              });
          });
}

}  // namespace mission::transmitter
