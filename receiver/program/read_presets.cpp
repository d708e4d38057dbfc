// [[teardown]] of the presets: what each type has of its own.

#include <algorithm>

#include "receiver/program/config_parts.hpp"
#include "receiver/program/handlers.hpp"

namespace mission::receiver::program {
namespace {

using settings::environment;
using settings::section;
using settings::setting;

// The handler's own deadline comes first: it says what it has seen by then.
constexpr auto beyond_timeout = std::chrono::seconds(10);

// A text, or { env = ".." }, read now; of { file = ".." } the path: it is read at each use, so that
// a secret may be renewed while we run.
ms::secret secret_of(section& s, std::string_view key) {
    auto* tree = s.raw(key);
    if (tree && tree->what == setting::kind::table && tree->members.size() == 1) {
        const auto file = tree->members.find("file");
        if (file != tree->members.end() && file->second.what == setting::kind::text) {
            (void)s.secret(key);  // readable now
            return {{}, file->second.text};
        }
    }
    return {s.secret(key).value_or(""), {}};
}

ms::task_text template_of(const section& s, std::string_view key, const std::string& text) {
    try {
        return ms::task_text(text);
    } catch (const ms::setup_error& e) {
        s.fail(key, e.what());
    }
}

void template_or_default(section& s, std::string_view key, ms::task_text& out) {
    if (const auto text = s.text(key)) out = template_of(s, key, *text);
}

std::string key_path(section& s, std::string_view key) {
    auto path = s.text(key).value_or("");
    if (path.find("-----BEGIN") != std::string::npos)
        s.fail(key, "must be the path of a PEM file, not its content");
    return path;
}

template <class Preset>
void read_tls(section& s, Preset& o) {
    o.ca_file = s.text("ca_file").value_or("");
    o.certificate_file = s.text("certificate").value_or("");
    o.certificate_key_file = key_path(s, "certificate_key");
    if (o.certificate_file.empty() != o.certificate_key_file.empty())
        s.fail("certificate", "and certificate_key belong together");
    o.plain_http = s.boolean("plain_http").value_or(false);
}

template <class Preset>
void read_looks(section& s, Preset& o) {
    if (const auto d = seconds_of(s, "look_again_seconds", 0.01, 60)) o.look_again = *d;
}

std::vector<int> statuses_of(section& s, std::string_view key) {
    std::vector<int> out;
    const auto* tree = s.raw(key);
    if (!tree) return out;
    const auto bad = [&] { s.fail(key, "must be a list of HTTP statuses, 200 to 599"); };
    if (tree->what != setting::kind::list) bad();
    for (const auto& item : tree->items) {
        if (item.what != setting::kind::integer || item.integer < 200 || item.integer > 599) bad();
        out.push_back(static_cast<int>(item.integer));
    }
    return out;
}

std::vector<std::pair<std::string, ms::task_text>> templates_of(section& s, std::string_view key) {
    std::vector<std::pair<std::string, ms::task_text>> out;
    const auto* tree = s.raw(key);
    if (!tree) return out;
    if (tree->what != setting::kind::table) s.fail(key, "must be a table of strings");
    for (const auto& [name, value] : tree->members) {
        if (value.what != setting::kind::text) s.fail(key, "must be a table of strings");
        out.emplace_back(name, template_of(s, key, value.text));
    }
    return out;
}

// A string is a template; a table is a secret.
void read_headers(section& s, const std::string& file, const environment& env, ms::http_step& out) {
    auto* tree = s.raw("headers");
    if (!tree) return;
    section headers(tree, "headers", file, env, false);
    for (const auto& [name, value] : tree->members) {
        if (value.what == setting::kind::text) {
            out.headers.emplace_back(name, template_of(headers, name, value.text));
        } else {
            out.secret_headers.emplace_back(name, secret_of(headers, name));
        }
    }
}

// What JSON holds: a tree is written as JSON; a text is JSON already.
std::string body_of(section& s) {
    const auto* tree = s.raw("json");
    if (!tree) return {};
    if (tree->what == setting::kind::table || tree->what == setting::kind::list)
        return settings::to_json(*tree);
    if (tree->what != setting::kind::text || tree->text.empty())
        s.fail("json", "must be a table, a list, or a string that holds JSON");
    return tree->text;
}

ms::http_step read_step(setting& tree, const std::string& file, const environment& env) {
    section s(&tree, "request", file, env, false);
    ms::http_step out;
    out.on = effects_of(s, s.list("on"));
    out.url = s.required_text("url");
    out.look = s.boolean("look").value_or(false);
    const auto method = s.one_of("method", {"GET", "POST", "PUT", "PATCH", "DELETE"});
    out.method = method.value_or(out.look ? "GET" : "POST");
    read_headers(s, file, env, out);
    out.json = body_of(s);
    out.content_type = s.text("content_type").value_or("");
    out.form = templates_of(s, "form");
    out.expect = statuses_of(s, "expect");
    out.gone = statuses_of(s, "gone");
    out.pointer = s.text("pointer").value_or("");
    if (const auto* equals = s.raw("equals")) out.equals = settings::to_json(*equals);
    if (const auto* differs = s.raw("differs")) out.differs = settings::to_json(*differs);
    s.finish();
    return out;
}

ms::http_action read_http(section& s, const std::string& file, const environment& env) {
    ms::http_action o;
    auto* list = s.raw("request");
    if (!list || list->what != setting::kind::list || list->items.empty())
        s.fail("request", "is missing: requests are written as [[teardown.request]]");
    for (auto& tree : list->items)
        o.steps.push_back(read_step(tree, file, env));
    o.token = secret_of(s, "token");
    o.user = s.text("user").value_or("");
    o.password = secret_of(s, "password");
    read_tls(s, o);
    read_looks(s, o);
    return o;
}

ms::oauth_revocation read_oauth(section& s) {
    ms::oauth_revocation o;
    o.revocation_endpoint = s.required_text("revocation_endpoint");
    o.introspection_endpoint = s.text("introspection_endpoint").value_or("");
    template_or_default(s, "token", o.token);
    o.token_directory = s.text("token_directory").value_or("");
    o.token_type_hint = s.text("token_type_hint").value_or("");
    o.client_id = s.required_text("client_id");
    o.client_secret = secret_of(s, "client_secret");
    o.client_secret_post = s.boolean("client_secret_post").value_or(false);
    o.private_key_file = key_path(s, "private_key");
    o.private_key_id = s.text("private_key_id").value_or("");
    o.assertion_audience = s.text("audience").value_or("");
    read_tls(s, o);
    read_looks(s, o);
    return o;
}

ms::removed_file read_file(section& s) {
    ms::removed_file o;
    o.directory = s.required_text("directory");
    template_or_default(s, "path", o.path);
    return o;
}

ms::cgroup_control read_cgroup(section& s) {
    ms::cgroup_control o;
    if (auto root = s.text("root")) o.root = std::move(*root);
    template_or_default(s, "path", o.path);
    o.remove = s.boolean("remove").value_or(false);
    return o;
}

ms::postgres_role read_postgres(section& s) {
    ms::postgres_role o;
    o.connection = s.required_text("connection");
    o.password = secret_of(s, "password");
    template_or_default(s, "role", o.role);
    o.prefix = s.text("prefix").value_or("");
    o.drop = s.boolean("drop").value_or(false);
    o.reassign_to = s.text("reassign_to").value_or("");
    if (const auto d = seconds_of(s, "settle_seconds", 0.01, 60)) o.settle = *d;
    return o;
}

ms::redis_user read_redis(section& s) {
    ms::redis_user o;
    if (auto address = s.text("address")) o.address = std::move(*address);
    o.admin = s.text("admin").value_or("");
    o.password = secret_of(s, "password");
    template_or_default(s, "user", o.user);
    o.prefix = s.text("prefix").value_or("");
    o.acl_save = s.boolean("acl_save").value_or(false);
    return o;
}

// What cannot be undone is not done because nothing was heard for a while, nor undone.
void only_takes_away(const section& s, const teardown_config& t) {
    for (const auto e : t.options.on)
        if (e == ms::effect::resumed || e == ms::effect::stale || e == ms::effect::fresh ||
            e == ms::effect::scope_changed)
            s.fail("on", "has \"" + std::string(ms::name(e)) +
                             "\": this type takes away for good, on suspended and on ends");
}

// An effect without a request would be acknowledged by nobody.
void each_effect_has_a_request(const section& s, const teardown_config& t,
                               const ms::http_action& o) {
    for (const auto e : t.options.on) {
        const bool any = std::any_of(o.steps.begin(), o.steps.end(), [e](const auto& step) {
            return step.on.empty() || std::find(step.on.begin(), step.on.end(), e) != step.on.end();
        });
        if (!any) s.fail("request", "no request is for \"" + std::string(ms::name(e)) + "\"");
    }
}

void timed(section& s, teardown_config& t, std::chrono::milliseconds& timeout) {
    if (const auto d = seconds_of(s, "timeout_seconds", 0.05, 3'600)) timeout = *d;
    t.options.timeout = timeout + beyond_timeout;
}

}  // namespace

bool read_preset(section& s, const std::string& type, const std::string& file,
                 const environment& env, teardown_config& t) {
    t.what = teardown_config::kind::preset;
    if (type == "http") {
        auto o = read_http(s, file, env);
        t.options.per_hold = s.boolean("per_hold").value_or(true);
        each_effect_has_a_request(s, t, o);
        timed(s, t, o.timeout);
        t.preset = std::move(o);
    } else if (type == "oauth_revocation") {
        only_takes_away(s, t);
        auto o = read_oauth(s);
        timed(s, t, o.timeout);
        t.preset = std::move(o);
    } else if (type == "file") {
        only_takes_away(s, t);
        t.preset = read_file(s);
    } else if (type == "cgroup") {
        auto o = read_cgroup(s);
        timed(s, t, o.timeout);
        t.preset = std::move(o);
    } else if (type == "postgres_role") {
        auto o = read_postgres(s);
        timed(s, t, o.timeout);
        t.preset = std::move(o);
    } else if (type == "redis_user") {
        auto o = read_redis(s);
        timed(s, t, o.timeout);
        t.preset = std::move(o);
    } else {
        return false;
    }
    // What it cannot work with it says when it is made.
    try {
        (void)handler_of(t, nullptr);
    } catch (const ms::setup_error& e) {
        s.fail("type", "= \"" + type + "\": " + e.what());
    }
    return true;
}

}  // namespace mission::receiver::program
