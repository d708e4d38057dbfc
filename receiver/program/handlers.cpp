#include "receiver/program/handlers.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "base/time.hpp"

namespace mission::receiver::program {
namespace {

std::string upper(std::string_view text) {
    std::string out;
    for (const char c : text)
        out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return out;
}

// The same values three ways: in arguments where the configuration names them, as MISSION_*
// variables, and as one JSON object on standard input.
result<exec_request> fill(const command_config& c, const argument_template::values& values,
                          std::span<const std::string_view> names, std::string_view prefix) {
    exec_request out;
    out.file = c.file;
    out.timeout = c.timeout;
    for (const auto& a : c.arguments) {
        auto text = a.fill(values);
        if (!text) return text.error();
        out.arguments.push_back(std::move(*text));
    }
    out.environment = child_environment();
    for (const auto& [name, value] : c.environment)
        out.environment[name] = value;
    for (const auto name : names) {
        const auto it = values.find(name);
        if (it == values.end() || it->second.empty()) continue;
        if (it->second.find('\0') != std::string::npos)
            return error{errc::invalid_argument, "{" + std::string(name) + "} holds a NUL"};
        // {mission_id} is MISSION_ID, {name} is MISSION_NAME, an event's {type} MISSION_EVENT_TYPE.
        const auto bare = name.starts_with("mission_") ? name.substr(8) : name;
        out.environment[std::string(prefix) + upper(bare)] = it->second;
    }
    return out;
}

// Each preset with the program's stop in it.
struct made_preset {
    ms::stop_query stopping;

