#include "receiver/program/stream_calls.hpp"

#include "base/json.hpp"
#include "events/catalog.hpp"
#include "events/mission_event.hpp"
#include "events/subject.hpp"
#include "net/http.hpp"
#include "receiver/options.hpp"
#include "receiver/subscribe/stream_plan.hpp"

namespace mission::receiver::program {
namespace {

error usage_error(std::string what) {
    return {errc::invalid_argument, std::move(what)};
}

// Our names for standard types; anything else is taken as it was typed, rubbish included: a shell
// is also there to see what the other side says to rubbish.
std::string type_of(const std::string& name) {
    for (const auto& kind : events::event_catalog())
        if (kind.name == name) return std::string(kind.uri);
    return name;
}

void write_delivery(json::writer& w, const invocation& typed, const ms::options& o, bool push) {
    json::key(w, "delivery");
    w.StartObject();
    json::member(w, "method", push ? push_method : poll_method);
    if (push) {
        const auto url = typed.endpoint_url.empty() ? o.push_public_url : typed.endpoint_url;
        json::member(w, "endpoint_url", url);
        if (!o.push_authorization_header.empty())
            json::member(w, "authorization_header", o.push_authorization_header);
    }
    w.EndObject();
}

// SSF 1.0 section 8.1.1: nothing that is the transmitter's to say. `whole` adds from the
// configuration what was not typed.
result<std::string> stream_body(const invocation& typed, const ms::options& o,
                                std::string_view stream_id, bool whole) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    if (!stream_id.empty()) json::member(w, "stream_id", stream_id);
    if (whole || !typed.delivery.empty() || !typed.endpoint_url.empty()) {
        const bool push = typed.delivery == "push" ||
                          (typed.delivery.empty() &&
                           (!typed.endpoint_url.empty() || o.delivery == ms::delivery::push));
        if (!push && !typed.endpoint_url.empty())
            return usage_error("--endpoint-url goes with push delivery");
        if (push && typed.endpoint_url.empty() && o.push_public_url.empty())
            return usage_error("push delivery needs --endpoint-url, or push.public_url");
        if (push && typed.endpoint_url.empty() &&
            o.push_public_url.find("{port}") != std::string::npos)
            return usage_error("push.public_url depends on {port}: give --endpoint-url");
        write_delivery(w, typed, o, push);
    }
    const auto events = typed.events ? *typed.events
                        : whole      ? o.events
                                     : std::vector<std::string>();
    if (typed.events || !events.empty()) {
        json::key(w, "events_requested");
        w.StartArray();
        for (const auto& e : events)
            if (!e.empty()) json::string(w, type_of(e));
        w.EndArray();
    }
    if (typed.description || whole)
        json::member(w, "description", typed.description ? *typed.description : o.description);
    w.EndObject();
    return json::text(b);
}

// The file's text, as it is unless it lacks the id.
std::string with_stream_id(std::string_view text, std::string_view stream_id) {
    auto parsed = json::parse(text);
    if (!parsed || !parsed->IsObject() || stream_id.empty() || json::find(*parsed, "stream_id"))
        return std::string(text);
    json::add(*parsed, "stream_id", stream_id, parsed->GetAllocator());
    return json::write(*parsed);
}

result<std::string> subject_body(const invocation& typed, std::string_view stream_id) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::member(w, "stream_id", stream_id);
    json::key(w, "subject");
    if (!typed.mission.empty()) {
        events::write_subject(w, events::subject::opaque(typed.mission));
    } else {
        // Its form is the transmitter's to judge; that it is JSON is ours.
        const auto parsed = json::parse(typed.subject);
        if (!parsed) return usage_error("the subject is no JSON: " + parsed.error().message());
        json::raw(w, json::write(*parsed));
    }
    if (typed.verified) {
        json::key(w, "verified");
        w.Bool(*typed.verified);
    }
    w.EndObject();
    return json::text(b);
}

// RFC 8936 section 2.2.
result<std::string> poll_body(const invocation& typed) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    if (typed.max_events) {
        json::key(w, "maxEvents");
        w.Int64(*typed.max_events);
    }
    if (typed.return_immediately) {
        json::key(w, "returnImmediately");
        w.Bool(true);
    }
    if (!typed.acks.empty()) {
        json::key(w, "ack");
        w.StartArray();
        for (const auto& jti : typed.acks)
            json::string(w, jti);
        w.EndArray();
    }
    if (!typed.errors.empty()) {
        json::key(w, "setErrs");
        w.StartObject();
        for (const auto& text : typed.errors) {
            const auto first = text.find(':');
            if (first == std::string::npos || first == 0 || first + 1 == text.size())
                return usage_error("--set-err has the form JTI:ERR[:DESCRIPTION]");
            const auto second = text.find(':', first + 1);
            json::key(w, text.substr(0, first));
            w.StartObject();
            json::member(w, "err", text.substr(first + 1, second - first - 1));
            json::member(w, "description",
                         second == std::string::npos ? "refused by hand" : text.substr(second + 1));
            w.EndObject();
        }
        w.EndObject();
    }
    w.EndObject();
    return json::text(b);
}

