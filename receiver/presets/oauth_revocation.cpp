// The oauth_revocation handler (RFC 7009): the server's 200 is its word that the token is invalid;
// introspection (RFC 7662), where there is one, is asked whether it is so.
#include <ctime>

#include "base/json.hpp"
#include "mission_signals/presets.hpp"
#include "receiver/presets/confined.hpp"
#include "receiver/presets/limits.hpp"
#include "receiver/presets/secret.hpp"
#include "receiver/presets/wire.hpp"
#include "receiver/subscribe/http_calls.hpp"
#include "receiver/subscribe/token_source.hpp"

#include <fcntl.h>

namespace mission_signals {
namespace {

using namespace mission::receiver::presets;
using mission::errc;
using mission::receiver::words_of;
namespace json = mission::json;
namespace jose = mission::jose;
namespace net = mission::net;
namespace limits = mission::receiver::presets::limits;
using form = std::vector<std::pair<std::string, std::string>>;

std::string error_code(const net::http_response& r) {
    const auto parsed = json::parse(r.body, limits::secret_bytes);
    return parsed ? std::string(json::find_string(*parsed, "error").value_or("")) : "";
}

class revocation {
  public:
    explicit revocation(oauth_revocation o)
        : o_(std::move(o)),
          wire_({o_.ca_file, o_.certificate_file, o_.certificate_key_file, o_.plain_http}) {
        (void)check_endpoint(o_.revocation_endpoint, "revocation_endpoint", o_.plain_http);
        if (!o_.introspection_endpoint.empty())
            (void)check_endpoint(o_.introspection_endpoint, "introspection_endpoint",
                                 o_.plain_http);
        if (o_.client_id.empty()) throw setup_error("client_id is missing");
        if (!o_.private_key_file.empty() && !o_.client_secret.empty())
            throw setup_error("client_secret or private_key, not both");
        if (o_.token.empty()) throw setup_error("the token's template is empty");
        if (!o_.token_directory.empty() && o_.token_directory.front() != '/')
            throw setup_error("token_directory must be an absolute path");
        if (o_.private_key_file.empty()) return;
        const auto pem = read_secret({{}, o_.private_key_file});
        auto key = jose::private_key::from_pem(pem);
        if (!key) throw setup_error(o_.private_key_file + ": " + key.error().message());
        if (!o_.private_key_id.empty()) key->set_kid(o_.private_key_id);
        key_ = std::move(*key);
    }

    outcome run(const task& t) const {
        const patience time(o_.timeout, o_.stopping);
        std::string token;
        if (auto problem = read_token(t, token); problem) return *problem;
        if (token.empty()) return outcome::failed("the token is empty");

        const auto shown = "POST " + o_.revocation_endpoint;
        const auto answer = wire_.ask(request(o_.revocation_endpoint, token), time);
        if (!answer) return without_answer(answer.error(), shown);
        const auto text = shown + ": " + std::to_string(answer->status);
        // RFC 7009 section 2.2: 200 also for a token that is invalid already.
        if (answer->status != 200) return refused(*answer, text, token);
        const auto done = text + ", " +
                          (o_.token_type_hint.empty() ? "token" : o_.token_type_hint) +
                          " revoked (RFC 7009)";
        if (o_.introspection_endpoint.empty()) return outcome::done(done);
        return look(token, time, done);
    }

  private:
    // The held data, or the file that it names. Its absence is not the token's end.
    std::optional<outcome> read_token(const task& t, std::string& token) const {
        token = o_.token.fill(t);
        if (o_.token_directory.empty()) return std::nullopt;
        const auto path = token;
        token.clear();
        if (const auto fine = check_relative(path); !fine)
            return outcome::failed(fine.error().detail + ": refused");
        const auto root = open_root(o_.token_directory);
        if (!root) return outcome::failed(root.error().detail);
        const auto [above, name] = split_last(path);
        const auto directory = open_below(root->get(), above);
        if (!directory) return outcome::failed("the token's file: " + directory.error().detail);
        const auto file = open_file_at(directory->get(), name, O_RDONLY | O_NONBLOCK);
        if (!file) return outcome::failed("the token's file: " + file.error().detail);
        auto content = read_all(file->get(), limits::secret_bytes);
        if (!content) return outcome::failed("the token's file: " + content.error().detail);
        while (!content->empty() && (content->back() == '\n' || content->back() == '\r'))
            content->pop_back();
        token = std::move(*content);
        return std::nullopt;
    }

