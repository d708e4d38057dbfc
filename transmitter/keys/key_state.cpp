#include "transmitter/keys/key_state.hpp"

#include <algorithm>

#include "base/json.hpp"

namespace mission::transmitter {
namespace {

constexpr jose::alg both[] = {jose::alg::es256, jose::alg::rs256};

error malformed(std::string why) {
    return {errc::key_malformed, std::move(why)};
}

void time_member(json::writer& w, std::string_view name, const std::optional<wall_time>& t) {
    if (t) json::member(w, name, to_rfc3339(*t));
}

std::string text_of(const json::value& v, std::string_view name) {
    return std::string(json::find_string(v, name).value_or(""));
}

result<std::optional<wall_time>> time_of(const json::value& v, std::string_view name) {
    const auto text = json::find_string(v, name);
    if (!text) return std::optional<wall_time>();
    const auto t = from_rfc3339(*text);
    if (!t) return malformed("\"" + std::string(name) + "\" is no time");
    return std::optional<wall_time>(*t);
}

result<key_entry> parse_entry(const json::value& v) {
    key_entry k;
    k.kid = text_of(v, "kid");
    const auto a = jose::parse_alg(text_of(v, "alg"));
    const std::string role = text_of(v, "role");
    if (k.kid.empty() || !a) return malformed("a key without kid or alg");
    k.algorithm = *a;
    bool known = false;
    for (const auto r : {key_role::current, key_role::next, key_role::retained})
        if (role == name(r)) {
            k.role = r;
            known = true;
        }
    if (!known) return malformed("a key of no known role");
    k.file = text_of(v, "file");
    // A name in this folder, never a way out of it.
    if (k.file.find('/') != std::string::npos || k.file.empty() != (k.role == key_role::retained))
        return malformed("key " + k.kid + " names no file");
    const auto* jwk = json::find(v, "jwk");
    if (!jwk || !jose::public_key::from_jwk(*jwk)) return malformed("key " + k.kid + " has no jwk");
    k.jwk = json::write(*jwk);
    k.rotate = json::find_bool(v, "rotate").value_or(false);
    const auto created = time_of(v, "created_at");
    const auto published = time_of(v, "published_at");
    const auto current = time_of(v, "current_at");
    const auto retired = time_of(v, "retired_at");
    for (const auto* t : {&created, &published, &current, &retired})
        if (!*t) return t->error();
    k.created_at = created->value_or(wall_time{});
    k.published_at = *published;
    k.current_at = *current;
    k.retired_at = *retired;
    if (k.role == key_role::retained && !k.retired_at)
        return malformed("key " + k.kid + " does not say when it was retired");
    return k;
}

result<key_operation> parse_operation(const json::value& v) {
    key_operation o;
    const auto number = json::find_int(v, "number");
    const auto at = time_of(v, "time");
    if (!number || !at || !*at) return malformed("an operation without number or time");
    o.number = *number;
    o.at = **at;
    o.operation = text_of(v, "operation");
    o.kid = text_of(v, "kid");
    o.alg = text_of(v, "alg");
    o.outcome = text_of(v, "outcome");
    if (const auto* who = json::find(v, "who")) o.who = json::write(*who);
    return o;
}

result<void> check(const key_state& s) {
    for (const auto a : both) {
        std::size_t current = 0, next = 0;
        for (const auto& k : s.keys) {
            current += k.algorithm == a && k.role == key_role::current;
            next += k.algorithm == a && k.role == key_role::next;
        }
        if (current != 1 || next > 1)
            return malformed("not exactly one current key for " + std::string(jose::name(a)));
    }
    return {};
}

void write_operation(json::writer& w, const key_operation& o) {
    w.StartObject();
    if (o.number != 0) {
        json::key(w, "number");
        w.Int64(o.number);
    }
    json::member(w, "time", to_rfc3339(o.at));
    json::member(w, "operation", o.operation);
    if (!o.kid.empty()) json::member(w, "kid", o.kid);
    if (!o.alg.empty()) json::member(w, "alg", o.alg);
    json::member(w, "outcome", o.outcome);
    if (!o.who.empty()) {
        json::key(w, "who");
        json::raw(w, o.who);
    }
    w.EndObject();
}

void write_entry(json::writer& w, const key_entry& k) {
    w.StartObject();
    json::member(w, "kid", k.kid);
    json::member(w, "alg", jose::name(k.algorithm));
    json::member(w, "role", name(k.role));
    if (!k.file.empty()) json::member(w, "file", k.file);
    json::member(w, "created_at", to_rfc3339(k.created_at));
    time_member(w, "published_at", k.published_at);
    if (k.rotate) {
        json::key(w, "rotate");
        w.Bool(true);
    }
    time_member(w, "current_at", k.current_at);
    time_member(w, "retired_at", k.retired_at);
    json::key(w, "jwk");
    json::raw(w, k.jwk);
    w.EndObject();
}

}  // namespace

std::string_view name(key_role r) noexcept {
    switch (r) {
        case key_role::current:
            return "current";
        case key_role::next:
            return "next";
        case key_role::retained:
            return "retained";
    }
    return "retained";
}

key_entry* key_state::find(std::string_view kid) noexcept {
    for (auto& k : keys)
        if (k.kid == kid) return &k;
    return nullptr;
}

const key_entry* key_state::find(jose::alg a, key_role r) const noexcept {
    for (const auto& k : keys)
        if (k.algorithm == a && k.role == r) return &k;
    return nullptr;
}

result<key_state> parse_key_state(std::string_view text) {
    const auto doc = json::parse(text);
    if (!doc) return malformed(doc.error().message());
    key_state s;
    const auto* keys = json::find(*doc, "keys");
    if (!keys || !keys->IsArray()) return malformed("no \"keys\"");
    for (const auto& v : keys->GetArray()) {
        auto k = parse_entry(v);
        if (!k) return k.error();
        if (s.find(k->kid)) return malformed("key " + k->kid + " is there twice");
        s.keys.push_back(std::move(*k));
    }
    if (const auto* revoked = json::find(*doc, "revoked"); revoked && revoked->IsArray())
        for (const auto& v : revoked->GetArray()) {
            const auto a = jose::parse_alg(text_of(v, "alg"));
            const auto at = time_of(v, "revoked_at");
            if (!a || !at || !*at) return malformed("a revoked key without alg or time");
            s.revoked.push_back({text_of(v, "kid"), *a, **at});
        }
    if (const auto* doomed = json::find(*doc, "doomed"); doomed && doomed->IsArray())
        for (const auto& v : doomed->GetArray()) {
            if (!v.IsString() || json::view(v).find('/') != std::string_view::npos)
                return malformed("\"doomed\" holds no file name");
            s.doomed.emplace_back(json::view(v));
        }
    s.last_number = json::find_int(*doc, "last_number").value_or(0);
    if (const auto* last = json::find(*doc, "last_operations"); last && last->IsArray())
        for (const auto& v : last->GetArray()) {
            auto o = parse_operation(v);
            if (!o) return o.error();
            s.last_operations.push_back(std::move(*o));
        }
    if (auto ok = check(s); !ok) return ok.error();
    return s;
}

std::string print_key_state(const key_state& s) {
    json::buffer out;
    json::writer w(out);
    w.StartObject();
    json::key(w, "keys");
    w.StartArray();
    for (const auto& k : s.keys)
        write_entry(w, k);
    w.EndArray();
    json::key(w, "revoked");
    w.StartArray();
    for (const auto& k : s.revoked) {
        w.StartObject();
        json::member(w, "kid", k.kid);
        json::member(w, "alg", jose::name(k.algorithm));
        json::member(w, "revoked_at", to_rfc3339(k.revoked_at));
        w.EndObject();
    }
    w.EndArray();
    json::key(w, "doomed");
    w.StartArray();
    for (const auto& f : s.doomed)
        json::string(w, f);
    w.EndArray();
    json::key(w, "last_number");
    w.Int64(s.last_number);
    json::key(w, "last_operations");
    w.StartArray();
    for (const auto& o : s.last_operations)
        write_operation(w, o);
    w.EndArray();
    w.EndObject();
    return json::text(out) + "\n";
}

std::string print_operation(const key_operation& o) {
    json::buffer out;
    json::writer w(out);
    write_operation(w, o);
    return json::text(out) + "\n";
}

}  // namespace mission::transmitter