std::string small_body(
    std::initializer_list<std::pair<std::string_view, std::string_view>> members) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    for (const auto& [name, text] : members)
        if (!text.empty()) json::member(w, name, text);
    w.EndObject();
    return json::text(b);
}

}  // namespace

bool names_a_stream(verb v) noexcept {
    return v != verb::stream_create && v != verb::stream_list;
}

result<stream_call> plan_call(const invocation& typed, const ms::options& configured,
                              std::string_view stream_id, std::string_view given_body,
                              std::string_view random_state) {
    stream_call c;
    const auto query = "stream_id=" + net::percent_encode(stream_id);
    const auto with = [&](const char* method, endpoint where,
                          result<std::string> body) -> result<stream_call> {
        if (!body) return body.error();
        c.method = method;
        c.where = where;
        c.body = std::move(*body);
        return c;
    };
    const auto members = [&](bool whole) -> result<std::string> {
        if (!given_body.empty()) return with_stream_id(given_body, stream_id);
        return stream_body(typed, configured, stream_id, whole);
    };
    switch (typed.what) {
        case verb::stream_create:
            return with("POST", endpoint::configuration, members(true));
        case verb::stream_list:
            return c;
        case verb::stream_get:
            c.query = query;
            return c;
        case verb::stream_update:
            return with("PATCH", endpoint::configuration, members(false));
        case verb::stream_replace:
            return with("PUT", endpoint::configuration, members(true));
        case verb::stream_delete:
            c.method = "DELETE";
            c.query = query;
            return c;
        case verb::stream_status:
            c.where = endpoint::status;
            c.query = query;
            if (typed.set_status.empty()) return c;
            c.query.clear();
            return with("POST", endpoint::status,
                        small_body({{"stream_id", stream_id},
                                    {"status", typed.set_status},
                                    {"reason", typed.reason}}));
        case verb::stream_verify:
            return with("POST", endpoint::verification,
                        small_body({{"stream_id", stream_id},
                                    {"state", typed.without_state ? std::string_view()
                                              : typed.state       ? std::string_view(*typed.state)
                                                                  : random_state}}));
        case verb::stream_poll:
            c.poll = true;
            return with("POST", endpoint::configuration, poll_body(typed));
        case verb::stream_add_subject:
            return with("POST", endpoint::add_subject, subject_body(typed, stream_id));
        case verb::stream_remove_subject:
            return with("POST", endpoint::remove_subject, subject_body(typed, stream_id));
        default:
            return usage_error("no stream command");
    }
}

result<void> check_issuer(std::string_view body, std::string_view issuer, bool slash_tolerated) {
    const auto plain = [&](std::string_view text) {
        if (slash_tolerated && text.ends_with('/')) text.remove_suffix(1);
        return text;
    };
    const auto fits = [&](const json::value& stream) {
        if (!stream.IsObject()) return true;
        const auto iss = json::find_string(stream, "iss");
        return iss && plain(*iss) == plain(issuer);
    };
    const auto parsed = json::parse(body);
    if (!parsed) return {};
    bool all = true;
    if (parsed->IsArray())
        for (const auto& stream : parsed->GetArray())
            all = all && fits(stream);
    else
        all = fits(*parsed);
    if (!all) return error{errc::wrong_issuer, "the stream names another issuer"};
    return {};
}

result<std::string> only_stream(std::string_view list_body) {
    const auto parsed = json::parse(list_body);
    if (!parsed) return error{errc::bad_response, "the list of streams is no JSON"};
    // SSF 1.0 section 8.1.1.2 has a list; some answer with the one object.
    std::vector<std::string> ids;
    const auto add = [&](const json::value& stream) {
        if (const auto id = json::find_string(stream, "stream_id")) ids.emplace_back(*id);
    };
    if (parsed->IsArray())
        for (const auto& stream : parsed->GetArray())
            add(stream);
    else
        add(*parsed);
    if (ids.empty()) return usage_error("this client has no stream: create one");
    if (ids.size() == 1) return ids.front();
    std::string names;
    for (const auto& id : ids)
        names += " " + id;
    return usage_error("there are several streams, give --stream-id:" + names);
}

}  // namespace mission::receiver::program