    wire_request request(const std::string& endpoint, const std::string& token) const {
        wire_request r;
        r.method = "POST";
        r.url = endpoint;
        r.fields.add("accept", "application/json");
        r.fields.add("content-type", "application/x-www-form-urlencoded");
        form fields{{"token", token}};
        if (!o_.token_type_hint.empty()) fields.emplace_back("token_type_hint", o_.token_type_hint);
        if (key_) {
            fields.emplace_back("client_id", o_.client_id);
            fields.emplace_back("client_assertion_type",
                                std::string(mission::receiver::client_assertion_type));
            fields.emplace_back("client_assertion", assertion());
        } else if (o_.client_secret.empty()) {
            fields.emplace_back("client_id", o_.client_id);  // a public client
        } else if (o_.client_secret_post) {
            fields.emplace_back("client_id", o_.client_id);
            fields.emplace_back("client_secret", read_secret(o_.client_secret));
        } else {
            r.fields.add("authorization",
                         "Basic " + mission::receiver::basic_credentials(
                                        o_.client_id, read_secret(o_.client_secret)));
        }
        r.body = net::encode_form(fields);
        return r;
    }

    std::string assertion() const {
        auto made = mission::receiver::client_assertion(
            *key_, o_.client_id,
            o_.assertion_audience.empty() ? o_.revocation_endpoint : o_.assertion_audience,
            static_cast<std::int64_t>(std::time(nullptr)));
        if (!made) throw unfit_value("the assertion cannot be signed: " + made.error().message());
        return std::move(*made);
    }

    outcome refused(const net::http_response& r, const std::string& text,
                    const std::string& token) const {
        if (r.status >= 300 && r.status < 400)
            return outcome::failed(text + ": redirects are not followed");
        // RFC 7009 section 2.2.1
        if (error_code(r) == "unsupported_token_type")
            return outcome::failed(text +
                                   ": unsupported_token_type, the server does not revoke "
                                   "tokens of this type");
        std::vector<std::string> known{token};
        if (!o_.client_secret.empty()) known.push_back(read_secret(o_.client_secret));
        const auto words = words_of(r, known);
        return outcome::failed(text + (words.empty() ? "" : ": " + words));
    }

    outcome look(const std::string& token, const patience& time, const std::string& done) const {
        const auto shown = done + "; introspection: ";
        std::string seen = "no answer yet";
        do {
            const auto answer = wire_.ask(request(o_.introspection_endpoint, token), time);
            if (!answer) {
                seen = without_answer(answer.error(), "no answer").evidence;
                continue;
            }
            seen = std::to_string(answer->status);
            if (answer->status != 200) {
                if (answer->status < 500) return refused(*answer, shown + seen, token);
                continue;
            }
            const auto parsed = json::parse(answer->body, limits::answer_bytes);
            const auto active = parsed ? json::find_bool(*parsed, "active") : std::nullopt;
            if (active && !*active) return outcome::done(shown + "active false (RFC 7662)");
            seen = active ? "active true" : "no \"active\" in the answer";
        } while (time.wait(o_.look_again));
        return time.gave_up(shown + seen);
    }

    oauth_revocation o_;
    mutable wire wire_;
    std::optional<jose::private_key> key_;
};

}  // namespace

handler oauth_revocation_handler(oauth_revocation o) {
    std::shared_ptr<const revocation> made;
    try {
        made = std::make_shared<const revocation>(std::move(o));
    } catch (const unfit_value& e) {
        throw setup_error(e.what());
    }
    return [made](const task& t) -> outcome {
        if (!takes_away(t.why)) return outcome::done("nothing to do");
        try {
            return made->run(t);
        } catch (const unfit_value& e) {
            return outcome::failed(e.what());
        }
    };
}

}  // namespace mission_signals
