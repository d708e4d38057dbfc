#include "transmitter/api/manage.hpp"

#include <map>
#include <mutex>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/api/audit_origin.hpp"
#include "transmitter/api/mission_forms.hpp"
#include "transmitter/api/rate_limit.hpp"

namespace mission::transmitter {
namespace {

constexpr std::string_view scope = "mission_management";

// Every request is audited, and a client that is held back for asking too often would fill the
// audit instead: of those it is told once a second, with their number.
class held_back_audit {
  public:
    // How many were not written since the last one that was; nullopt: do not write this one.
    std::optional<std::int64_t> next(const std::string& client, steady_time now) {
        const std::lock_guard lock(mutex_);
        auto& seen = clients_[client];  // clients are configured: no more than there are entries
        if (seen.written != steady_time{} && now < seen.written + std::chrono::seconds(1)) {
            ++seen.silent;
            return std::nullopt;
        }
        seen.written = now;
        return std::exchange(seen.silent, 0);
    }

  private:
    struct last {
        steady_time written{};
        std::int64_t silent = 0;
    };
    std::mutex mutex_;
    std::map<std::string, last> clients_;
};

struct endpoint {
    issuer_service& issuer;
    authenticator& auth;
    std::shared_ptr<bulk_runner> runner;
    rate_limiter rate;
    held_back_audit held_back;
};

bool of_authentication(std::string_view name) {
    return name.starts_with("client_") || name == "dpop" || name == "access_token";
}

// The members of authentication, as the form endpoints have them.
form authentication_of(const json::value& body) {
    form out;
    for (const auto& m : body.GetObject())
        if (of_authentication(json::view(m.name)) && m.value.IsString())
            out.emplace_back(json::view(m.name), json::view(m.value));
    return out;
}

// The request without them, whatever the order of its members; "" when it cannot be canonical.
std::string hash_of(const json::value& body) {
    json::document rest;
    rest.SetObject();
    auto& a = rest.GetAllocator();
    for (const auto& m : body.GetObject())
        if (!of_authentication(json::view(m.name)))
            rest.AddMember(json::value(m.name, a), json::value(m.value, a), a);
    const auto text = json::canonical(rest);
    return text ? jose::base64url_encode(jose::view(jose::sha256(*text))) : std::string();
}

std::string cut(std::string_view text, std::size_t most) {
    auto end = std::min(text.size(), most);
    while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    return std::string(text.substr(0, end));
}

manage_subject subject_of(const json::value& body) {
    manage_subject out;
    const auto text = [&](const char* name, std::size_t most) {
        return cut(json::find_string(body, name).value_or(""), most);
    };
    out.operation = text("operation", 64);
    out.mode = text("mode", 64);
    out.why = text(out.operation == "enumerate" ? "purpose" : "reason", 4 * limits::manage_reason);
    if (const auto* f = json::find(body, "filter"); f && f->IsObject()) {
        auto filter = json::canonical(*f);
        if (filter && filter->size() <= limits::manage_filter_bytes)
            out.filter = std::move(*filter);
    }
    return out;
}

std::string nonce_of(const json::value& body) {
    const auto text = json::find_string(body, "nonce").value_or("");
    const auto length = count_characters(text);
    return length && *length >= 1 && *length <= limits::nonce_max ? std::string(text)
                                                                  : std::string();
}

// What only the store knows before anything else: is the caller an agent, was the nonce used?
void ask_store(const manage_ptr& call) {
    struct known {
        bool agent = false;
        std::optional<store::nonce_record> nonce;
    };
    auto found = std::make_shared<known>();
    call->issuer.common->db->read(
        [call, found](const store::rows& rows) {
            *found = {};
            const auto& issuer = call->issuer;
            store::mission_filter f;
            f.agent_client_id = call->client.id;
            f.limit = 1;
            found->agent = !rows.list_missions(issuer.id, f).empty();
            found->nonce = rows.find_nonce(issuer.id, "manage", call->client.id, "", call->nonce);
            if (found->nonce && found->nonce->expires_at <= issuer.common->time->now())
                found->nonce.reset();
        },
        [call, found](result<void> done) {
            call->issuer.common->runtime->post_work([call, found, done] {
                if (!done) return call->respond(manage_error_answer(done.error(), call->nonce));
                // Authentication: an agent manages no missions, its own least of all.
                if (found->agent)
                    return conclude(
                        call,
                        manage_refusal({errc::forbidden, "an agent manages no missions"}, false),
                        {});
                if (found->nonce) return answer_known(call, *found->nonce);
                switch (call->request.what) {
                    case manage_request::kind::enumerate:
                        return manage_enumerate(call);
                    case manage_request::kind::dry_run:
                        return manage_dry_run(call);
                    case manage_request::kind::execute:
                        return manage_execute(call);
                }
            });
        });
}

// Rate, scope, form, grant: from the client's entry and the request alone.
result<manage_request> judge(endpoint& at, const principal& who, const manage_call& call,
                             const json::value& body) {
    if (!who.has(scope)) return error{errc::forbidden, "this client may not manage missions"};
    if (call.nonce.empty())
        return error{errc::invalid_request, "/nonce: must have 1 to 255 characters"};
    auto request = read_manage_request(body);
    if (!request) return request.error();
    if (auto ok = check_grant(*who.client, at.issuer.settings.mirror, *request); !ok)
        return ok.error();
    if (call.request_hash.empty()) return error{errc::invalid_request, "a number is too large"};
    return request;
}

void handle(endpoint& at, const net::http_request& http, const net::responder& respond) {
    const auto body = json_body(http);
    if (!body) return respond(manage_error_answer(body.error(), {}));
    if (!body->IsObject())
        return respond(
            manage_error_answer({errc::invalid_request, "the body must be a JSON object"}, {}));
    const auto nonce = nonce_of(*body);
    // The scope is judged below: the audit names whom it refuses.
    auto who =
        at.auth.form_client(http, authentication_of(*body), at.issuer.url("/mission/manage"), {});
    // A token that a mission has given rise to is no authentication here.
    if (who && who->of_mission) who = error{errc::unauthenticated, "a token of a mission"};
    if (!who) return respond(manage_error_answer(who.error(), nonce));

    auto& common = *at.issuer.common;
    auto call = std::make_shared<manage_call>(manage_call{at.issuer,
                                                          *who->client,
                                                          at.runner,
                                                          subject_of(*body),
                                                          {},
                                                          nonce,
                                                          hash_of(*body),
                                                          new_txn(at.issuer),
                                                          audited(at.issuer, *who, http),
                                                          clock_trusted(common),
                                                          respond});
    const auto& operation = call->subject.operation;
    const bool known = operation == "enumerate" || parse_operation(operation);
    call->audit.action = "manage." + (known ? operation : std::string("request"));

    if (const auto wait = at.rate.take(who->client->id, common.time->steady_now())) {
        const auto silent = at.held_back.next(who->client->id, common.time->steady_now());
        if (!silent) return respond(manage_error_answer(too_many(*wait), nonce));
        return conclude(call, manage_refusal(too_many(*wait), false),
                        {{"not_written_before", std::to_string(*silent)}});
    }
    auto request = judge(at, *who, *call, *body);
    if (!request) return conclude(call, manage_refusal(request.error(), false), {});
    // A deployment should alert on it: it undoes what an incident has held.
    if (request->what != manage_request::kind::enumerate && request->bulk.what == operation::resume)
        log(level::warning, "bulk resume asked for",
            {{"client", who->client->id}, {"mode", call->subject.mode}});
    call->request = std::move(*request);
    ask_store(call);
}

}  // namespace

void add_manage_route(router& r, issuer_service& issuer, authenticator& auth,
                      std::shared_ptr<bulk_runner> runner) {
    const auto rate = issuer.common->settings.missions.manage_rate;
    // Not an aggregate on the stack: its parts cannot be moved.
    std::shared_ptr<endpoint> at(
        new endpoint{issuer, auth, std::move(runner), {rate, 2 * rate}, {}});
    r.add("POST", "/mission/manage",
          [at](net::http_request request, std::string, net::responder respond) {
              // The assertion is verified on a worker: network threads only move octets.
              auto shared = std::make_shared<const net::http_request>(std::move(request));
              at->issuer.common->runtime->post_work(
                  [at, shared, respond] { handle(*at, *shared, respond); });
          });
}

}  // namespace mission::transmitter
