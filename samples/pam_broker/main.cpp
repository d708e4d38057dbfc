// A PAM broker: hands out credentials that live exactly as long as the mission they are for.
//
// Order matters. hold() is durable before the vault is asked, so a crash between the two leaves a
// hold without a credential (destroying it later is harmless) and never a credential nobody minds.
// Roles of a database (--postgres) are roles.hpp's.
#include "samples/common/subscriber.hpp"
#include "samples/pam_broker/decisions.hpp"
#include "samples/pam_broker/roles.hpp"
#include "samples/pam_broker/vault_client.hpp"

namespace {

namespace ms = mission_signals;
using sample::deny;
using sample::json_object;
using sample::log_decision;

class broker {
  public:
    // `roles`: null without a database.
    broker(ms::receiver& receiver, sample::vault_client& vault, sample::role_desk* roles,
           std::string audience)
        : receiver_(receiver), vault_(vault), roles_(roles), audience_(std::move(audience)) {}

    void add_handlers() {
        // One handler for all of it: the tasks of one held thing then follow each other, and a
        // continuation never overtakes the pause before it.
        ms::handler_options all{.name = "credential", .on = ms::terminal_effects()};
        all.on.insert(all.on.end(), {ms::effect::suspended, ms::effect::resumed});
        all.retry_max = std::chrono::seconds(5);
        receiver_.on_effect(all, [this](const ms::task& t) {
            if (sample::is_role_name(t.name)) return settle_role(t);
            if (t.why == ms::effect::suspended)
                return settled(t, "disabled",
                               vault_.change(t.name, "disable", "mission suspended"));
            if (t.why == ms::effect::resumed)
                return settled(t, "enabled", vault_.change(t.name, "enable", "mission resumed"));
            return settled(t, "destroyed", vault_.destroy(t.name, "mission " + reason(t)));
        });
    }

    void add_to(sample::web_server& server) {
        server.Post("/credentials",
                    [this](const httplib::Request& request, httplib::Response& response) {
                        issue(request, response);
                    });
        server.Post(R"(/credentials/([A-Za-z0-9_-]+)/renew)",
                    [this](const httplib::Request& request, httplib::Response& response) {
                        renew(request, response);
                    });
    }

  private:
    void issue(const httplib::Request& request, httplib::Response& response) {
        const auto body = sample::parse_object(request.body);
        if (!body) return sample::refuse(response, 400, "invalid_request", "no JSON object");
        const std::string mission = sample::text_member(*body, "mission_id");
        const std::string secret = sample::text_member(*body, "secret");

        ms::answer standing;
        if (!sample::may_have(receiver_, audience_, mission, secret, response, standing)) return;

        const std::string id = "cred-" + sample::random_name();
        if (!receiver_.hold(mission, id, secret))
            return deny(response, mission, receiver_.missions().check(mission), "issue");
        const auto created = vault_.create(id, mission, secret);
        const auto made = sample::parse_object(created.body);
        if (created.status != 201 || !made) {
            // Its outcome may be unknown: whatever was created under this id goes.
            vault_.destroy(id, "it was never handed out");
            receiver_.release(mission, id);
            return sample::refuse(response, 502, "vault",
                                  "the vault did not create the credential");
        }
        log_decision("permit", mission, standing, "issue", id);
        sample::answer(response, 201,
                       json_object()
                           .add("credential_id", id)
                           .add("credential", sample::text_member(*made, "credential"))
                           .add("secret", secret)
                           .add("mission", mission)
                           .add("expires_in", 900));
    }

    void renew(const httplib::Request& request, httplib::Response& response) {
        const std::string id = request.matches[1];
        for (const auto& held : receiver_.held()) {
            if (held.name != id) continue;
            const auto standing = receiver_.missions().check(held.mission_id);
            if (!standing.permitted()) return deny(response, held.mission_id, standing, "renew");
            if (roles_ && sample::is_role_name(id))
                return roles_->renew(response, held.mission_id, id, standing);
            if (vault_.change(id, "renew", "mission active").status != 200)
                return sample::refuse(response, 502, "vault", "the vault did not renew it");
            log_decision("permit", held.mission_id, standing, "renew", id);
            return sample::answer(response, 200, json_object().add("expires_in", 900));
        }
        // Gone with its mission, or never issued: the mission's own answer if the caller names one.
        const std::string mission = request.get_header_value("Mission-Id");
        const auto standing = receiver_.missions().check(mission);
        if (!standing.permitted()) return deny(response, mission, standing, "renew");
        sample::refuse(response, 404, "not_found", "no such credential");
    }

