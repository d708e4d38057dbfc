#include "store/audit.hpp"

#include <optional>
#include <utility>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "jose/base64url.hpp"
#include "jose/digest.hpp"

namespace mission::store {
namespace {

// A detail is read within its line, and a line within a page of lines.
constexpr std::size_t detail_depth = limits::json_depth - 3;

// RFC 8785 section 3.2.2.2.
void append_string(std::string& out, std::string_view s) {
    static constexpr char hex[] = "0123456789abcdef";
    out += '"';
    std::size_t plain = 0;  // first character that has not been copied
    for (std::size_t i = 0; i < s.size(); ++i) {
        const auto c = static_cast<unsigned char>(s[i]);
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        out.append(s, plain, i - plain);
        plain = i + 1;
        out += '\\';
        switch (c) {
            case '\b':
                out += 'b';
                break;
            case '\f':
                out += 'f';
                break;
            case '\n':
                out += 'n';
                break;
            case '\r':
                out += 'r';
                break;
            case '\t':
                out += 't';
                break;
            case '"':
            case '\\':
                out += s[i];
                break;
            default:
                out += "u00";
                out += hex[c >> 4];
                out += hex[c & 15];
        }
    }
    out.append(s, plain);
    out += '"';
}

void append_member(std::string& out, std::string_view name, std::string_view value) {
    out += name;
    append_string(out, value);
}

// The members in RFC 8785's order; `hash` stands between `detail` and `issuer`.
std::string record_of(const audit_entry& e, std::string_view issuer, bool with_hash) {
    std::string out;
    out.reserve(320 + issuer.size() + e.actor.size() + e.origin.size() + e.target.size() +
                e.detail.size());
    append_member(out, R"({"action":)", e.action);
    append_member(out, R"(,"actor":)", e.actor);
    append_member(out, R"(,"at":)", to_rfc3339(e.at));
    if (!e.detail.empty()) out.append(R"(,"detail":)").append(e.detail);
    if (with_hash) append_member(out, R"(,"hash":)", e.hash);
    append_member(out, R"(,"issuer":)", issuer);
    append_member(out, R"(,"origin":)", e.origin);
    append_member(out, R"(,"outcome":)", e.outcome);
    append_member(out, R"(,"previous":)", e.previous);
    out.append(R"(,"seq":)").append(std::to_string(e.seq));
    append_member(out, R"(,"target":)", e.target);
    out.append(R"(,"version":)").append(std::to_string(e.version)).append("}");
    return out;
}

error broken(std::string_view where, const char* why) {
    return {errc::store_corrupt, "audit entry " + std::string(where) + ": " + why};
}

}  // namespace

std::string audit_detail(std::string_view detail) {
    if (detail.empty()) return {};
    if (const auto parsed = json::parse(detail, limits::json_bytes, detail_depth);
        parsed && parsed->IsObject())
        if (auto text = json::canonical(*parsed)) return std::move(*text);
    std::string out;
    append_member(out, R"({"text":)", detail);
    out += '}';
    // A line that is no JSON could never be verified.
    if (!json::parse(out, std::string::npos))
        for (char& c : out)
            if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    return out;
}

std::string audit_text(const audit_entry& e, std::string_view issuer) {
    return record_of(e, issuer, false);
}

std::string audit_hash(std::string_view text) {
    return jose::base64url_encode(jose::view(jose::sha256(text)));
}

std::string audit_line(const audit_entry& e, std::string_view issuer) {
    return record_of(e, issuer, true);
}

result<void> audit_verifier::take(std::string_view line) {
    auto record = json::parse(line);
    if (!record) return broken("of a line", "no JSON");
    const auto seq = json::find_int(*record, "seq");
    const auto issuer = json::find_string(*record, "issuer");
    const auto hash = json::find_string(*record, "hash");
    const auto previous = json::find_string(*record, "previous");
    if (!seq || !issuer || !hash || !previous) return broken("of a line", "a member is missing");
    const std::string name = std::to_string(*seq);
    const link now{*seq, std::string(*hash)};
    const auto before = last_.find(*issuer);
    const bool first = before == last_.end();
    if (first ? whole_ && !previous->empty() : *previous != before->second.hash)
        return broken(name, "does not follow the one before");
    if (!first && *seq <= before->second.seq) return broken(name, "out of order");
    const std::string of(*issuer);
    record->RemoveMember("hash");
    const auto text = json::canonical(*record);
    if (!text || audit_hash(*text) != now.hash) return broken(name, "its hash is another");
    last_[of] = now;
    return {};
}

}  // namespace mission::store
