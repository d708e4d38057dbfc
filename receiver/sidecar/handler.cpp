#include "receiver/sidecar/handler.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "base/time.hpp"
#include "events/mission_event.hpp"
#include "receiver/sidecar/authzen.hpp"
#include "receiver/sidecar/limits.hpp"
#include "receiver/sidecar/references.hpp"

namespace mission::receiver::sidecar {
namespace {

constexpr std::string_view envoy_prefix = "/envoy";

reason reason_of(const error& e) noexcept {
    if (e == errc::keys_unavailable) return reason::keys_unavailable;
    return e == errc::token_expired ? reason::token_expired : reason::invalid_token;
}

void time_member(json::writer& w, std::string_view name,
                 const std::optional<std::chrono::system_clock::time_point>& t) {
    if (t)
        json::member(w, name,
                     to_rfc3339(std::chrono::time_point_cast<std::chrono::milliseconds>(*t)));
}

std::string mission_json(const decision& d, const std::optional<ms::mission_view>& view) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::member(w, "mission_id", d.mission_id);
    json::key(w, "permitted");
    w.Bool(d.permitted());
    json::member(w, "reason", name(d.why));
    json::member(w, "description", description(d.why));
    // As last told, where the standing is one of ours (stale, gap); else they are the same.
    json::member(
        w, "state",
        view && !view->state.empty() ? std::string_view(view->state) : ms::name(d.now.what));
    json::member(w, "standing", ms::name(d.now.what));
    json::key(w, "version");
    w.Int64(d.now.version);
    json::member(w, "freshness",
                 d.now.what == ms::standing::unknown                                    ? "unknown"
                 : d.now.what == ms::standing::stale || d.now.what == ms::standing::gap ? "stale"
                                                                                        : "fresh");
    if (d.now.why != ms::cause::none) json::member(w, "cause", ms::name(d.now.why));
    if (view) {
        json::member(w, "issuer", view->issuer);
        time_member(w, "expires_at", view->expires_at);
        time_member(w, "fresh_until", view->fresh_until);
        time_member(w, "suspend_until", view->suspend_until);
    }
    w.EndObject();
    return json::text(b);
}

// Shared: what waits for Mission Status or for keys may outlive the server.
class handler final : public net::http_handler, public std::enable_shared_from_this<handler> {
  public:
    handler(std::shared_ptr<core> shared, std::function<std::string()> more_metrics)
        : core_(std::move(shared)), more_metrics_(std::move(more_metrics)) {}

    void handle(net::http_request request, net::responder respond) override {
        const std::string_view path = request.path;
        if (path == "/auth") return auth_request(request, respond);
        if (path.starts_with(envoy_prefix) &&
            (path.size() == envoy_prefix.size() || path[envoy_prefix.size()] == '/'))
            return ext_authz(request, respond);
        if (path == "/access/v1/evaluation") return authzen(request, false, respond);
        if (path == "/access/v1/evaluations") return authzen(request, true, respond);
        if (request.method != "GET" && request.method != "HEAD")
            return refuse_method(path, respond);
        if (path == "/.well-known/authzen-configuration") return metadata(respond);
        if (path.starts_with("/missions/")) return mission(request, respond);
        if (path == "/healthz") return respond(json_response(200, R"({"status":"up"})"));
        if (path == "/readyz") return ready(respond);
        if (path == "/metrics") return metrics(respond);
        respond(error_response(404, "not_found", "Nothing is here."));
    }

    net::http_response refuse(const net::http_request&, int status, std::string_view err,
                              std::string_view why) override {
        return error_response(status, err, why);
    }

  private:
    using policy_ptr = std::shared_ptr<const policy>;

    // -------------------------------------------------------------------- guards of a proxy
    void auth_request(const net::http_request& request, const net::responder& respond) {
        const auto p = core_->current();
        const auto asked = original_request(request, p->s);
        if (asked.refused) return deny(door::auth_request, *asked.refused, respond);
        guard(door::auth_request, p, request, asked.method, asked.target, respond);
    }

    void ext_authz(const net::http_request& request, const net::responder& respond) {
        const auto p = core_->current();
        auto target = std::string_view(request.path).substr(envoy_prefix.size());
        if (target.empty()) target = "/";
        guard(door::ext_authz, p, request, request.method, target, respond);
    }

    void deny(door at, reason why, const net::responder& respond) {
        core_->counted.count(at, why);
        respond(guard_response({.why = why}));
    }