    ms::outcome settled(const ms::task& t, const char* what, const sample::vault_answer& answer) {
        // 404: it was held, and never came to be. 409: destroyed already, nothing to pause.
        const bool done = answer.status == 200 || answer.status == 404 || answer.status == 409;
        sample::log_line(sample::event_line("pam_broker", "teardown")
                             .add("mission", t.mission_id)
                             .add("version", t.version)
                             .add("reason", "mission " + reason(t))
                             .add("credential", t.name)
                             .add("outcome", done ? what : "vault did not confirm")
                             .add("attempt", static_cast<std::int64_t>(t.attempt)));
        if (!done) return ms::outcome::failed("vault answered " + std::to_string(answer.status));
        return ms::outcome::done(std::string(what) + " (vault: " + std::to_string(answer.status) +
                                 ")");
    }

    static std::string reason(const ms::task& t) { return std::string(ms::name(t.why)); }

    // Started without the database that it was made in, a role stays held: asked for again and
    // again, until somebody brings the database back.
    ms::outcome settle_role(const ms::task& t) {
        return roles_ ? roles_->settle(t) : ms::outcome::failed("a role, and no --postgres");
    }

    ms::receiver& receiver_;
    sample::vault_client& vault_;
    sample::role_desk* const roles_;
    const std::string audience_;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"A broker of credentials that end with their mission", "pam_broker"};
    sample::service_flags flags{.name = "pam_broker"};
    ms::options options;
    sample::role_database::settings database;
    std::string vault_url, vault_token_file, push_host = "localhost", push_authorization_file;
    int push_port = 0;
    flags.add_to(app);
    sample::add_receiver_flags(app, options);
    app.add_option("--vault", vault_url, "https://host:port of the vault")->required();
    app.add_option("--vault-token-file", vault_token_file, "The vault's admin token")->required();
    app.add_option("--push-port", push_port, "Where SETs are pushed to")->required();
    app.add_option("--push-authorization-file", push_authorization_file,
                   "What the transmitter must present in Authorization")
        ->required();
    app.add_option("--postgres", database.connection,
                   "libpq connection string of a role with CREATEROLE: POST /roles makes roles");
    app.add_option("--postgres-password-file", database.password_file,
                   "Its password, where the connection string has none");
    app.add_option("--postgres-group", database.group, "A role whose rights the new ones have");
    return sample::run_main(app, argc, argv, [&] {
        sample::block_stop_signals();
        options.delivery = ms::delivery::push;
        options.description = "PAM broker";
        options.push_listen = flags.address + ":" + std::to_string(push_port);
        options.push_public_url =
            "https://" + push_host + ":" + std::to_string(push_port) + "/events";
        options.push_certificate_file = flags.certificate;
        options.push_private_key_file = flags.private_key;
        options.push_authorization_header = "Bearer " + sample::read_token(push_authorization_file);
        options.log = sample::log_to_lines(flags.name);

        sample::vault_client vault(vault_url, options.ca_file,
                                   sample::read_token(vault_token_file));
        const auto receiver = ms::make_receiver(options);
        sample::log_changes(*receiver, flags.name);
        std::unique_ptr<sample::role_database> roles_at;
        std::unique_ptr<sample::role_desk> roles;
        if (!database.connection.empty()) {
            roles_at = sample::make_role_database(database);
            roles = std::make_unique<sample::role_desk>(*receiver, *roles_at, options.audience);
        }
        broker b(*receiver, vault, roles.get(), options.audience);
        b.add_handlers();
        sample::web_server server(flags);
        b.add_to(server);
        if (roles) roles->add_to(server);
        sample::add_view_routes(server, *receiver);
        receiver->start();
        return sample::serve(server, flags, [&] { receiver->stop(); });
    });
}
