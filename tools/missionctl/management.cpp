#include <istream>
#include <ostream>

#include "jose/digest.hpp"
#include "tools/missionctl/answers.hpp"
#include "tools/missionctl/duration.hpp"
#include "tools/missionctl/print.hpp"

// mission manage: enumerations and bulk operations
// (draft-mcguinness-oauth-mission-management).

namespace mission::tools {
namespace {

// "7d" is what lies behind here, where deadlines lie ahead.
std::string moment_behind(const std::string& typed, wall_time now) {
    const auto when = parse_moment(typed, now);
    if (!when) return {};
    const bool duration = !from_rfc3339(typed);
    return to_rfc3339(duration ? now - (*when - now) : *when);
}

// --filter, then what the flags say of single members.
result<json::document> filter_of(const invocation& typed, wall_time now) {
    json::document out;
    out.SetObject();
    if (!typed.filter.empty()) {
        auto parsed = json::parse(typed.filter);
        if (!parsed) return error{parsed.error().code, "--filter: " + parsed.error().detail};
        if (!parsed->IsObject()) return error{errc::invalid_argument, "--filter: a JSON object"};
        out = std::move(*parsed);
    }
    auto& a = out.GetAllocator();
    if (!typed.subject_sub.empty()) {
        json::value subject(RAPIDJSON_NAMESPACE::kObjectType);
        json::add(subject, "iss", std::string_view(typed.subject_iss), a);
        json::add(subject, "sub", std::string_view(typed.subject_sub), a);
        set(out, "subject", std::move(subject));
    }
    set_text(out, "client_id", typed.agent);
    set_text(out, "tenant", typed.tenant);
    set_text(out, "parent", typed.parent);
    if (!typed.states.empty()) {
        json::value states(RAPIDJSON_NAMESPACE::kArrayType);
        for (const auto& s : typed.states)
            states.PushBack(json::make_string(s, a), a);
        set(out, "state", std::move(states));
    }
    set_text(out, "created_after", moment_behind(typed.created_after, now));
    set_text(out, "created_before", moment_behind(typed.created_before, now));
    if (const auto end = parse_moment(typed.expires_at, now))
        set_text(out, "expiring_before", to_rfc3339(*end));
    return out;
}

result<json::document> request_of(const invocation& typed, std::string_view operation,
                                  wall_time now) {
    auto filter = filter_of(typed, now);
    if (!filter) return filter.error();
    json::document out;
    out.SetObject();
    json::add(out, "operation", operation, out.GetAllocator());
    set(out, "filter", json::value(*filter, out.GetAllocator()));
    return out;
}

// Waits for a line that says yes.
bool agreed(const invocation& typed, std::istream& in, std::ostream& err, std::int64_t count) {
    if (typed.yes) return true;
    err << typed.operation << " " << count << (count == 1 ? " mission" : " missions") << "? [y/N] "
        << std::flush;
    std::string line;
    std::getline(in, line);
    return line == "y" || line == "Y" || line == "yes";
}

// Exactly what the token pins, page after page: what is reviewed is what is executed.
result<std::string> review(session& to, const json::value& filter, const std::string& token,
                           const std::string& reason) {
    std::string out, cursor;
    do {
        json::document look;
        look.SetObject();
        set(look, "filter", json::value(filter, look.GetAllocator()));
        set_text(look, "operation", "enumerate");
        set_text(look, "purpose", reason);
        set_text(look, "bulk_token", token);
        set_text(look, "cursor", cursor);
        const auto page = to.manage(look, {});
        if (!page) return page.error();
        out += print_summaries(*page, cursor.empty());
        cursor = json::find_string(*page, "cursor").value_or("");
    } while (!cursor.empty());
    return out;
}

}  // namespace

result<shown> enumerate(const invocation& typed, session& to, wall_time now) {
    auto request = request_of(typed, "enumerate", now);
    if (!request) return request.error();
    set_text(*request, "purpose", typed.reason);
    set_text(*request, "cursor", typed.cursor);
    set_text(*request, "bulk_token", typed.bulk_token);
    if (typed.limit > 0) set(*request, "limit", json::value(typed.limit));
    const auto page = to.manage(*request, typed.nonce);
    if (!page) return page.error();
    auto text = print_summaries(*page, true);
    if (const auto next = json::find_string(*page, "cursor"))
        text += "\nmore: --cursor " + std::string(*next) + "\n";
    return shown{json::write(*page), std::move(text), 0};
}

result<shown> bulk(const invocation& typed, session& to, std::istream& in, std::ostream& err,
                   wall_time now) {
    auto request = request_of(typed, typed.operation, now);
    if (!request) return request.error();
    set_text(*request, "reason", typed.reason);
    if (const auto until = parse_moment(typed.until, now))
        set_text(*request, "suspend_until", to_rfc3339(*until));
    set_text(*request, "on_expiry", typed.on_expiry);

    set_text(*request, "mode", "dry_run");
    const auto dry = to.manage(*request, {});
    if (!dry) return dry.error();
    const auto count = json::find_int(*dry, "match_count").value_or(0);
    const std::string token(json::find_string(*dry, "bulk_token").value_or(""));
    const auto matched = typed.operation + " matches " + std::to_string(count) +
                         (count == 1 ? " mission\n" : " missions\n");
    std::string pinned;
    if (typed.review) {
        auto shown_first = review(to, *json::find(*request, "filter"), token, typed.reason);
        if (!shown_first) return shown_first.error();
        pinned = std::move(*shown_first);
    }
    if (!typed.execute)
        return shown{json::write(*dry), matched + pinned + "nothing was done: --execute does it\n",
                     0};
    err << (typed.yes ? "" : matched + pinned);
    if (count > 0 && !agreed(typed, in, err, count))
        return error{errc::cancelled, "nothing was done"};

    set_text(*request, "mode", "execute");
    set_text(*request, "bulk_token", token);
    const auto manifest = to.manage(*request, typed.nonce);
    if (!manifest) return manifest.error();
    shown out{json::write(*manifest), print_manifest(*manifest), 0};
    const auto* results = json::find(*manifest, "results");
    if (!results || !results->IsArray())
        return error{errc::bad_response, "the answer has no results"};
    for (const auto& r : results->GetArray())
        if (json::find_string(r, "outcome") == "error") out.status = 1;
    return out;
}

}  // namespace mission::tools