    void guard(door at, const policy_ptr& p, const net::http_request& request,
               std::string_view method, std::string_view target, const net::responder& respond) {
        const auto needed = need_of(request, method, target, p->s);
        if (needed.refused) return deny(at, *needed.refused, respond);
        auto found = find_references(request, p->s);
        if (found.refused) return deny(at, *found.refused, respond);
        if (found.token.empty() || !p->tokens) {
            return decide(at, p, agree(found, nullptr, p->s), needed.what, respond);
        }
        const auto token = std::exchange(found.token, {});  // it points into the request
        p->tokens->judge(token, [self = shared_from_this(), at, p, found = std::move(found),
                                 what = needed.what, respond](const token_desk::answer& claims) {
            if (!claims) return self->deny(at, reason_of(claims.error()), respond);
            self->decide(at, p, agree(found, claims->get(), p->s), what, respond);
        });
    }

    void decide(door at, const policy_ptr& p, const agreed& of, const wanted& what,
                const net::responder& respond) {
        if (of.refused) return deny(at, *of.refused, respond);
        const auto d = judge(core_->missions, of.of, what);
        // Another issuer's missions are told by signals alone.
        if (!worth_asking(d, p->s) || !of.of.issuer.empty()) return tell(at, d, respond);
        core_->settle(
            {of.of.mission_id}, p->s,
            [self = shared_from_this(), at, of = of.of, what, respond](const core::causes& causes) {
                auto again = judge(self->core_->missions, of, what);
                if (again.doubtful()) again.now.why = cause_of(causes, again.mission_id);
                self->tell(at, again, respond);
            });
    }

    void tell(door at, const decision& d, const net::responder& respond) {
        core_->counted.count(at, d.why);
        respond(guard_response(d));
    }

    // -------------------------------------------------------------------------------- AuthZEN
    void authzen(const net::http_request& request, bool batch, const net::responder& respond) {
        const std::string id(request.fields.get("x-request-id"));
        const auto reply = [id, respond](net::http_response r) {
            if (!id.empty() && id.size() <= limits::request_id_bytes)
                r.fields.add("x-request-id", id);
            respond(std::move(r));
        };
        const auto bad = [&](int status, std::string_view why) {
            reply(error_response(status, "invalid_request", why));
        };
        const auto p = core_->current();
        if (request.method != "POST") {
            auto r = error_response(405, "invalid_request", "Evaluations are asked for with POST.");
            r.fields.add("allow", "POST");
            return reply(std::move(r));
        }
        if (id.size() > limits::request_id_bytes) return bad(400, "X-Request-ID is too long");
        // Whoever asks names the mission himself.
        if (!p->s.trusted_proxies.has(request.peer.address))
            return reply(error_response(403, name(reason::untrusted_proxy),
                                        description(reason::untrusted_proxy)));
        if (!is_json(request.fields.get("content-type")))
            return bad(400, "the body has to be application/json");
        auto parsed = authzen::parse(request.body, batch);
        if (!parsed) return bad(400, parsed.error().detail);
        auto asked = std::make_shared<const authzen::request>(std::move(*parsed));
        auto doubts = worth_asking_of(*asked, p->s);
        if (doubts.empty()) return reply(json_response(200, evaluate(*asked, p->s, {})));
        core_->settle(std::move(doubts), p->s,
                      [self = shared_from_this(), asked, p, reply](const core::causes& causes) {
                          reply(json_response(200, self->evaluate(*asked, p->s, causes)));
                      });
    }

    std::string evaluate(const authzen::request& asked, const settings& s,
                         const core::causes& causes) {
        return authzen::answer(asked, [&](const authzen::evaluation& e) {
            auto d = authzen::decide(e, core_->missions, s);
            if (d.doubtful()) d.now.why = cause_of(causes, d.mission_id);
            core_->counted.count(door::authzen, d.why);
            return d;
        });
    }

    // The missions of a request that Status may know more about.
    std::vector<std::string> worth_asking_of(const authzen::request& asked,
                                             const settings& s) const {
        std::vector<std::string> out;
        if (!s.resolve && s.authzen == authzen_authority::none) return out;
        for (const auto& e : asked.all) {
            if (out.size() == limits::resolved_per_request) break;  // the rest as it is
            if (!e.problem.empty() || !worth_asking(authzen::decide(e, core_->missions, s), s))
                continue;
            if (std::find(out.begin(), out.end(), e.missions.front()) == out.end())
                out.push_back(e.missions.front());
        }
        return out;
    }

