// An authorization server: short-lived access tokens for agents on missions, and none beyond them.
//
// Every derivation asks the receiver library first: unknown, stale, suspended, ended, expired are
// all 400 invalid_grant. A token that is out lives five minutes at most; a resource server that
// wants more follows the mission itself.
#include "samples/authorization_server/token_endpoint.hpp"
#include "samples/common/subscriber.hpp"

namespace {

namespace ms = mission_signals;
using sample::json_object;

std::string metadata(const std::string& issuer) {
    // RFC 8414.
    return json_object()
        .add("issuer", issuer)
        .add("token_endpoint", issuer + "/token")
        .add("jwks_uri", issuer + "/jwks.json")
        .add_raw("response_types_supported", "[]")
        .add_raw("grant_types_supported", std::string("[\"") + sample::mission_grant +
                                              "\",\"refresh_token\",\"" + sample::exchange_grant +
                                              "\"]")
        .add_raw("token_endpoint_auth_methods_supported",
                 R"(["client_secret_basic","client_secret_post"])")
        .str();
}

void add_document(sample::web_server& server, const std::string& path, std::string text) {
    server.Get(path, [text = std::move(text)](const httplib::Request&, httplib::Response& r) {
        r.set_header("Cache-Control", "max-age=300");
        r.set_content(text, "application/json");
    });
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Access tokens that end with their mission", "authorization_server"};
    sample::service_flags flags{.name = "authorization_server"};
    ms::options options;
    sample::token_endpoint::settings settings;
    std::string clients_file, key_file, refresh_file;
    flags.add_to(app);
    sample::add_receiver_flags(app, options);
    app.add_option("--url", settings.issuer, "Our own issuer, https://host:port")->required();
    app.add_option("--clients", clients_file, "JSON file of client ids and secrets")->required();
    app.add_option("--signing-key", key_file, "PEM file; made when there is none")->required();
    app.add_option("--refresh-tokens", refresh_file, "File of what was given out")->required();
    app.add_option("--access-seconds", settings.access_seconds, "Lifetime of an access token")
        ->check(CLI::Range(1, 3600))
        ->capture_default_str();
    app.add_option("--refresh-seconds", settings.refresh_seconds, "Lifetime of a grant")
        ->check(CLI::Range(1, 30 * 24 * 3600))
        ->capture_default_str();
    return sample::run_main(app, argc, argv, [&] {
        sample::block_stop_signals();
        if (!flags.token_file.empty())
            throw std::runtime_error("--token-file: agents are clients here (--clients)");
        options.delivery = ms::delivery::poll;
        options.description = "authorization server";
        options.log = sample::log_to_lines(flags.name);
        const sample::client_list clients(clients_file);
        const auto key = sample::es256_key::load_or_make(key_file);
        sample::refresh_tokens refresh(refresh_file, static_cast<std::int64_t>(std::time(nullptr)));
        sample::transmitter_api api({.issuer = options.issuer,
                                     .ca_file = options.ca_file,
                                     .client_id = options.client_id,
                                     .private_key_file = options.private_key_file,
                                     .scope = "mission.read"});
        sample::mission_records records(api);
        const auto receiver = ms::make_receiver(options);
        sample::log_changes(*receiver, flags.name);
        sample::token_endpoint tokens(*receiver, records, refresh, clients, key, settings);
        tokens.add_handlers();
        sample::web_server server(flags);
        server.Post("/token", [&](const httplib::Request& request, httplib::Response& response) {
            tokens.answer_request(request, response);
        });
        add_document(server, "/.well-known/oauth-authorization-server", metadata(settings.issuer));
        add_document(server, "/jwks.json", "{\"keys\":[" + key.public_jwk() + "]}");
        server.Get("/healthz", [&](const httplib::Request&, httplib::Response& response) {
            const auto s = receiver->current_status();
            sample::answer(response, s.streaming ? 200 : 503,
                           json_object()
                               .add("streaming", s.streaming)
                               .add("tasks_pending", static_cast<std::int64_t>(s.tasks_pending))
                               .add("problem", receiver->last_setup_problem()));
        });
        receiver->start();
        tokens.end_what_is_not_held();
        return sample::serve(server, flags, [&] { receiver->stop(); });
    });
}
