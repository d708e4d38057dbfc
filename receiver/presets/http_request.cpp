#include "receiver/presets/http_request.hpp"

#include <algorithm>

#include "base/ascii.hpp"
#include "receiver/presets/json_pointer.hpp"
#include "receiver/presets/secret.hpp"
#include "receiver/words.hpp"

namespace mission::receiver::presets {
namespace {

using ms::setup_error;
using ms::task_text;
using ms::unfit_value;

// Shorter ones would blank words of an answer that have nothing to do with them.
constexpr std::size_t known_from = 6;

bool of_data(std::string_view name) {
    return name.starts_with("data") || name.starts_with("+data");
}

void remember(filled_request& out, std::string_view name, const std::string& value) {
    if (of_data(name) && value.size() >= known_from) out.known.push_back(value);
}

// RFC 9110 section 5.6.2.
bool is_token(std::string_view text) {
    constexpr std::string_view odd = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               odd.find(c) != std::string_view::npos;
    });
}

void check_header(const std::string& name) {
    if (!is_token(name)) throw setup_error("\"" + name + "\" is no name of a header");
    const auto low = ascii_lower(name);
    for (const auto ours : {"host", "content-length", "connection", "transfer-encoding"})
        if (low == ours) throw setup_error("the header " + name + " cannot be set");
}

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) {
        const auto octet = static_cast<unsigned char>(c);
        return octet < 0x20 || octet == 0x7f;
    });
}

// "a/../b", also where a server decodes before it looks, and with the other slash.
bool climbs(std::string_view value) {
    for (std::size_t from = 0; from <= value.size();) {
        const auto end = std::min(value.find_first_of("/\\", from), value.size());
        const auto segment = value.substr(from, end - from);
        if (segment == "." || segment == "..") return true;
        from = end + 1;
    }
    return false;
}

std::string url_value(std::string_view name, const std::string& value) {
    const auto shown = "{" + std::string(name) + "}";
    if (value.empty()) throw unfit_value(shown + " is empty: it cannot stand in a URL");
    if (has_control(value))
        throw unfit_value(shown + " holds control characters: it cannot stand in a URL");
    if (climbs(value)) throw unfit_value(shown + " has \".\" or \"..\" as a segment: refused");
    if (!name.starts_with('+')) return net::percent_encode(value);
    std::string out;
    for (std::size_t from = 0; from <= value.size();) {
        const auto end = std::min(value.find('/', from), value.size());
        // A trailing slash is a path's own; "a//b" would be another path to some servers.
        if (end == from && end != value.size())
            throw unfit_value(shown + " has an empty segment: refused");
        out += net::percent_encode(std::string_view(value).substr(from, end - from));
        if (end != value.size()) out += '/';
        from = end + 1;
    }
    return out;
}

// Segments that come together from text and values: "{name}." with "." for a name.
void check_segments(const std::string& target) {
    if (climbs(std::string_view(target).substr(0, target.find('?'))))
        throw unfit_value("the URL's path would have \".\" or \"..\" as a segment: refused");
}

void find_strings(const json::value& v, std::vector<task_text>& out) {
    if (v.IsString()) {
        out.emplace_back(json::view(v));
    } else if (v.IsArray()) {
        for (const auto& item : v.GetArray())
            find_strings(item, out);
    } else if (v.IsObject()) {
        for (const auto& m : v.GetObject())
            find_strings(m.value, out);
    }
}

using filler = std::function<std::string(const task_text&)>;

void write_filled(const json::value& v, json::writer& w, const std::vector<task_text>& texts,
                  std::size_t& next, const filler& fill) {
    if (v.IsString()) {
        json::string(w, fill(texts[next++]));
    } else if (v.IsArray()) {
        w.StartArray();
        for (const auto& item : v.GetArray())
            write_filled(item, w, texts, next, fill);
        w.EndArray();
    } else if (v.IsObject()) {
        w.StartObject();
        for (const auto& m : v.GetObject()) {
            json::key(w, json::view(m.name));
            write_filled(m.value, w, texts, next, fill);
        }
        w.EndObject();
    } else {
        json::raw(w, json::write(v));
    }
}

std::shared_ptr<const json::document> parse_configured(const std::string& text, const char* what) {
    auto parsed = json::parse(text);
    if (!parsed) throw setup_error(std::string(what) + " is not JSON: " + parsed.error().message());
    return std::make_shared<const json::document>(std::move(*parsed));
}

// The URL up to its path: what no value may have a part in.
std::string authority_of(const task_text& url) {
    const auto start = url.fixed_start();
    const auto scheme = start.find("://");
    const auto end =
        scheme == std::string_view::npos ? scheme : start.find_first_of("/?", scheme + 3);
    if (end != std::string_view::npos) return std::string(start.substr(0, end));
    if (url.fixed()) return std::string(start);
    throw setup_error("url \"" + url.text() + "\": scheme, host and port must be fixed");
}

}  // namespace