    static bool is_json(std::string_view content_type) {
        auto type = content_type.substr(0, content_type.find(';'));
        while (type.ends_with(' '))
            type.remove_suffix(1);
        constexpr std::string_view wanted = "application/json";
        return type.empty() ||
               std::equal(type.begin(), type.end(), wanted.begin(), wanted.end(),
                          [](char a, char b) {
                              return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
                          });
    }

    void metadata(const net::responder& respond) {
        const auto p = core_->current();
        if (p->s.public_url.empty())
            return respond(error_response(404, "not_found", "check.public_url is not set."));
        auto r = json_response(200, authzen::metadata(p->s.public_url));
        r.fields.set("cache-control", "max-age=300");
        respond(std::move(r));
    }

    // ------------------------------------------------------------------------------- missions
    void mission(const net::http_request& request, const net::responder& respond) {
        const auto p = core_->current();
        if (!p->s.trusted_proxies.has(request.peer.address))
            return respond(error_response(403, name(reason::untrusted_proxy),
                                          description(reason::untrusted_proxy)));
        auto rest = std::string_view(request.path).substr(std::string_view("/missions/").size());
        wanted what;
        const auto slash = rest.find('/');
        if (slash != std::string_view::npos) {
            if (rest.substr(slash) != "/permits")
                return respond(error_response(404, "not_found", "Nothing is here."));
            rest = rest.substr(0, slash);
            const auto query = net::parse_form(request.query);
            if (query) {
                for (const auto& [name, value] : *query) {
                    if (name == "resource") what.resource = value;
                    if (name == "action") what.action = value;
                }
            }
            if (what.resource.empty() || what.action.empty())
                return respond(error_response(400, "invalid_request",
                                              "resource and action are needed, each once"));
        }
        if (!events::valid_mission_id(rest))
            return respond(error_response(400, "invalid_request", "not a mission id"));
        const reference of{.mission_id = std::string(rest)};
        const auto d = judge(core_->missions, of, what);
        if (!worth_asking(d, p->s)) return show(d, respond);
        core_->settle({of.mission_id}, p->s,
                      [self = shared_from_this(), of, what, respond](const core::causes& causes) {
                          auto again = judge(self->core_->missions, of, what);
                          if (again.doubtful()) again.now.why = cause_of(causes, again.mission_id);
                          self->show(again, respond);
                      });
    }

    void show(const decision& d, const net::responder& respond) {
        core_->counted.count(door::mission, d.why);
        respond(json_response(200, mission_json(d, core_->missions.view(d.mission_id))));
    }

    // ------------------------------------------------------------------------------ operation
    static void refuse_method(std::string_view path, const net::responder& respond) {
        const bool known = path.starts_with("/missions/") || path == "/healthz" ||
                           path == "/readyz" || path == "/metrics" ||
                           path == "/.well-known/authzen-configuration";
        if (!known) return respond(error_response(404, "not_found", "Nothing is here."));
        auto r = error_response(405, "invalid_request", "This is read with GET.");
        r.fields.add("allow", "GET, HEAD");
        respond(std::move(r));
    }

    // The rest may wait for locks of the receiver: off the network threads.
    void ready(const net::responder& respond) {
        core_->rt->post_work([core = core_, respond] {
            const auto s = core->rx.current_status();
            json::buffer b;
            json::writer w(b);
            w.StartObject();
            json::key(w, "ready");
            w.Bool(s.streaming);
            time_member(w, "live_until", s.live_until);
            if (!s.streaming) {
                const auto problem = core->rx.last_setup_problem();
                if (!problem.empty()) json::member(w, "problem", problem);
            }
            w.EndObject();
            respond(json_response(s.streaming ? 200 : 503, json::text(b)));
        });
    }

    void metrics(const net::responder& respond) {
        core_->rt->post_work([core = core_, more = more_metrics_, respond] {
            net::http_response r;
            r.fields.add("content-type", "text/plain; version=0.0.4; charset=utf-8");
            r.fields.add("cache-control", "no-store");
            r.body = (more ? more() : std::string()) + core->counted.text();
            respond(std::move(r));
        });
    }

    const std::shared_ptr<core> core_;
    const std::function<std::string()> more_metrics_;
};

}  // namespace

std::shared_ptr<net::http_handler> make_handler(std::shared_ptr<core> shared,
                                                std::function<std::string()> more_metrics) {
    return std::make_shared<handler>(std::move(shared), std::move(more_metrics));
}

}  // namespace mission::receiver::sidecar
