// A small vault: whoever presents an open credential reads its secret. It knows nothing of signals
// and does not link the receiver library; the broker creates and destroys credentials through the
// admin API.
#include <openssl/rand.h>

#include <stdexcept>

#include "samples/common/service.hpp"
#include "samples/vault/credentials.hpp"

namespace {

using sample::credential_store;
using sample::json_object;

// What a credential may open; a real vault keeps these sealed on disk.
const std::map<std::string, std::string> secrets = {
    {"ledger-db", "postgresql://report:only-for-this-quarter@ledger/books"},
    {"siem", "siem-api-key-4f1d"},
    {"supplier-portal", "portal-session-a83c"},
};

std::string random_token() {
    unsigned char octets[32];
    if (RAND_bytes(octets, sizeof octets) != 1) throw std::runtime_error("no randomness");
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const unsigned char o : octets) {
        text += digits[o >> 4];
        text += digits[o & 15];
    }
    return text;
}

class vault {
  public:
    explicit vault(std::string admin_token) : admin_token_(std::move(admin_token)) {}

    void add_to(sample::web_server& server) {
        server.Get(R"(/secrets/([a-z-]+))",
                   [this](const auto& request, auto& response) { open(request, response); });
        server.Post("/admin/credentials", admin([this](const auto& request, auto& response) {
                        create(request, response);
                    }));
        server.Delete(R"(/admin/credentials/([A-Za-z0-9_-]+))",
                      admin([this](const auto& request, auto& response) {
                          credentials_.destroy(request.matches[1].str(), reason_of(request));
                          log("destroyed", request.matches[1].str(), reason_of(request));
                          sample::answer(response, 200, json_object().add("state", "destroyed"));
                      }));
        server.Post(
            R"(/admin/credentials/([A-Za-z0-9_-]+)/(disable|enable|renew))",
            admin([this](const auto& request, auto& response) { change(request, response); }));
        server.Get("/healthz", [this](const httplib::Request&, httplib::Response& response) {
            sample::answer(
                response, 200,
                json_object().add("open", static_cast<std::int64_t>(credentials_.open_count())));
        });
    }

  private:
    template <class F>
    httplib::Server::Handler admin(F work) {
        return [this, work = std::move(work)](const httplib::Request& request,
                                              httplib::Response& response) {
            if (!sample::same_secret(sample::bearer_of(request), admin_token_))
                return sample::refuse(response, 401, "unauthorized", "not the vault's admin");
            work(request, response);
        };
    }

    static std::string reason_of(const httplib::Request& request) {
        const auto body = sample::parse_object(request.body);
        const std::string why = body ? sample::text_member(*body, "reason") : std::string();
        return why.empty() ? "no reason given" : why;
    }

    void create(const httplib::Request& request, httplib::Response& response) {
        const auto body = sample::parse_object(request.body);
        if (!body) return sample::refuse(response, 400, "invalid_request", "no JSON object");
        credential_store::credential c;
        c.id = sample::text_member(*body, "id");
        c.mission = sample::text_member(*body, "mission");
        c.secret_name = sample::text_member(*body, "secret");
        const auto seconds = sample::int_member(*body, "expires_in", 900);
        if (c.id.empty() || c.mission.empty() || seconds < 1 || seconds > 86'400)
            return sample::refuse(response, 400, "invalid_request", "id, mission or expires_in");
        if (!secrets.contains(c.secret_name))
            return sample::refuse(response, 404, "not_found", "no such secret");
        c.expires = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
        const std::string token = random_token(), id = c.id, mission = c.mission;
        if (!credentials_.create(std::move(c), token))
            return sample::refuse(response, 409, "conflict", "this id was used before");
        log("created", id, "mission " + mission);
        sample::answer(response, 201, json_object().add("id", id).add("credential", token));
    }

    void change(const httplib::Request& request, httplib::Response& response) {
        const std::string id = request.matches[1], verb = request.matches[2];
        using outcome = credential_store::change;
        outcome done;
        if (verb == "disable")
            done = credentials_.disable(id, reason_of(request));
        else if (verb == "enable")
            done = credentials_.enable(id);
        else
            done =
                credentials_.renew(id, std::chrono::steady_clock::now() + std::chrono::minutes(15));
        if (done == outcome::unknown)
            return sample::refuse(response, 404, "not_found", "no such credential");
        if (done == outcome::already_destroyed)
            return sample::refuse(response, 409, "destroyed", "the credential is destroyed");
        log(verb, id, reason_of(request));
        sample::answer(response, 200, json_object().add("state", verb));
    }

    // Opening a secret: the refusal says what became of the credential.
    void open(const httplib::Request& request, httplib::Response& response) {
        const auto c = credentials_.find_by_token(sample::bearer_of(request));
        if (!c) return sample::refuse(response, 401, "unauthorized", "no such credential");
        const std::string name = request.matches[1];
        json_object body;
        switch (c->now) {
            case credential_store::state::destroyed:
                return refuse_use(response, *c, "credential_destroyed",
                                  "credential destroyed: " + c->why);
            case credential_store::state::disabled:
                return refuse_use(response, *c, "credential_disabled",
                                  "credential disabled: " + c->why);
            case credential_store::state::open:
                break;
        }
        if (std::chrono::steady_clock::now() >= c->expires)
            return refuse_use(response, *c, "credential_expired",
                              "credential expired: not renewed");
        if (c->secret_name != name)
            return refuse_use(response, *c, "wrong_secret", "the credential is for another secret");
        sample::answer(response, 200,
                       body.add("secret", secrets.at(name)).add("mission", c->mission));
    }

    void refuse_use(httplib::Response& response, const credential_store::credential& c,
                    const char* code, const std::string& reason) {
        log("refused", c.id, reason);
        sample::answer(
            response, 403,
            json_object().add("error", code).add("reason", reason).add("mission", c.mission));
    }

    static void log(const std::string& what, const std::string& id, const std::string& reason) {
        sample::log_line(sample::event_line("vault", "credential")
                             .add("decision", what)
                             .add("credential", id)
                             .add("reason", reason));
    }

    const std::string admin_token_;
    credential_store credentials_;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"A small vault", "vault"};
    sample::service_flags flags{.name = "vault"};
    std::string admin_token_file;
    flags.add_to(app);
    app.add_option("--admin-token-file", admin_token_file, "What the broker presents")->required();
    return sample::run_main(app, argc, argv, [&] {
        sample::block_stop_signals();
        sample::web_server server(flags);
        vault v(sample::read_token(admin_token_file));
        v.add_to(server);
        return sample::serve(server, flags);
    });
}
