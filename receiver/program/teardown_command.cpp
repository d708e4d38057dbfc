// teardown run: one handler, now, on the words of whoever types; for trials and for nights.

#include <algorithm>
#include <iostream>

#include "base/json.hpp"
#include "jose/digest.hpp"
#include "receiver/program/commands.hpp"
#include "receiver/program/handlers.hpp"
#include "receiver/teardown/run_handler.hpp"

namespace mission::receiver::program {
namespace {

int failed(const std::string& why) {
    std::cerr << "mission-receiver: " << why << "\n";
    return 1;
}

std::optional<ms::effect> effect_named(const std::string& text) {
    for (int n = 0; n <= static_cast<int>(ms::effect::fresh); ++n)
        if (ms::name(static_cast<ms::effect>(n)) == text) return static_cast<ms::effect>(n);
    return std::nullopt;
}

std::string to_json(const ms::task& t, const std::string& handler, const ms::outcome& o) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::member(w, "handler", handler);
    json::member(w, "effect", ms::name(t.why));
    json::member(w, "mission_id", t.mission_id);
    if (!t.name.empty()) json::member(w, "name", t.name);
    json::member(w, "idempotency_key", t.idempotency_key);
    json::member(w, "outcome", ms::name(o.kind));
    json::member(w, "evidence", o.evidence);
    w.EndObject();
    return json::text(b);
}

}  // namespace

int run_teardown(const invocation& typed, const program_config& c) {
    const auto it = std::find_if(c.teardown.begin(), c.teardown.end(),
                                 [&](const auto& t) { return t.options.name == typed.handler; });
    if (it == c.teardown.end()) return failed("no [[teardown]] is called " + typed.handler);
    const auto why = effect_named(typed.effect);
    if (!why) return failed("there is no effect " + typed.effect);
    const auto& on = it->options.on;
    if (std::find(on.begin(), on.end(), *why) == on.end())
        return failed(typed.handler + " is not run on " + typed.effect);

    ms::task t;
    t.why = *why;
    t.mission_id = typed.mission_id;
    t.issuer = typed.issuer.empty() ? transmitter_named_by(c.options) : typed.issuer;
    t.version = typed.version;
    t.name = typed.name;
    t.data = typed.data;
    t.idempotency_key = typed.key.empty() ? "by-hand-" + jose::random_id(16) : typed.key;
    const auto gate = std::make_shared<exec_gate>();
    const auto said = run_handler(handler_of(*it, gate), t);
    std::cout << to_json(t, typed.handler, said) << "\n";
    return said.kind == ms::outcome_kind::acknowledged ? 0 : 1;
}

}  // namespace mission::receiver::program
