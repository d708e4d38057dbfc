// A PAM broker: hands out credentials that live exactly as long as the mission they are for.
//
// Order matters. hold() is durable before the vault is asked, so a crash between the two leaves a
// hold without a credential (destroying it later is harmless) and never a credential nobody minds.
#include <openssl/rand.h>

#include <stdexcept>

#include "samples/common/subscriber.hpp"
#include "samples/pam_broker/vault_client.hpp"

namespace {

namespace ms = mission_signals;
using sample::json_object;

std::string new_credential_id() {
    unsigned char octets[12];
    if (RAND_bytes(octets, sizeof octets) != 1) throw std::runtime_error("no randomness");
    std::string text = "cred-";
    constexpr char digits[] = "0123456789abcdef";
    for (const unsigned char o : octets) {
        text += digits[o >> 4];
        text += digits[o & 15];
    }
    return text;
}

class broker {
  public:
    broker(ms::receiver& receiver, sample::vault_client& vault, std::string audience)
        : receiver_(receiver), vault_(vault), audience_(std::move(audience)) {}

    void add_handlers() {
        ms::handler_options destroy{.name = "vault-destroy", .on = ms::terminal_effects()};
        destroy.retry_max = std::chrono::seconds(5);
        receiver_.on_effect(destroy, [this](const ms::task& t) {
            return settled(t, "destroyed", vault_.destroy(t.name, "mission " + reason(t)));
        });
        receiver_.on_effect(
            {.name = "vault-pause", .on = {ms::effect::suspended}}, [this](const ms::task& t) {
                return settled(t, "disabled",
                               vault_.change(t.name, "disable", "mission suspended"));
            });
        receiver_.on_effect(
            {.name = "vault-continue", .on = {ms::effect::resumed}}, [this](const ms::task& t) {
                return settled(t, "enabled", vault_.change(t.name, "enable", "mission resumed"));
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

        auto [standing, authority] = receiver_.missions().look(mission);
        if (!standing.permitted() || !authority) {
            receiver_.missions().resolve(mission, std::chrono::seconds(2));
            std::tie(standing, authority) = receiver_.missions().look(mission);
        }
        if (!standing.permitted()) return deny(response, mission, standing, "issue");
        if (!authority || !authority->permits(audience_, "credentials." + secret)) {
            const std::string why = "the mission's authority does not cover " + secret;
            log("refuse", mission, standing, "issue", why);
            return sample::refuse(response, 403, "insufficient_authority", why);
        }

        const std::string id = new_credential_id();
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
        log("permit", mission, standing, "issue", id);
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
            if (vault_.change(id, "renew", "mission active").status != 200)
                return sample::refuse(response, 502, "vault", "the vault did not renew it");
            log("permit", held.mission_id, standing, "renew", id);
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

    void deny(httplib::Response& response, const std::string& mission, const ms::answer& standing,
              const char* action) {
        log("refuse", mission, standing, action, standing.reason());
        sample::answer(response, 403, sample::refusal_body(standing, mission));
    }

    static void log(const char* decision, const std::string& mission, const ms::answer& standing,
                    const char* action, std::string_view reason) {
        sample::log_line(sample::event_line("pam_broker", "decision")
                             .add("decision", decision)
                             .add("mission", mission)
                             .add("version", standing.version)
                             .add("action", action)
                             .add("reason", reason));
    }

    ms::receiver& receiver_;
    sample::vault_client& vault_;
    const std::string audience_;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"A broker of credentials that end with their mission", "pam_broker"};
    sample::service_flags flags{.name = "pam_broker"};
    ms::options options;
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
        broker b(*receiver, vault, options.audience);
        b.add_handlers();
        sample::web_server server(flags);
        b.add_to(server);
        sample::add_view_routes(server, *receiver);
        receiver->start();
        return sample::serve(server, flags, [&] { receiver->stop(); });
    });
}