request_template::request_template(ms::http_step step, bool plain_http)
    : step_(std::move(step)), url_(step_.url) {
    if (!is_token(step_.method)) throw setup_error("\"" + step_.method + "\" is no HTTP method");
    origin_ = check_endpoint(authority_of(url_), "url", plain_http).origin();
    if (url_.fixed()) (void)check_endpoint(std::string(url_.fixed_start()), "url", plain_http);
    for (const auto& [name, text] : step_.headers)
        check_header(name);
    for (const auto& [name, text] : step_.secret_headers)
        check_header(name);
    if (!step_.json.empty() && !step_.form.empty())
        throw setup_error("a request has a JSON body or a form, not both");
    if (!step_.json.empty()) {
        json_ = parse_configured(step_.json, "json");
        find_strings(*json_, strings_);
    }
    for (const auto* list : {&step_.expect, &step_.gone})
        for (const auto status : *list)
            if (status < 200 || status > 599)
                throw setup_error(std::to_string(status) + " is no status of an answer");
    const auto& wanted = step_.equals.empty() ? step_.differs : step_.equals;
    if (!step_.look && (!step_.pointer.empty() || !wanted.empty()))
        throw setup_error("pointer, equals and differs belong to a look");
    if (!step_.equals.empty() && !step_.differs.empty())
        throw setup_error("equals or differs, not both");
    if (!step_.look) return;
    if (!valid_pointer(step_.pointer))
        throw setup_error("pointer \"" + step_.pointer + "\" is no JSON Pointer");
    if (!wanted.empty()) wanted_ = parse_configured(wanted, "equals or differs");
    if (!wanted_ && step_.gone.empty())
        throw setup_error("a look needs gone, equals or differs: what is to be seen");
}

bool request_template::is_for(ms::effect e) const {
    return step_.on.empty() || std::find(step_.on.begin(), step_.on.end(), e) != step_.on.end();
}

bool request_template::expected(int status) const {
    if (step_.expect.empty()) return status >= 200 && status <= 299;
    return std::find(step_.expect.begin(), step_.expect.end(), status) != step_.expect.end();
}

bool request_template::gone(int status) const {
    return std::find(step_.gone.begin(), step_.gone.end(), status) != step_.gone.end();
}

std::string request_template::fill_url(const ms::task& t, filled_request& out) const {
    auto url = url_.fill(t, [&](std::string_view name, const std::string& value) {
        remember(out, name, value);
        return url_value(name, value);
    });
    const auto parsed = net::parse_url(url);
    // Whatever a value holds, it goes to nobody else.
    if (!parsed || parsed->origin() != origin_)
        throw unfit_value("the URL is no longer one of " + origin_ + ": refused");
    check_segments(parsed->target);
    out.shown =
        step_.method + " " + url_.fill(t, [](std::string_view name, const std::string& value) {
            if (of_data(name)) return "{" + std::string(name) + "}";
            return net::percent_encode(value);
        });
    return url;
}

std::string request_template::fill_json(const ms::task& t, filled_request& out) const {
    json::buffer b;
    json::writer w(b);
    std::size_t next = 0;
    write_filled(*json_, w, strings_, next, [&](const task_text& text) {
        return text.fill(t, [&](std::string_view name, const std::string& value) {
            remember(out, name, value);
            return value;
        });
    });
    auto text = json::text(b);
    // Values are any octets; what is sent is JSON.
    if (const auto again = json::parse(text); !again)
        throw unfit_value("a value cannot stand in JSON: " + again.error().message());
    return text;
}

filled_request request_template::fill(const ms::task& t) const {
    filled_request out;
    out.request.method = step_.method;
    out.request.url = fill_url(t, out);
    out.request.fields.add("accept", "application/json");
    if (!step_.look) out.request.fields.add("idempotency-key", t.idempotency_key);
    for (const auto& [name, text] : step_.headers) {
        const auto value = text.fill(t, [&](std::string_view which, const std::string& v) {
            if (has_control(v))
                throw unfit_value("{" + std::string(which) +
                                  "} holds control characters: it cannot stand in a header");
            remember(out, which, v);
            return v;
        });
        out.request.fields.set(ascii_lower(name), value);
    }
    for (const auto& [name, from] : step_.secret_headers) {
        auto value = read_secret(from);
        if (has_control(value)) throw unfit_value("the secret for " + name + " is no header value");
        out.known.push_back(value);
        out.request.fields.set(ascii_lower(name), std::move(value));
    }
    if (json_) {
        out.request.body = fill_json(t, out);
        out.request.fields.set(
            "content-type", step_.content_type.empty() ? "application/json" : step_.content_type);
    } else if (!step_.form.empty()) {
        std::vector<std::pair<std::string, std::string>> fields;
        for (const auto& [name, text] : step_.form)
            fields.emplace_back(name,
                                text.fill(t, [&](std::string_view which, const std::string& v) {
                                    remember(out, which, v);
                                    return v;
                                }));
        out.request.body = net::encode_form(fields);
        out.request.fields.set("content-type", "application/x-www-form-urlencoded");
    }
    return out;
}

bool request_template::satisfied(const net::http_response& r, std::string& seen) const {
    seen = std::to_string(r.status);
    if (gone(r.status)) return true;
    if (!wanted_ || !expected(r.status)) return false;
    const auto where = step_.pointer.empty() ? "the answer" : step_.pointer;
    const auto parsed = json::parse(r.body, limits::answer_bytes);
    if (!parsed) {
        seen += ", no JSON";
        return false;
    }
    const auto* found = at_pointer(*parsed, step_.pointer);
    if (found == nullptr) {
        seen += ", nothing at " + where;
        return false;
    }
    const bool same = *found == static_cast<const json::value&>(*wanted_);
    // A foreign value may hold anything: only the one that was configured is repeated.
    seen += ", " + where + (same ? " = " : " is not ") +
            peer_words(step_.equals.empty() ? step_.differs : step_.equals);
    return same != step_.equals.empty();
}

}  // namespace mission::receiver::presets
