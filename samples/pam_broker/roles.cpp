#include "samples/pam_broker/roles.hpp"

#include "samples/pam_broker/decisions.hpp"

namespace sample {

namespace ms = mission_signals;

// A task of a role that is just being made comes too early: it is tried again once this is gone.
class role_desk::making {
  public:
    making(role_desk& desk, const std::string& role) : desk_(desk), role_(role) {
        const std::lock_guard hold(desk_.lock_);
        desk_.being_made_.insert(role_);
    }
    ~making() {
        const std::lock_guard hold(desk_.lock_);
        desk_.being_made_.erase(role_);
    }
    making(const making&) = delete;
    making& operator=(const making&) = delete;

  private:
    role_desk& desk_;
    const std::string role_;
};

bool role_desk::is_being_made(const std::string& role) const {
    const std::lock_guard hold(lock_);
    return being_made_.contains(role);
}

void role_desk::add_to(web_server& server) {
    server.Post("/roles", [this](const httplib::Request& request, httplib::Response& response) {
        issue(request, response);
    });
}

void role_desk::issue(const httplib::Request& request, httplib::Response& response) {
    const auto body = parse_object(request.body);
    if (!body) return refuse(response, 400, "invalid_request", "no JSON object");
    const std::string mission = text_member(*body, "mission_id");
    const std::string secret = text_member(*body, "secret");
    ms::answer standing;
    if (!may_have(receiver_, audience_, mission, secret, response, standing)) return;

    const std::string role = role_prefix + random_name();
    const making under_way(*this, role);
    if (!receiver_.hold(mission, role, secret))
        return deny(response, mission, receiver_.missions().check(mission), "issue");
    std::string why;
    const auto access = database_.create(role, why);
    // It may have ended or been suspended while nothing was there to be dropped.
    standing = receiver_.missions().check(mission);
    if (!access || !standing.permitted() || !database_.let_in(role, why)) {
        take_back(mission, role);
        if (!standing.permitted()) return deny(response, mission, standing, "issue");
        log_decision("refuse", mission, standing, "issue", "database: " + why);
        return refuse(response, 502, "database", "the database did not make the role");
    }
    log_decision("permit", mission, standing, "issue", role);
    answer(response, 201,
           json_object()
               .add("credential_id", role)
               .add("role", role)
               .add("password", access->password)
               .add("host", access->host)
               .add("port", access->port)
               .add("dbname", access->database)
               .add("mission", mission)
               .add("expires_in", static_cast<std::int64_t>(role_database::lifetime.count())));
}

// What was never handed out goes at once; where it cannot be seen to be gone, it stays held, and
// goes with its mission.
void role_desk::take_back(const std::string& mission, const std::string& role) {
    const auto gone = database_.act({.idempotency_key = {},
                                     .why = ms::effect::ended,
                                     .mission_id = mission,
                                     .issuer = {},
                                     .name = role,
                                     .data = {}});
    log_line(event_line("pam_broker", "taken-back")
                 .add("mission", mission)
                 .add("role", role)
                 .add("outcome", ms::name(gone.kind))
                 .add("evidence", gone.evidence));
    // Of an ended mission the library settles it.
    if (gone.kind == ms::outcome_kind::acknowledged &&
        !ms::is_terminal(receiver_.missions().check(mission).what))
        receiver_.release(mission, role);
}

void role_desk::renew(httplib::Response& response, const std::string& mission,
                      const std::string& role, const ms::answer& standing) {
    std::string why;
    if (!database_.renew(role, why)) {
        log_decision("refuse", mission, standing, "renew", "database: " + why);
        return refuse(response, 502, "database", "the database did not renew it");
    }
    log_decision("permit", mission, standing, "renew", role);
    answer(response, 200,
           json_object().add("expires_in",
                             static_cast<std::int64_t>(role_database::lifetime.count())));
}

ms::outcome role_desk::settle(const ms::task& t) {
    if (is_being_made(t.name)) return ms::outcome::failed("the role is just being made");
    const auto outcome = database_.act(t);
    log_line(event_line("pam_broker", "teardown")
                 .add("mission", t.mission_id)
                 .add("version", t.version)
                 .add("reason", "mission " + std::string(ms::name(t.why)))
                 .add("role", t.name)
                 .add("outcome", ms::name(outcome.kind))
                 .add("attempt", static_cast<std::int64_t>(t.attempt))
                 .add("evidence", outcome.evidence));
    return outcome;
}

}  // namespace sample
