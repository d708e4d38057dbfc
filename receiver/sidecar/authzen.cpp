#include "receiver/sidecar/authzen.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "receiver/sidecar/limits.hpp"

namespace mission::receiver::sidecar::authzen {
namespace {

error bad(std::string why) {
    return {errc::invalid_request, std::move(why)};
}

const json::value* pick(const json::value& one, const json::value* defaults,
                        std::string_view name) {
    const auto* own = json::find(one, name);
    return own || !defaults ? own : json::find(*defaults, name);
}

void add_mission(evaluation& e, const json::value* v) {
    if (!v) return;
    if (!v->IsString()) {
        e.malformed_reference = true;
        return;
    }
    std::string id(json::view(*v));
    if (std::find(e.missions.begin(), e.missions.end(), id) == e.missions.end())
        e.missions.push_back(std::move(id));
}

// A text that has to be there and not to be empty.
bool take(const json::value& from, std::string_view what, std::string_view member,
          std::string& into, std::string& problem) {
    const auto text = json::find_string(from, member);
    if (!text || text->empty()) {
        problem.append(what).append(".").append(member).append(" is missing or no text");
        return false;
    }
    into = std::string(*text);
    return true;
}

bool object_or_absent(const json::value& holder, std::string_view what, std::string_view name,
                      std::string& problem) {
    const auto* v = json::find(holder, name);
    if (!v || v->IsObject()) return true;
    problem.append(what).append(name).append(" is no object");
    return false;
}

evaluation read_one(const json::value& one, const json::value* defaults) {
    evaluation e;
    if (!one.IsObject()) {
        e.problem = "the evaluation is no object";
        return e;
    }
    const json::value* parts[4] = {};
    constexpr std::string_view names[] = {"subject", "action", "resource", "context"};
    for (std::size_t i = 0; i < 4; ++i) {
        parts[i] = pick(one, defaults, names[i]);
        if (!parts[i] && i == 3) continue;
        if (!parts[i] || !parts[i]->IsObject()) {
            e.problem.append(names[i]).append(parts[i] ? " is no object" : " is missing");
            return e;
        }
        if (i < 3 &&
            !object_or_absent(*parts[i], std::string(names[i]) + ".", "properties", e.problem))
            return e;
    }
    const auto& [subject, action, resource, context] = parts;
    if (!take(*subject, "subject", "type", e.subject_type, e.problem) ||
        !take(*subject, "subject", "id", e.subject_id, e.problem) ||
        !take(*action, "action", "name", e.action, e.problem) ||
        !take(*resource, "resource", "type", e.resource_type, e.problem) ||
        !take(*resource, "resource", "id", e.resource_id, e.problem))
        return e;
    if (e.subject_type == "mission") e.missions.push_back(e.subject_id);
    if (const auto* p = json::find(*subject, "properties"))
        add_mission(e, json::find(*p, "mission_id"));
    if (context) {
        add_mission(e, json::find(*context, "mission_id"));
        if (const auto* m = json::find(*context, "mission")) {
            if (m->IsObject())
                add_mission(e, json::find(*m, "id"));
            else
                add_mission(e, m);
        }
    }
    return e;
}

result<semantic> read_semantic(const json::value& body) {
    const auto* options = json::find(body, "options");
    if (!options) return semantic::execute_all;
    if (!options->IsObject()) return bad("options is no object");
    const auto* how = json::find(*options, "evaluations_semantic");
    if (!how) return semantic::execute_all;
    const auto text = how->IsString() ? json::view(*how) : std::string_view();
    if (text == "execute_all") return semantic::execute_all;
    if (text == "deny_on_first_deny") return semantic::deny_on_first_deny;
    if (text == "permit_on_first_permit") return semantic::permit_on_first_permit;
    return bad(
        "options.evaluations_semantic is none of execute_all, deny_on_first_deny, "
        "permit_on_first_permit");
}

// "reason_admin" and "reason_user" by HTTP status, as the specification's examples have them.
void write_reason(json::writer& w, std::string_view member, std::string_view status,
                  std::string_view text) {
    json::key(w, member);
    w.StartObject();
    json::member(w, status, text);
    w.EndObject();
}

void write_decision(json::writer& w, const evaluation& e, const decision& d) {
    w.StartObject();
    json::key(w, "decision");
    w.Bool(e.problem.empty() && d.permitted());
    json::key(w, "context");
    w.StartObject();
    if (!e.problem.empty()) {
        json::key(w, "error");
        w.StartObject();
        json::key(w, "status");
        w.Int(400);
        json::member(w, "message", e.problem);
        w.EndObject();
    } else {
        json::member(w, "reason", name(d.why));
        if (!d.mission_id.empty()) json::member(w, "mission_id", d.mission_id);
        if (d.looked) {
            json::member(w, "mission_state", ms::name(d.now.what));
            json::key(w, "mission_version");
            w.Int64(d.now.version);
            json::key(w, "authority_checked");
            w.Bool(d.authority_asked);
            if (d.now.why != ms::cause::none) json::member(w, "cause", ms::name(d.now.why));
        }
        if (!d.permitted()) {
            const auto status = unauthenticated(d.why) ? "401" : "403";
            write_reason(w, "reason_admin", status, description(d.why));
            write_reason(w, "reason_user", status,
                         d.looked ? "This is not permitted under the current mission."
                                  : "The mission of this request could not be determined.");
        }
    }
    w.EndObject();
    w.EndObject();
}

}  // namespace

result<request> parse(std::string_view body, bool batch_allowed) {
    const auto parsed = json::parse(body, limits::body_bytes, limits::body_depth);
    if (!parsed) return bad("the body is not JSON that can be read: " + parsed.error().detail);
    if (!parsed->IsObject()) return bad("the body is no object");
    request out;
    const auto* list = batch_allowed ? json::find(*parsed, "evaluations") : nullptr;
    if (list && !list->IsArray()) return bad("evaluations is no array");
    if (list && list->Size() > limits::evaluations)
        return bad("evaluations has more than " + std::to_string(limits::evaluations));
    if (batch_allowed) {
        auto how = read_semantic(*parsed);
        if (!how) return how.error();
        out.how = *how;
    }
    if (!list || list->Empty()) {
        out.all.push_back(read_one(*parsed, nullptr));
        // The only one there is: its problem is that of the payload.
        if (!out.all.front().problem.empty()) return bad(out.all.front().problem);
        return out;
    }
    std::string problem;
    for (const std::string_view name : {"subject", "action", "resource", "context"})
        if (!object_or_absent(*parsed, "", name, problem)) return bad(problem);
    out.batch = true;
    out.all.reserve(list->Size());
    for (const auto& one : list->GetArray())
        out.all.push_back(read_one(one, &*parsed));
    return out;
}

std::string answer(const request& r, const std::function<decision(const evaluation&)>& one) {
    json::buffer b;
    json::writer w(b);
    if (!r.batch) {
        write_decision(w, r.all.front(), one(r.all.front()));
        return json::text(b);
    }
    w.StartObject();
    json::key(w, "evaluations");
    w.StartArray();
    for (const auto& e : r.all) {
        const auto d = e.problem.empty() ? one(e) : decision{};
        write_decision(w, e, d);
        const bool yes = e.problem.empty() && d.permitted();
        if (r.how == semantic::deny_on_first_deny && !yes) break;
        if (r.how == semantic::permit_on_first_permit && yes) break;
    }
    w.EndArray();
    w.EndObject();
    return json::text(b);
}

decision decide(const evaluation& e, const ms::mission_cache& missions, const settings& s) {
    if (e.malformed_reference) return {.why = reason::malformed_reference};
    if (e.missions.empty()) return {.why = reason::missing_reference};
    if (e.missions.size() > 1) return {.why = reason::conflicting_references};
    wanted what;
    if (s.authzen == authzen_authority::resource_id) what = {e.resource_id, e.action};
    if (s.authzen == authzen_authority::configured) what = {s.resource, e.action};
    return judge(missions, {.mission_id = e.missions.front()}, what);
}

std::string metadata(std::string_view public_url) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::member(w, "policy_decision_point", public_url);
    json::member(w, "access_evaluation_endpoint",
                 std::string(public_url) + "/access/v1/evaluation");
    json::member(w, "access_evaluations_endpoint",
                 std::string(public_url) + "/access/v1/evaluations");
    w.EndObject();
    return json::text(b);
}

}  // namespace mission::receiver::sidecar::authzen
