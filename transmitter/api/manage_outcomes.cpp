#include <algorithm>
#include <array>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/api/audit_origin.hpp"
#include "transmitter/api/manage.hpp"

// What came of a request: committed with its audit entry, kept for whoever asks again, answered.

namespace mission::transmitter {
namespace {

constexpr std::array kept_refusals{errc::invalid_request, errc::invalid_bulk_token,
                                   errc::stale_bulk_token, errc::filter_too_broad};

std::string sealing_context(const manage_call& call) {
    return "manage outcome " + call.client.id + " " + call.nonce;
}

// {"claims": .., "token"?: sealed} | {"job": ..} | {"refused": .., "description": ..}.
std::string to_record(const manage_call& call, const manage_outcome& out) {
    const auto& common = *call.issuer.common;
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    if (!out.job.empty()) {
        json::member(w, "job", out.job);
    } else if (!out.claims.empty()) {
        json::key(w, "claims");
        json::raw(w, out.claims);
        // A token lies nowhere in clear: whoever reads the store cannot execute with it.
        if (!out.bulk_token.empty())
            json::member(w, "token",
                         jose::base64url_encode(jose::seal(common.settings.secrets_key,
                                                           sealing_context(call), out.bulk_token,
                                                           *common.random)));
    } else {
        json::member(w, "refused", name(out.refused.code));
        json::member(w, "description", out.refused.detail);
    }
    w.EndObject();
    return json::text(buffer);
}

result<manage_outcome> from_record(const manage_call& call, std::string_view text) {
    const error corrupt{errc::store_corrupt, "a stored outcome is no outcome"};
    const auto parsed = json::parse(text);
    if (!parsed) return corrupt;
    manage_outcome out;
    if (const auto job = json::find_string(*parsed, "job")) {
        out.job = *job;
    } else if (const auto* claims = json::find(*parsed, "claims")) {
        out.claims = json::write(*claims);
        if (const auto sealed = json::find_string(*parsed, "token")) {
            const auto octets = jose::base64url_decode(*sealed);
            if (!octets) return corrupt;
            auto token = jose::open_sealed(call.issuer.common->settings.secrets_key,
                                           sealing_context(call), *octets);
            if (!token) return corrupt;
            out.bulk_token = std::move(*token);
        }
    } else {
        const auto refused = json::find_string(*parsed, "refused").value_or("");
        const auto* code = std::find_if(kept_refusals.begin(), kept_refusals.end(),
                                        [&](errc c) { return mission::name(c) == refused; });
        if (code == kept_refusals.end()) return corrupt;
        out.refused = {*code, std::string(json::find_string(*parsed, "description").value_or(""))};
    }
    return out;
}

void answer(const manage_ptr& call, const manage_outcome& out) {
    if (!out.job.empty())
        return call->runner->run(out.job, [call, job = out.job](result<void> over) {
            if (!over) return call->respond(manage_error_answer(over.error(), call->nonce));
            answer_manifest(call, job);
        });
    if (out.claims.empty()) return call->respond(manage_error_answer(out.refused, call->nonce));
    if (out.bulk_token.empty()) return answer_signed_claims(*call, out.claims);
    auto claims = out.claims;
    claims.pop_back();
    answer_signed_claims(*call, claims + R"(,"bulk_token":")" + out.bulk_token + "\"}");
}

std::string outcome_name(const manage_outcome& out) {
    return out.claims.empty() && out.job.empty() ? refused_outcome(out.refused) : "done";
}

}  // namespace

void conclude(const manage_ptr& call, manage_outcome out, detail_members detail, also_commit also) {
    struct shared_outcome {
        manage_outcome first, given;
    };
    auto found = std::make_shared<shared_outcome>();
    found->first = std::move(out);
    auto entry = call->audit;
    entry.detail = manage_detail(call->subject, detail);
    const auto record = found->first.kept ? to_record(*call, found->first) : std::string();
    const auto kept_for = call->request.what == manage_request::kind::enumerate
                              ? std::chrono::milliseconds(limits::manage_page_retention)
                              : std::chrono::milliseconds(limits::nonce_retention);
    call->issuer.common->db->submit(
        [call, found, entry, record, kept_for, also = std::move(also)](
            const store::rows& rows, wall_time now) -> result<store::changes> {
            found->given = found->first;
            store::changes changes;
            const auto& issuer = call->issuer;
            // I11: two of the same nonce at once are one.
            const auto known =
                call->nonce.empty() || record.empty()
                    ? std::nullopt
                    : rows.find_nonce(issuer.id, "manage", call->client.id, "", call->nonce);
            if (known && known->expires_at > now) {
                if (known->request_hash != call->request_hash) {
                    found->given = manage_refusal(
                        {errc::invalid_request, "the nonce was used with another request"}, false);
                } else {
                    auto stored = from_record(*call, known->outcome);
                    if (!stored) return stored.error();
                    found->given = std::move(*stored);
                }
            } else if (!record.empty()) {
                auto kept = record;
                if (const auto ok = also ? also(rows, now, changes) : result<void>(); !ok) {
                    changes = {};
                    found->given = manage_refusal(ok.error(), true);
                    kept = to_record(*call, found->given);
                }
                changes.nonces.push_back({issuer.id, "manage", call->client.id, "", call->nonce,
                                          call->request_hash, std::move(kept), now + kept_for});
            }
            changes.audit.push_back(entry);
            changes.audit.back().outcome = outcome_name(found->given);
            return changes;
        },
        [call, found](result<store::receipt> done) {
            call->issuer.common->runtime->post_work([call, found, done] {
                if (!done) return call->respond(manage_error_answer(done.error(), call->nonce));
                answer(call, found->given);
            });
        });
}

void answer_known(const manage_ptr& call, const store::nonce_record& known) {
    if (known.request_hash != call->request_hash)
        return conclude(
            call,
            manage_refusal({errc::invalid_request, "the nonce was used with another request"},
                           false),
            {});
    auto stored = from_record(*call, known.outcome);
    if (!stored) return call->respond(manage_error_answer(stored.error(), call->nonce));
    stored->kept = false;
    conclude(call, std::move(*stored), {{"repeated", "true"}});
}

}  // namespace mission::transmitter
