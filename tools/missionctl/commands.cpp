#include "tools/missionctl/commands.hpp"

#include <istream>
#include <ostream>

#include "jose/digest.hpp"
#include "tools/missionctl/answers.hpp"
#include "tools/missionctl/duration.hpp"
#include "tools/missionctl/print.hpp"

namespace mission::tools {
namespace {

namespace rj = RAPIDJSON_NAMESPACE;

void set_expiry(json::document& request, const std::string& typed, wall_time now) {
    if (typed.empty()) return;
    if (const auto when = parse_moment(typed, now))
        set_text(request, "expires_at", to_rfc3339(*when));
}

result<shown> create(const invocation& typed, session& to, std::istream& in, wall_time now) {
    auto request = read_json(typed.file, in);
    if (!request) return request.error();
    if (!request->IsObject()) return error{errc::invalid_argument, "a mission is a JSON object"};
    set_expiry(*request, typed.expires_at, now);
    set_text(*request, "mission_id", typed.mission_id);
    set_text(*request, "purpose", typed.purpose);
    set_text(*request, "tenant", typed.tenant);
    set_text(*request, "parent", typed.parent);
    set_text(*request, "predecessor", typed.predecessor);
    if (!typed.agent.empty()) {
        auto& a = request->GetAllocator();
        json::value agent(rj::kObjectType);
        json::add(agent, "client_id", std::string_view(typed.agent), a);
        set(*request, "agent", std::move(agent));
    }
    // Made here when none was given: a lost answer is asked for again without a second mission.
    const std::string key =
        typed.idempotency_key.empty() ? jose::random_id(24) : typed.idempotency_key;
    auto reply = to.call("POST", "/missions", json::write(*request), "mission.write", true,
                         {{"idempotency-key", key}});
    if (!reply) return reply.error();
    return shown{reply->text, print_mission(reply->body), 0};
}

result<shown> scope(const invocation& typed, session& to, std::istream& in, wall_time now) {
    json::document request;
    request.SetObject();
    if (!typed.file.empty()) {
        auto read = read_json(typed.file, in);
        if (!read) return read.error();
        if (read->IsArray()) {
            json::value details(*read, request.GetAllocator());
            set(request, "authorization_details", std::move(details));
        } else if (read->IsObject()) {
            request = std::move(*read);
        } else {
            return error{errc::invalid_argument, "an array or an object is needed"};
        }
    }
    set_text(request, "change", typed.change);
    if (!json::find(request, "change")) set_text(request, "change", "narrowed");
    set_text(request, "reason", typed.reason);
    set_expiry(request, typed.expires_at, now);
    if (!typed.approver_sub.empty() || !typed.approver_iss.empty()) {
        auto& a = request.GetAllocator();
        json::value approver(rj::kObjectType);
        json::add(approver, "iss", std::string_view(typed.approver_iss), a);
        json::add(approver, "sub", std::string_view(typed.approver_sub), a);
        set(request, "approver", std::move(approver));
    }
    if (typed.expected_version)
        set(request, "expected_version", json::value(*typed.expected_version));
    // A narrowing asked twice leads to the same set; with --expected-version it is made once.
    auto reply = to.call("POST", "/missions/" + typed.id + "/scope", json::write(request),
                         "mission.scope", true);
    if (!reply) return reply.error();
    return shown{reply->text, print_mission(reply->body), 0};
}

result<shown> operate(const invocation& typed, session& to, const char* operation, wall_time now) {
    form_fields fields = {{"operation", operation}};
    if (!typed.reason.empty()) fields.emplace_back("reason", typed.reason);
    if (typed.expected_version)
        fields.emplace_back("expected_version", std::to_string(*typed.expected_version));
    if (const auto until = parse_moment(typed.until, now))
        fields.emplace_back("suspend_until", to_rfc3339(*until));
    if (!typed.on_expiry.empty()) fields.emplace_back("on_expiry", typed.on_expiry);
    auto claims =
        to.signed_call(session::form::lifecycle, typed.id, std::move(fields), typed.nonce);
    if (!claims) return claims.error();
    return shown{json::write(*claims), print_status(*claims), 0};
}

result<shown> status(const invocation& typed, session& to) {
    auto claims = to.signed_call(session::form::status, typed.id, {}, typed.nonce);
    if (!claims) return claims.error();
    return shown{json::write(*claims), print_status(*claims), 0};
}

result<shown> list(const invocation& typed, session& to) {
    form_fields query;
    for (const auto& [name, value] :
         {std::pair{"state", &typed.state}, std::pair{"agent", &typed.agent},
          std::pair{"tenant", &typed.tenant}, std::pair{"parent", &typed.parent},
          std::pair{"cursor", &typed.cursor}})
        if (!value->empty()) query.emplace_back(name, *value);
    if (typed.limit > 0) query.emplace_back("limit", std::to_string(typed.limit));
    const std::string path = "/missions" + (query.empty() ? "" : "?" + net::encode_form(query));
    auto reply = to.call("GET", path, {}, "mission.read", true);
    if (!reply) return reply.error();
    return shown{reply->text, print_mission_list(reply->body), 0};
}

result<shown> emit(const invocation& typed, session& to, std::istream& in) {
    json::document request;
    request.SetObject();
    if (!typed.file.empty()) {
        auto read = read_json(typed.file, in);
        if (!read) return read.error();
        if (!read->IsObject()) return error{errc::invalid_argument, "a signal is a JSON object"};
        request = std::move(*read);
    }
    set_text(request, "type", typed.type);
    set_text(request, "txn", typed.txn);
    for (const auto& [name, text] :
         {std::pair{"subject", &typed.subject}, std::pair{"event", &typed.event}}) {
        if (text->empty()) continue;
        const auto parsed = json::parse(*text);
        if (!parsed)
            return error{parsed.error().code, std::string(name) + ": " + parsed.error().detail};
        json::value copy(*parsed, request.GetAllocator());
        set(request, name, std::move(copy));
    }
    if (json::find(request, "event") == nullptr)
        set(request, "event", json::value(rj::kObjectType));
    if (typed.audience == std::vector<std::string>{"all"}) {
        set_text(request, "audience", "all");
    } else if (!typed.audience.empty()) {
        json::value list(rj::kArrayType);
        for (const auto& client : typed.audience)
            list.PushBack(json::make_string(client, request.GetAllocator()),
                          request.GetAllocator());
        set(request, "audience", std::move(list));
    }
    const std::string key =
        typed.idempotency_key.empty() ? jose::random_id(24) : typed.idempotency_key;
    auto reply = to.call("POST", "/signals", json::write(request), "signals.emit", true,
                         {{"idempotency-key", key}});
    if (!reply) return reply.error();
    return shown{reply->text, print_stream(reply->body), 0};
}

std::string stream_path(const invocation& typed, const char* rest) {
    return "/admin/streams/" + net::percent_encode(typed.id) + rest;
}

result<shown> change_stream(const invocation& typed, session& to, const char* operation) {
    json::document request;
    request.SetObject();
    set_text(request, "reason", typed.reason);
    auto reply =
        to.call("POST", stream_path(typed, operation), json::write(request), "ssf.admin", true);
    if (!reply) return reply.error();
    return shown{reply->text, print_stream(reply->body), 0};
}

result<shown> replay(const invocation& typed, session& to, wall_time now) {
    json::document request;
    request.SetObject();
    // "8h" is what lies behind here, where deadlines lie ahead.
    if (const auto when = parse_moment(typed.since, now))
        set_text(request, "since", to_rfc3339(*when > now ? now - (*when - now) : *when));
    if (typed.from_seq) set(request, "from_seq", json::value(*typed.from_seq));
    set_text(request, "mission_id", typed.mission_id);
    set_text(request, "signal_id", typed.signal_id);
    auto reply =
        to.call("POST", stream_path(typed, "/replay"), json::write(request), "ssf.admin", false);
    if (!reply) return reply.error();
    return shown{reply->text, print_stream(reply->body), 0};
}

// Prints what is committed as it comes, until `count` was told, the output is closed or the
// transmitter stays away.
result<void> watch(const invocation& typed, session& to, std::ostream& out) {
    std::string position;
    int told = 0;
    for (;;) {
        std::vector<std::pair<std::string, std::string>> fields{{"accept", "text/event-stream"}};
        if (!position.empty()) fields.emplace_back("last-event-id", position);
        const auto text = to.fetch("/admin/tail", "ssf.admin", fields);
        if (!text) return text.error();
        for (const auto& e : parse_events(*text)) {
            if (!e.id.empty()) position = e.id;
            if (e.type != "signal") continue;
            const auto data = json::parse(e.data);
            if (!data) return error{errc::bad_response, "an event of the tail is no JSON"};
            out << (typed.json ? e.data + "\n" : print_tail_line(*data)) << std::flush;
            if (!out) return {};
            if (typed.count > 0 && ++told >= typed.count) return {};
        }
    }
}

// "7d" is what lies behind here, where deadlines lie ahead.
std::string moment_query(const invocation& typed, wall_time now) {
    const auto when = parse_moment(typed.at, now);
    if (!when) return {};
    const bool duration = !from_rfc3339(typed.at);
    return "?" + net::encode_form({{"at", to_rfc3339(duration ? now - (*when - now) : *when)}});
}

result<shown> dispatch(const invocation& typed, session& to, std::istream& in, std::ostream& err,
                       wall_time now) {
    switch (typed.what) {
        case verb::mission_create:
            return create(typed, to, in, now);
        case verb::mission_scope:
            return scope(typed, to, in, now);
        case verb::mission_list:
            return list(typed, to);
        case verb::mission_status:
            return status(typed, to);
        case verb::mission_revoke:
            return operate(typed, to, "revoke", now);
        case verb::mission_suspend:
            return operate(typed, to, "suspend", now);
        case verb::mission_resume:
            return operate(typed, to, "resume", now);
        case verb::mission_complete:
            return operate(typed, to, "complete", now);
        case verb::mission_get:
            return get(to, "/missions/" + typed.id + moment_query(typed, now), "mission.read",
                       print_mission);
        case verb::mission_tree:
            return tree(typed, to);
        case verb::mission_history:
            return history(typed, to);
        case verb::mission_report:
            return report(typed, to);
        case verb::mission_reports:
            return reports(typed, to);
        case verb::report_list:
            return inbox(typed, to);
        case verb::report_decide:
            return decide(typed, to);
        case verb::manage_enumerate:
            return enumerate(typed, to, now);
        case verb::manage_bulk:
            return bulk(typed, to, in, err, now);
        case verb::stream_list:
            return get(to, "/admin/streams", "ssf.admin", print_stream_list);
        case verb::stream_show:
            return get(to, "/admin/streams/" + net::percent_encode(typed.id), "ssf.admin",
                       print_stream);
        case verb::stream_pause:
            return change_stream(typed, to, "/pause");
        case verb::stream_enable:
            return change_stream(typed, to, "/enable");
        case verb::stream_replay:
            return replay(typed, to, now);
        case verb::stream_dead:
            if (!typed.forget)
                return get(to, stream_path(typed, "/dead"), "ssf.admin", print_dead_letters);
            {
                auto reply = to.call("DELETE", stream_path(typed, "/dead"), {}, "ssf.admin", false);
                if (!reply) return reply.error();
                return shown{reply->text, print_stream(reply->body), 0};
            }
        case verb::signal_emit:
            return emit(typed, to, in);
        case verb::tail:
        case verb::audit:
            break;  // no single answer: run_command
    }
    return error{errc::invalid_argument, "no such command"};
}

}  // namespace

int run_command(const invocation& typed, session& to, std::istream& in, std::ostream& out,
                std::ostream& err, wall_time now) {
    const auto failed = [&](const error& e) {
        err << "missionctl: " << (e.detail.empty() ? e.message() : e.detail) << "\n";
        return 1;
    };
    if (typed.what == verb::tail) {
        const auto ended = watch(typed, to, out);
        return ended ? 0 : failed(ended.error());
    }
    if (typed.what == verb::audit) return audit(typed, to, out, err);
    const auto answer = dispatch(typed, to, in, err, now);
    if (!answer) return failed(answer.error());
    out << (typed.json ? answer->json + "\n" : answer->text);
    return out.flush() ? answer->status : 1;
}

}  // namespace mission::tools
