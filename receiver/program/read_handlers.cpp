// [[teardown]] and [[event]]: what is run, and when.

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "receiver/program/config_parts.hpp"

namespace mission::receiver::program {
namespace {

using settings::environment;
using settings::section;
using settings::setting;

bool plain_variable(std::string_view name) {
    if (name.empty() || (name.front() >= '0' && name.front() <= '9')) return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '_';
    });
}

command_config read_command(section& s, const std::string& file, const environment& env,
                            std::span<const std::string_view> known) {
    command_config out;
    const auto words = s.list("command");
    if (words.empty()) s.fail("command", "is missing: [\"/path/of/program\", \"argument\", ..]");
    out.file = words.front();
    if (out.file.front() != '/')
        s.fail("command", "must begin with the absolute path of a program: there is no shell");
    if (::access(out.file.c_str(), X_OK) != 0)
        s.fail("command", "names " + out.file + ", which is not there or not executable");
    for (auto it = words.begin() + 1; it != words.end(); ++it) {
        auto parsed = argument_template::parse(*it, known);
        if (!parsed) s.fail("command", parsed.error().detail);
        out.arguments.push_back(std::move(*parsed));
    }
    if (const auto t = seconds_of(s, "timeout_seconds", 0.05, 86'400)) out.timeout = *t;
    if (auto* tree = s.raw("environment")) {
        section variables(tree, "environment", file, env, false);
        for (const auto& [name, value] : tree->members) {
            if (!plain_variable(name) || name.starts_with("MISSION_"))
                variables.fail(name, "cannot be set: not a plain name, or one of ours (MISSION_*)");
            // A secret as { file = ".." } or { env = ".." }, or a text.
            auto text = variables.secret(name);
            if (text->find('\0') != std::string::npos) variables.fail(name, "holds a NUL");
            out.environment.emplace(name, std::move(*text));
        }
    }
    return out;
}

std::vector<ms::effect> read_effects(section& s) {
    const auto names = s.list("on");
    if (names.empty())
        s.fail("on", "is missing: the effects to run for, as \"revoked\" or \"ended\"");
    return effects_of(s, names);
}

std::string read_name(section& s, std::set<std::string>& names) {
    auto name = s.required_text("name");
    if (!names.insert(name).second) s.fail("name", "= \"" + name + "\" is there twice");
    return name;
}

void need_list(const setting* list, const std::string& file, const std::string& what) {
    if (list->what != setting::kind::list)
        throw error{errc::bad_configuration, file + ":" + std::to_string(list->line) + ": " + what};
}

}  // namespace

std::optional<std::chrono::milliseconds> seconds_of(section& s, std::string_view key, double low,
                                                    double high) {
    const auto n = s.number(key, low, high);
    if (!n) return std::nullopt;
    return std::chrono::milliseconds(static_cast<std::int64_t>(std::llround(*n * 1000)));
}

std::vector<ms::effect> effects_of(const section& s, const std::vector<std::string>& names) {
    std::vector<ms::effect> out;
    const auto add = [&](ms::effect e) {
        if (std::find(out.begin(), out.end(), e) == out.end()) out.push_back(e);
    };
    for (const auto& text : names) {
        bool known = false;
        for (int n = 0; n <= static_cast<int>(ms::effect::fresh); ++n) {
            const auto e = static_cast<ms::effect>(n);
            if (ms::name(e) != text) continue;
            known = true;
            add(e);
        }
        // Every end, whatever it is called; also states of which we do not know the name.
        if (text == "ended")
            for (const auto e : ms::terminal_effects())
                add(e);
        if (!known)
            s.fail("on", "has the unknown entry \"" + text +
                             "\": one of suspended, resumed, completed, revoked, expired, "
                             "superseded, cascaded, ended (all of these ends), scope_changed, "
                             "stale, fresh");
    }
    return out;
}

void read_teardown(setting* list, const std::string& file, const environment& env,
                   program_config& c) {
    if (!list) return;
    need_list(list, file, "teardown is written as [[teardown]]");
    std::set<std::string> names;
    for (auto& tree : list->items) {
        section s(&tree, "teardown", file, env, false);
        teardown_config t;
        t.options.name = read_name(s, names);
        t.options.on = read_effects(s);
        const auto type = s.required_text("type");
        if (type == "exec") {
            t.command = read_command(s, file, env, task_names());
            t.options.per_hold = s.boolean("per_hold").value_or(true);
            // The command's own deadline comes first: it kills, and says so.
            t.options.timeout = t.command.timeout + std::chrono::seconds(10);
        } else if (type == "process_group") {
            t.what = teardown_config::kind::process_group;
            t.grace = seconds_of(s, "grace_seconds", 0, 3'600).value_or(std::chrono::seconds(2));
            t.options.per_hold = true;
            t.options.timeout = t.grace + std::chrono::seconds(15);
        } else if (!read_preset(s, type, file, env, t)) {
            s.fail("type", "= \"" + type +
                               "\" is unknown: exec, process_group, cgroup, file, http, "
                               "oauth_revocation, postgres_role or redis_user");
        }
        if (const auto d = seconds_of(s, "retry_first_seconds", 0.01, 3'600))
            t.options.retry_first = *d;
        if (const auto d = seconds_of(s, "retry_max_seconds", 0.01, 86'400))
            t.options.retry_max = *d;
        if (t.options.retry_first > t.options.retry_max)
            s.fail("retry_first_seconds", "must not be above retry_max_seconds");
        if (const auto n = s.integer("concurrency", 1, 64))
            t.options.concurrency = static_cast<unsigned>(*n);
        s.finish();
        c.teardown.push_back(std::move(t));
    }
}

void read_events(setting* list, const std::string& file, const environment& env,
                 program_config& c) {
    if (!list) return;
    need_list(list, file, "events are written as [[event]]");
    std::set<std::string> names;
    std::set<std::string> types;
    for (auto& tree : list->items) {
        section s(&tree, "event", file, env, false);
        event_config e;
        e.name = read_name(s, names);
        for (const auto& name : s.list("types"))
            e.types.push_back(event_type_of(s, "types", name));
        if (e.types.empty() && !types.insert("").second)
            s.fail("types",
                   "is missing here and in another [[event]]: one alone may take the rest");
        for (const auto& type : e.types)
            if (!types.insert(type).second)
                s.fail("types", "has " + type + ", which another [[event]] has already");
        if (const auto type = s.required_text("type"); type != "exec")
            s.fail("type", "= \"" + type + "\" is not available in this version: \"exec\"");
        e.command = read_command(s, file, env, event_names());
        s.finish();
        c.events.push_back(std::move(e));
    }
}

}  // namespace mission::receiver::program