    ms::handler operator()(std::monostate) const { throw ms::setup_error("no preset"); }
    ms::handler operator()(const ms::removed_file& o) const { return ms::file_handler(o); }
    ms::handler operator()(ms::http_action o) const {
        o.stopping = stopping;
        return ms::http_handler(std::move(o));
    }
    ms::handler operator()(ms::oauth_revocation o) const {
        o.stopping = stopping;
        return ms::oauth_revocation_handler(std::move(o));
    }
    ms::handler operator()(ms::cgroup_control o) const {
        o.stopping = stopping;
        return ms::cgroup_handler(std::move(o));
    }
    ms::handler operator()(ms::postgres_role o) const {
#ifdef MISSION_PRESET_POSTGRES
        o.stopping = stopping;
        return ms::postgres_role_handler(std::move(o));
#else
        (void)o;
        throw ms::setup_error("is not available in this build: it was made without libpq");
#endif
    }
    ms::handler operator()(ms::redis_user o) const {
#ifdef MISSION_PRESET_REDIS
        o.stopping = stopping;
        return ms::redis_user_handler(std::move(o));
#else
        (void)o;
        throw ms::setup_error("is not available in this build: it was made without hiredis");
#endif
    }
};

std::string idempotency_key(const ms::security_event& e) {
    return e.iss + " " + e.jti;
}

}  // namespace

result<exec_request> request_of(const command_config& c, const ms::task& t) {
    const argument_template::values values{{"mission_id", t.mission_id},
                                           {"issuer", t.issuer},
                                           {"effect", std::string(ms::name(t.why))},
                                           {"version", std::to_string(t.version)},
                                           {"name", t.name},
                                           {"data", t.data},
                                           {"idempotency_key", t.idempotency_key},
                                           {"attempt", std::to_string(t.attempt)}};
    auto out = fill(c, values, task_names(), "MISSION_");
    if (!out) return out;
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    for (const auto name : task_names()) {
        const auto& value = values.find(name)->second;
        if (name == "version" || name == "attempt") {
            json::key(w, name);
            json::raw(w, value);
        } else {
            json::member(w, name, value);
        }
    }
    w.EndObject();
    out->input = json::text(b) + "\n";
    return out;
}

result<exec_request> request_of(const command_config& c, const ms::security_event& e) {
    const auto issued = to_rfc3339(std::chrono::time_point_cast<std::chrono::seconds>(e.issued_at));
    const argument_template::values values{{"type", e.type},
                                           {"iss", e.iss},
                                           {"jti", e.jti},
                                           {"txn", e.txn},
                                           {"issued_at", issued},
                                           {"subject", e.subject},
                                           {"event", e.event},
                                           {"idempotency_key", idempotency_key(e)},
                                           {"attempt", std::to_string(e.attempt)}};
    // The event's body may be larger than an environment can hold: it is on standard input.
    std::vector<std::string_view> names;
    for (const auto name : event_names())
        if (name != "event") names.push_back(name);
    auto out = fill(c, values, names, "MISSION_EVENT_");
    if (!out) return out;
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    for (const auto name : {"type", "iss", "jti", "txn", "issued_at", "idempotency_key"})
        if (const auto& text = values.find(name)->second; !text.empty())
            json::member(w, name, text);
    for (const auto& [name, text] :
         {std::pair<std::string_view, const std::string&>{"sub_id", e.subject},
          {"event", e.event}}) {
        if (text.empty()) continue;
        json::key(w, name);
        json::raw(w, text);
    }
    json::key(w, "attempt");
    w.Uint(e.attempt);
    w.EndObject();
    out->input = json::text(b) + "\n";
    return out;
}

ms::outcome outcome_of(const exec_result& r) {
    const auto said = r.text.empty() ? std::string() : ": " + r.text;
    switch (r.how) {
        case exec_result::kind::exited:
            if (r.code == 0) return ms::outcome::done("exit 0" + said);
            return ms::outcome::failed("exit " + std::to_string(r.code) + said);
        case exec_result::kind::signalled:
            // What it had done by then is not known.
            return {ms::outcome_kind::unknown, "ended by signal " + std::to_string(r.code) + said};
        case exec_result::kind::timed_out:
            return {ms::outcome_kind::timed_out, r.text};
        case exec_result::kind::interrupted:
            return {ms::outcome_kind::unknown, r.text};
        case exec_result::kind::not_started:
            return ms::outcome::failed("not started: " + r.text);
    }
    return {};
}

ms::handler exec_handler(command_config c, std::shared_ptr<const exec_gate> gate) {
    return [c = std::move(c), gate = std::move(gate)](const ms::task& t) {
        const auto request = request_of(c, t);
        if (!request) return ms::outcome::failed("not started: " + request.error().detail);
        return outcome_of(run(*request, *gate));
    };
}

ms::event_handler exec_event_handler(command_config c, std::shared_ptr<const exec_gate> gate) {
    return [c = std::move(c), gate = std::move(gate)](const ms::security_event& e) {
        const auto request = request_of(c, e);
        if (!request) return ms::outcome::failed("not started: " + request.error().detail);
        return outcome_of(run(*request, *gate));
    };
}

ms::handler handler_of(const teardown_config& t, const std::shared_ptr<const exec_gate>& gate) {
    if (t.what == teardown_config::kind::exec) return exec_handler(t.command, gate);
    if (t.what == teardown_config::kind::process_group) return ms::process_group_handler(t.grace);
    return std::visit(made_preset{[gate] { return gate->closed(); }}, t.preset);
}

void register_handlers(ms::receiver& rx, const program_config& c,
                       const std::shared_ptr<const exec_gate>& gate, const ms::log_function& log) {
    for (const auto& t : c.teardown) {
        rx.on_effect(t.options, handler_of(t, gate));
    }
    bool rest_taken = false;
    for (const auto& e : c.events) {
        rest_taken = rest_taken || e.types.empty();
        rx.on_event(e.name, e.types, exec_event_handler(e.command, gate));
    }
    // The receiver logs each event and what came of it: for the others that is all there is to do.
    if (!rest_taken) {
        rx.on_event("log", {}, [](const ms::security_event&) { return ms::outcome::done(); });
    }
    rx.on_change([log](const ms::mission_view& v, ms::effect why) {
        std::vector<ms::log_field> fields{{"mission", v.id},
                                          {"issuer", v.issuer},
                                          {"version", std::to_string(v.now.version)},
                                          {"effect", std::string(ms::name(why))},
                                          {"state", v.state},
                                          {"standing", std::string(ms::name(v.now.what))}};
        if (!v.reason.empty()) fields.push_back({"reason", v.reason});
        if (!v.successor.empty()) fields.push_back({"successor", v.successor});
        log(ms::log_level::info, "change", fields);
    });
}

}  // namespace mission::receiver::program
