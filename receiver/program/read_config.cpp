#include <sys/un.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "events/catalog.hpp"
#include "events/subject.hpp"
#include "jose/digest.hpp"
#include "net/http.hpp"
#include "receiver/program/config.hpp"
#include "receiver/program/config_parts.hpp"

namespace mission::receiver::program {
namespace {

using settings::environment;
using settings::section;
using settings::setting;

void need_https(const section& s, std::string_view key, const std::string& text) {
    const auto url = net::parse_url(text);
    if (!url || url->scheme != "https") s.fail(key, "must be an https URL");
}

void read_top(section& top, ms::options& o) {
    o.issuer = top.text("issuer").value_or("");
    o.metadata_url = top.text("metadata_url").value_or("");
    if (!o.issuer.empty()) need_https(top, "issuer", o.issuer);
    if (!o.metadata_url.empty()) need_https(top, "metadata_url", o.metadata_url);
    if (const auto file = top.text("metadata_file")) {
        o.metadata_json = settings::read_text_file(*file, "metadata_file");
        const auto parsed = json::parse(o.metadata_json);
        if (!parsed || !parsed->IsObject()) top.fail("metadata_file", "holds no JSON object");
        const auto issuer = json::find_string(*parsed, "issuer");
        if (!issuer) top.fail("metadata_file", "names no issuer");
        if (o.issuer.empty()) o.issuer = std::string(*issuer);
    }
    if (o.issuer.empty() && o.metadata_url.empty())
        top.fail("issuer", "is missing (or metadata_url, or metadata_file)");
    if (const auto n = top.integer("worker_threads", 1, 64))
        o.worker_threads = static_cast<unsigned>(*n);
    else
        o.worker_threads = 0;  // as many as the handlers need, see read()
}

// A path as text, or as { file = ".." } where a key could stand: the library reads it itself.
std::string key_file(section& s, std::string_view key) {
    auto* tree = s.raw(key);
    if (tree && tree->what == setting::kind::table && !s.override_of(key)) {
        const auto file = tree->members.find("file");
        if (tree->members.size() != 1 || file == tree->members.end() ||
            file->second.what != setting::kind::text)
            s.fail(key, "must be the path of a PEM file, or { file = \"...\" }");
        return file->second.text;
    }
    auto path = s.text(key).value_or("");
    if (path.find("-----BEGIN") != std::string::npos)
        s.fail(key, "must be the path of a PEM file, not its content");
    return path;
}

void read_auth(section s, ms::options& o) {
    const auto method = s.one_of("method", {"token", "private_key_jwt", "client_secret_basic",
                                            "client_secret_post", "tls_client_auth"})
                            .value_or("");
    o.client_id = s.text("client_id").value_or("");
    o.client_secret = s.secret("client_secret").value_or("");
    o.token = s.secret("token").value_or("");
    o.private_key_file = key_file(s, "private_key");
    o.private_key_id = s.text("private_key_id").value_or("");
    o.certificate_file = s.text("certificate").value_or("");
    o.certificate_key_file = key_file(s, "certificate_key");
    o.token_endpoint = s.text("token_endpoint").value_or("");
    o.token_scope = s.text("scope").value_or("");
    o.token_hosts = s.list("token_hosts");
    if (!o.token_endpoint.empty()) need_https(s, "token_endpoint", o.token_endpoint);
    if (o.certificate_file.empty() != o.certificate_key_file.empty())
        s.fail(o.certificate_file.empty() ? "certificate" : "certificate_key", "is missing");

    const bool by_certificate = !o.certificate_file.empty() && o.private_key_file.empty() &&
                                o.client_secret.empty() && o.token.empty();
    const int ways =
        !o.private_key_file.empty() + !o.client_secret.empty() + !o.token.empty() + by_certificate;
    if (ways != 1)
        s.fail(o.token.empty() ? "client_secret" : "token",
               ways == 0
                   ? "is missing: give token, or client_id with client_secret, private_key or "
                     "certificate"
                   : "is one of several ways to authenticate: give exactly one of token, "
                     "client_secret, private_key");
    const std::string way = !o.token.empty()                 ? "token"
                            : !o.private_key_file.empty()    ? "private_key_jwt"
                            : by_certificate                 ? "tls_client_auth"
                            : method == "client_secret_post" ? "client_secret_post"
                                                             : "client_secret_basic";
    if (!method.empty() && method != way)
        s.fail("method", "= \"" + method + "\" does not fit: what is given means \"" + way + "\"");
    o.client_secret_post = way == "client_secret_post";
    if (o.token.empty() && o.client_id.empty()) s.fail("client_id", "is missing");
    for (const char c : o.token)
        if (c < 0x21 || c == 0x7f) s.fail("token", "is no valid header value");
    s.finish();
}

void read_subjects(section& s, const std::string& file, ms::options& o) {
    const auto add = [&](const std::string& text, unsigned line) {
        const auto parsed = json::parse(text);
        const auto about =
            parsed ? events::parse_subject(*parsed) : result<events::subject>(parsed.error());
        if (!about)
            throw error{
                errc::bad_configuration,
                (line ? file + ":" + std::to_string(line) + ": " : std::string()) +
                    "stream.subjects has an entry that is no subject: " + about.error().message()};
        o.subjects.push_back(events::to_json(*about));
    };
    auto* list = s.raw("subjects");
    if (const auto text = s.override_of("subjects")) {
        const auto parsed = json::parse(*text);
        if (!parsed || !parsed->IsArray()) s.fail("subjects", "must be a JSON array of subjects");
        for (const auto& item : parsed->GetArray())
            add(json::write(item), 0);
        return;
    }
    if (!list) return;
    if (list->what != setting::kind::list) s.fail("subjects", "must be a list of subjects");
    for (const auto& item : list->items) {
        if (item.what != setting::kind::text && item.what != setting::kind::table)
            s.fail("subjects", "must hold tables or JSON texts");
        add(item.what == setting::kind::text ? item.text : settings::to_json(item),
            item.line ? item.line : list->line);
    }
}

void read_stream(section s, const std::string& file, ms::options& o) {
    const auto how = s.one_of("delivery", {"poll", "push"});
    o.delivery = how && *how == "push" ? ms::delivery::push : ms::delivery::poll;
    if (auto text = s.text("description")) o.description = std::move(*text);
    if (o.description.size() > limits::description_bytes)
        s.fail("description",
               "has more than " + std::to_string(limits::description_bytes) + " octets");
    o.audience = s.text("audience").value_or("");
    for (const auto& name : s.list("events"))
        o.events.push_back(event_type_of(s, "events", name));
    o.mission_issuers = s.list("mission_issuers");
    o.stream_id = s.text("stream_id").value_or("");
    o.replace_stream = s.boolean("replace").value_or(false);
    read_subjects(s, file, o);
    s.finish();
}

void read_push(section s, ms::options& o) {
    o.push_listen = s.text("listen").value_or("");
    o.push_certificate_file = s.text("certificate").value_or("");
    o.push_private_key_file = key_file(s, "private_key");
    o.push_public_url = s.text("public_url").value_or("");
    o.push_authorization_header = s.secret("authorization_header").value_or("");
    if (o.delivery == ms::delivery::poll) {
        if (!o.push_listen.empty())
            s.fail("listen", "makes no sense with stream.delivery = \"poll\"");
        s.finish();
        return;
    }
    if (o.push_listen.empty()) s.fail("listen", "is missing");
    if (o.push_public_url.empty()) s.fail("public_url", "is missing");
    if (o.push_certificate_file.empty()) s.fail("certificate", "is missing");
    if (o.push_private_key_file.empty()) s.fail("private_key", "is missing");
    auto shown = o.push_public_url;
    if (const auto at = shown.find("{port}"); at != std::string::npos) shown.replace(at, 6, "1");
    need_https(s, "public_url", shown);
    for (const char c : o.push_authorization_header)
        if (c < 0x20 || c == 0x7f) s.fail("authorization_header", "is no valid header value");
    s.finish();
}

void read_quirks(section s, ms::options& o) {
    o.quirks.typ_missing = s.boolean("typ_missing").value_or(false);
    o.quirks.issuer_slash = s.boolean("issuer_slash").value_or(false);
    o.quirks.created_with_200 = s.boolean("created_with_200").value_or(false);
    o.quirks.several_events = s.boolean("several_events").value_or(false);
    s.finish();
}

void read_state(section s, ms::options& o) {
    o.state_path = s.text("path").value_or("state/receiver.db");
    if (o.state_path.empty())
        s.fail("path", "must not be empty: what it keeps outlives the process");
    if (const auto n = s.integer("max_missions", 1, 100'000'000))
        o.max_missions = static_cast<std::size_t>(*n);
    s.finish();
}

void read_reports(section s, ms::options& o) {
    o.teardown_reports = s.boolean("enabled").value_or(true);
    if (const auto after = seconds_of(s, "interim_after_seconds", 0.05, 86'400))
        o.teardown_report_after = *after;
    o.reports_url = s.text("url").value_or("");
    if (!o.reports_url.empty()) {
        need_https(s, "url", o.reports_url);
        if (o.reports_url.find("{mission_id}") == std::string::npos)
            s.fail("url", "must hold {mission_id}");
    }
    s.finish();
}

void read_control(section s, program_config& c) {
    constexpr std::size_t longest = sizeof(sockaddr_un{}.sun_path) - 1;
    const auto path = s.text("socket");
    c.control_derived = !path;
    c.control_socket = path.value_or(c.options.state_path + ".sock");
    if (c.control_socket.size() > longest) {
        if (!c.control_derived)
            s.fail("socket", "is longer than " + std::to_string(longest) + " octets");
        c.control_socket.clear();  // a deep state directory does not stop the receiver
    }
    s.finish();
}

void read_log(section s, program_config& c) {
    const auto level = s.one_of("level", {"debug", "info", "warning", "error"}).value_or("info");
    c.log_level = level == "debug"     ? ms::log_level::debug
                  : level == "warning" ? ms::log_level::warning
                  : level == "error"   ? ms::log_level::error
                                       : ms::log_level::info;
    s.finish();
}

// What a running instance cannot take over, as far as the file itself says it.
std::string mark_of_the_rest(const setting& tree) {
    auto rest = tree;
    rest.members.erase("check");
    return std::string(jose::view(jose::sha256(settings::to_json(rest))));
}

program_config read(setting& tree, const std::string& file, const environment& env) {
    program_config c;
    c.needs_restart = mark_of_the_rest(tree);
    section top(&tree, "", file, env, true, env_prefix);
    const auto part = [&](const char* name) {
        return section(top.raw(name), name, file, env, true, env_prefix);
    };
    read_top(top, c.options);
    read_auth(part("auth"), c.options);
    section tls = part("tls");
    c.options.ca_file = tls.text("ca_file").value_or("");
    tls.finish();
    read_stream(part("stream"), file, c.options);
    read_push(part("push"), c.options);
    read_quirks(part("quirks"), c.options);
    read_state(part("state"), c.options);
    read_reports(part("reports"), c.options);
    read_control(part("control"), c);
    read_log(part("log"), c);
    read_check(top.raw("check"), file, env, c);
    read_teardown(top.raw("teardown"), file, env, c);
    read_events(top.raw("event"), file, env, c);
    top.finish();
    if (c.options.worker_threads == 0) {
        // Every handler may wait for its processes without keeping the others from theirs.
        std::size_t wanted = 1 + c.events.size();
        for (const auto& t : c.teardown)
            wanted += t.options.concurrency;
        c.options.worker_threads = static_cast<unsigned>(std::min<std::size_t>(wanted, 64));
    }
    return c;
}

}  // namespace

std::string event_type_of(const section& s, std::string_view key, const std::string& name) {
    if (name.find(':') != std::string::npos) return name;
    std::string found;
    for (const auto& kind : events::event_catalog()) {
        if (kind.name != name) continue;
        if (!found.empty())
            s.fail(key, "has \"" + name + "\", which names several types: give the URI");
        found = std::string(kind.uri);
    }
    if (found.empty())
        s.fail(key,
               "has \"" + name + "\", which is neither a URI nor the name of a CAEP or RISC type");
    return found;
}

result<program_config> parse_config(std::string_view toml_text, const std::string& name,
                                    const environment& env) {
    auto tree = settings::parse_toml(toml_text, name);
    if (!tree) return tree.error();
    try {
        auto c = read(*tree, name, env);
        // What the reader does not know of, the library says by its option's name.
        (void)ms::make_receiver(c.options);
        return c;
    } catch (const error& e) {
        return e;
    } catch (const ms::setup_error& e) {
        return error{errc::bad_configuration, name + ": " + e.what()};
    }
}

result<program_config> load_config(const std::string& file, const environment& env) {
    try {
        return parse_config(settings::read_text_file(file, "--config"), file, env);
    } catch (const error& e) {
        return e;
    }
}

}  // namespace mission::receiver::program
